//! How many threads can compute at once.

use std::{fs, thread};

/// Cores that this process may use, at least 1. Where its quota ends in a part
/// of a core, that counts as one: rounded down, it would never be used.
pub(crate) fn cores() -> usize {
    let seen = thread::available_parallelism().map_or(1, usize::from);
    let quota = fs::read_to_string("/sys/fs/cgroup/cpu.max").ok();
    quota.map_or(seen, |quota| with_part(seen, &quota))
}

/// The cores seen, and one more if they are what is left of this quota without
/// its part of a core. It is `cpu.max` of version 2 of control groups:
/// microseconds of so many.
fn with_part(seen: usize, quota: &str) -> usize {
    let parsed = quota.trim().split_once(' ').and_then(|(quota, period)| {
        Some((quota.parse::<usize>().ok()?, period.parse::<usize>().ok().filter(|period| *period > 0)?))
    });
    match parsed {
        Some((quota, period)) if quota / period == seen => quota.div_ceil(period),
        _ => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_core_counts_as_one() {
        for (seen, quota, cores) in [
            (1, "150000 100000\n", 2),
            (1, "50000 100000\n", 1),
            (4, "400000 100000\n", 4),
            (2, "800000 100000\n", 2),
            (3, "max 100000\n", 3),
            (3, "100000 0\n", 3),
            (3, "nonsense", 3),
        ] {
            assert_eq!(with_part(seen, quota), cores, "{quota}");
        }
    }
}
