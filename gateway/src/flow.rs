//! Whose a request is, as far as a pod's room depends on it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

/// Keyed anew in each process: nobody can choose names that meet.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A caller within its tier: pods share themselves among these. Requests
/// without one are all of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow(u64);

impl Flow {
    /// The flow of a tier's caller; its long texts are one of their own.
    pub fn new(tier: &str, caller: &[u8], is_long: bool) -> Self {
        Self(HASHER.hash_one((tier, caller, is_long)))
    }
}
