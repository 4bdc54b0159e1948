//! How long a pool's answers took to begin of late, which tells when one is
//! late enough to ask a second pod.
//!
//! Each request gives one sample: the time of the pod that was asked first. If
//! a second one was quicker, the first was given up, and what is known is only
//! that it would have taken longer than it was waited for. That is what is
//! noted: left out, the late ones would be missing among the samples, and the
//! wait would come out too short; and as whoever is given up has been waited
//! for longer than usual, a lower bound serves as well there as the time itself.
//! The second pod's time is no sample: it is known where it was short, mostly.

use std::time::{Duration, Instant};

/// Samples remembered.
const MOST: usize = 256;
/// For how long.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples below which nothing can be said: of fewer, not even the longest
/// leaves only one in twenty beyond it.
const FEWEST: usize = 19;
/// The share that is usual; those beyond it are late.
const USUAL: f64 = 0.95;
/// Where the late ones are far from the others, as when one in twenty stalls for
/// a second, this share and so many times its time tell them apart sooner.
const MOST_OF_THEM: f64 = 0.9;
const FAR: u32 = 2;
/// So many new samples may come before the usual time is reckoned anew.
const STALE_SAMPLES: usize = 8;
/// And so much time.
const STALE_AFTER: Duration = Duration::from_millis(250);

/// The last times to first audio.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    times: Vec<(Instant, Duration)>,
    next: usize,
    reckoned: Option<Reckoned>,
}

#[derive(Debug, Clone, Copy)]
struct Reckoned {
    usual: Option<Duration>,
    at: Instant,
    added_since: usize,
}

impl Latency {
    /// Takes the time of a first pod's answer, or for how long it was waited for
    /// in vain.
    pub(crate) fn add(&mut self, now: Instant, took: Duration) {
        if self.times.len() < MOST {
            self.times.push((now, took));
        } else {
            self.times[self.next] = (now, took);
        }
        self.next = (self.next + 1) % MOST;
        if let Some(reckoned) = &mut self.reckoned {
            reckoned.added_since += 1;
        }
    }

    /// How long all but the late ones take, if there were enough.
    pub(crate) fn usual(&mut self, now: Instant) -> Option<Duration> {
        let fresh = |reckoned: &Reckoned| {
            reckoned.added_since < STALE_SAMPLES && now.saturating_duration_since(reckoned.at) < STALE_AFTER
        };
        match self.reckoned.filter(fresh) {
            Some(reckoned) => reckoned.usual,
            None => {
                let usual = self.reckon(now);
                self.reckoned = Some(Reckoned { usual, at: now, added_since: 0 });
                usual
            }
        }
    }

    fn reckon(&self, now: Instant) -> Option<Duration> {
        let young = |(when, _): &&(Instant, Duration)| now.saturating_duration_since(*when) <= WINDOW;
        let mut times: Vec<Duration> = self.times.iter().filter(young).map(|(_, took)| *took).collect();
        if times.len() < FEWEST {
            return None;
        }
        Some(quantile(&mut times, USUAL).min(FAR * quantile(&mut times, MOST_OF_THEM)))
    }
}

/// The time that the next one exceeds with that probability: of `n` samples it
/// exceeds the `k`th with 1 − k/(n+1), whatever they are of.
fn quantile(times: &mut [Duration], share: f64) -> Duration {
    let place = share * (times.len() + 1) as f64;
    let (_, lower, above) = times.select_nth_unstable((place as usize).saturating_sub(1));
    let lower = *lower;
    let upper = above.iter().min().copied().unwrap_or(lower);
    lower + (upper - lower).mul_f64(place.fract())
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use rstest::rstest;

    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn all_but_the_latest_are_usual() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        for number in 1..FEWEST as u64 {
            latency.add(now, milliseconds(number));
        }
        assert_eq!(latency.usual(now), None, "too few to tell");
        let later = now + STALE_AFTER;
        for number in FEWEST as u64..=39 {
            latency.add(later, milliseconds(number));
        }
        assert_eq!(latency.usual(later), Some(milliseconds(38)));
    }

    #[test]
    fn what_was_long_ago_no_longer_counts() {
        let (mut latency, now) = (Latency::default(), Instant::now());
        (0..MOST).for_each(|_| latency.add(now, milliseconds(900)));
        let later = now + WINDOW + milliseconds(1);
        assert_eq!(latency.usual(later), None);
        (0..FEWEST).for_each(|_| latency.add(later, milliseconds(100)));
        assert_eq!(latency.usual(later), Some(milliseconds(100)));
    }

    /// How long pods take, for the simulation: in seconds, with a middle of 0.2.
    #[derive(Debug, Clone, Copy)]
    enum Pods {
        Lognormal,
        Exponential,
        /// Quick, but for 6 % that stall for a second.
        Stalling,
    }

    impl Pods {
        fn draw(self, random: &mut SmallRng) -> f64 {
            let uniform = |random: &mut SmallRng| random.random_range(f64::EPSILON..1.0);
            match self {
                Self::Exponential => -0.2 * uniform(random).ln(),
                Self::Lognormal => {
                    let (one, other) = (uniform(random), uniform(random));
                    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
                    0.2 * (0.5 * normal).exp()
                }
                Self::Stalling => {
                    let quick = random.random_range(0.15..0.25);
                    if random.random_bool(0.06) { 1.0 + quick } else { quick }
                }
            }
        }
    }

    /// The share of requests for which a second pod was asked, and the time that
    /// all but one caller in a hundred waited at most.
    fn hedged(pods: Pods, a_second: f64, seed: u64) -> (f64, f64) {
        const REQUESTS: usize = 20_000;
        const LONGEST: Duration = Duration::from_millis(1500);
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut latency, start) = (Latency::default(), Instant::now());
        let (mut hedges, mut waits) = (0, Vec::new());
        for request in 0..REQUESTS {
            let now = start + Duration::from_secs_f64(request as f64 / a_second);
            let wait = latency.usual(now).unwrap_or(LONGEST).min(LONGEST).as_secs_f64();
            let first = pods.draw(&mut random);
            let waited = if first <= wait {
                first
            } else {
                hedges += 1;
                first.min(wait + pods.draw(&mut random))
            };
            latency.add(now, Duration::from_secs_f64(waited));
            waits.push(waited);
        }
        waits.sort_unstable_by(f64::total_cmp);
        (f64::from(hedges) / REQUESTS as f64, waits[REQUESTS * 99 / 100])
    }

    #[rstest]
    fn one_request_in_twenty_is_sent_twice_whatever_the_pods_do(
        #[values(Pods::Lognormal, Pods::Exponential)] pods: Pods,
        #[values(1.0, 10.0, 100.0)] a_second: f64,
        #[values(1, 2, 3)] seed: u64,
    ) {
        let (share, _) = hedged(pods, a_second, seed);
        assert!((0.04..=0.06).contains(&share), "{pods:?} at {a_second} a second: {share}");
    }

    #[rstest]
    fn those_that_stall_are_sent_twice_soon_and_hardly_any_other(
        #[values(1.0, 10.0, 100.0)] a_second: f64,
        #[values(1, 2, 3)] seed: u64,
    ) {
        let (share, wait) = hedged(Pods::Stalling, a_second, seed);
        assert!((0.04..=0.07).contains(&share), "6 % stall, at {a_second} a second: {share}");
        assert!(wait < 0.95, "{wait} s");
    }
}
