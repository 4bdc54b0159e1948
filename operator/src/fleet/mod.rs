//! One fleet: gather → validate → look at models → build → apply → have pods
//! follow → status.

mod account;
pub mod apply;
pub mod build;
pub mod diff;
pub mod events;
pub mod failures;
pub mod identity;
pub mod lexicon;
pub mod models;
pub mod ownership;
pub mod pods;
pub mod reconcile;
pub mod repairs;
pub mod status;
mod traffic;
pub mod validate;
mod volumes;
