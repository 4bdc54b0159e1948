//! The objects that a fleet consists of, as values. Nothing here talks to a
//! cluster or looks at a clock.

mod children;
mod container;
mod deployment;
mod exposure;
mod gateway;
mod gpu;
mod judge;
pub mod labels;
mod model_config;
mod mounts;
mod network_policy;
mod pdb;
mod plan;
mod pod;
mod rbac;
mod reach;
mod service;
mod service_account;
mod shadow;

pub use children::{Settings, Wanted, build};
pub(crate) use deployment::template_digest;
pub(crate) use gateway::CONTAINER as GATEWAY_CONTAINER;
pub(crate) use judge::CONTAINER as JUDGE_CONTAINER;
pub(crate) use model_config::build as model_record;
pub use plan::{PoolPlan, Prompts};
pub(crate) use pod::CONTAINER;
