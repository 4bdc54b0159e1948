//! A closed load: callers who each wait for an answer before they ask again. It
//! tells what the pods can do at most.

use std::time::{Duration, Instant};

use crate::load::{self, Outcome, Sample, Shot};

const CALLERS: usize = 8;
const TIME: Duration = Duration::from_secs(15);
/// How long a caller who is refused waits before it asks again.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread of its own for what a benchmark sends.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// One request, now.
pub(crate) fn one(url: &str, key: Option<&'static str>, text: String) -> Sample {
    runtime().block_on(load::run(url, vec![Shot { at: Duration::ZERO, text, key }])).remove(0)
}

/// Seconds of speech a second that come to eight callers, each with texts of its
/// own, by its number.
pub(crate) fn capacity<T: Iterator<Item = String>>(
    url: &str,
    key: Option<&'static str>,
    texts: impl Fn(usize) -> T + Sync,
) -> f64 {
    let begun = Instant::now();
    let caller = |number: usize| {
        let mut audio = 0.0;
        for text in texts(number).take_while(|_| begun.elapsed() < TIME) {
            let sample = one(url, key, text);
            if matches!(sample.outcome, Outcome::Refused { .. }) {
                std::thread::sleep(PAUSE);
            }
            audio += sample.audio;
        }
        audio
    };
    let audio: f64 = std::thread::scope(|scope| {
        let caller = &caller;
        let callers: Vec<_> = (0..CALLERS).map(|number| scope.spawn(move || caller(number))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    audio / begun.elapsed().as_secs_f64()
}
