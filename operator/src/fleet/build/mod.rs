//! The objects that a fleet consists of, as values. Nothing here talks to a
//! cluster or looks at a clock.

mod children;
mod container;
mod deployment;
mod exposure;
mod gateway;
mod gpu;
pub mod labels;
mod model_config;
mod network_policy;
mod pdb;
mod pod;
mod rbac;
mod service;
mod service_account;

pub use children::{Settings, Wanted, build};
pub(crate) use gateway::CONTAINER as GATEWAY_CONTAINER;
pub(crate) use pod::CONTAINER;
