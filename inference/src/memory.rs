//! How much memory the process holds: what models take, and whether it comes
//! back when they go.

/// What other work may take or give back in the meantime, in bytes.
const NOISE: u64 = 8 << 20;

/// Anonymous memory that is resident, in bytes: the heap and the stacks, and
/// not what the system could read again from files. 0 where it is not known.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    anonymous(&status).unwrap_or_default()
}

fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Has the allocator give back to the system what is free in its heaps, which
/// it otherwise keeps: a model leaves as much as it took.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "a call of glibc's that any thread may make at any time, with a plain number"
    )]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How much of what a model took did not come back when it went, in bytes. A
/// quarter of it may be in pieces among what others hold.
pub(crate) fn unreturned(cost: u64, before: u64, after: u64) -> u64 {
    let missing = cost.saturating_sub(before.saturating_sub(after));
    if missing <= NOISE.max(cost / 4) { 0 } else { missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_heap_is_found_among_what_the_system_says() {
        assert_eq!(anonymous("VmRSS:\t    9 kB\nRssAnon:\t      4567 kB\n"), Some(4567 * 1024));
        assert_eq!(anonymous("VmRSS:\t    9 kB\n"), None);
        assert!(resident() > 0);
    }

    #[test]
    fn what_came_back_but_for_noise_has_come_back() {
        assert_eq!(unreturned(100 * MIB, 150 * MIB, 52 * MIB), 0);
        assert_eq!(unreturned(100 * MIB, 150 * MIB, 70 * MIB), 0, "20 of 100");
        assert_eq!(unreturned(100 * MIB, 150 * MIB, 140 * MIB), 90 * MIB);
        assert_eq!(unreturned(100 * MIB, 150 * MIB, 160 * MIB), 100 * MIB, "never more than it took");
        assert_eq!(unreturned(5 * MIB, 50 * MIB, 50 * MIB), 0, "too small to tell");
    }
}
