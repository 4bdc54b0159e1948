//! One fleet: gather → validate → build → apply → status.

pub mod apply;
pub mod build;
pub mod diff;
pub mod events;
pub mod ownership;
pub mod pods;
pub mod reconcile;
pub mod repairs;
pub mod status;
pub mod validate;
