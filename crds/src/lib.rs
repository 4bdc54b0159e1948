//! The API of ttsfleet: the custom resources, their defaults and rules, and
//! every condition the operator sets.

#![expect(unreachable_pub, reason = "KubeSchema copies each public struct into a function body")]

pub mod amount;
pub mod conditions;
mod fleet;
mod generate;
mod model;
mod resources;
mod scheduling;
mod status;

pub use amount::Amount;
pub use fleet::{Capacity, Pool, TtsDeployment, TtsDeploymentSpec};
pub use generate::{GeneratedFile, generate};
pub use model::{Model, Source};
pub use resources::{Gpu, GpuMode, Resources};
pub use scheduling::Scheduling;
pub use status::{PoolModel, PoolStatus, TtsDeploymentStatus};
