//! What every HTTP server of ttsfleet does alike: connections, bodies, errors,
//! health, and the one line a request leaves in the log.

mod body;
mod connection;
mod failure;
mod health;
mod lines;
mod listen;
pub mod logging;
mod paths;
mod record;
mod request_log;
mod throttle;
mod trace;
pub mod traces;
mod track;

pub use body::{BodyLimits, read_json_body};
pub use connection::{Connections, Routes};
pub use failure::{Failure, NO_STORE, json};
pub use health::{Readiness, health_routes, ready};
pub use listen::{Listener, any_address, serve};
pub use paths::{no_such_method, no_such_path, openapi, speech_port};
pub use record::{Labels, Observer, Outcome, Record};
pub use trace::TraceParent;
pub use track::{Tracked, answer, begin, end, track};
