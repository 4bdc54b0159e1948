//! Waiting in tests for what a cluster does in its own time.

use std::time::{Duration, Instant};

/// Asks until there is an answer; the test fails, saying what it waited for,
/// when the time is over.
pub fn wait_for<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The same for what only has to become true; gives the time it took.
pub fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    wait_for(what, within, || holds().then_some(()));
    start.elapsed()
}
