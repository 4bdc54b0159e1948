//! A real Kubernetes cluster on one Linux machine, without Docker.
//!
//! [`tools`] builds and installs the programs it needs, [`cluster`] runs two
//! nodes in namespaces of their own, [`control_plane`] runs an API server
//! alone for tests that need no nodes, [`image`] makes container images from
//! files, and [`product`] puts ttsfleet on a cluster ([`target`]: this one or the
//! user's).

mod addons;
mod cgroup;
mod command;
mod gobuild;
mod network;
mod node;
pub mod packages;
mod pki;
mod process;

pub mod cargo;
pub mod cluster;
pub mod control_plane;
pub mod image;
pub mod npm;
pub mod product;
pub mod progress;
pub mod python;
pub mod recogniser;
pub mod target;
pub mod tools;
pub mod variants;
pub mod voices;
pub mod waiting;
