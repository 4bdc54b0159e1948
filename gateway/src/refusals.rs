//! What a pod said of its room, so that the next refusal needs no call: a full
//! pod is a busy one, and takes its time even to refuse.
//!
//! What it said holds until something tells of room: one of our requests there
//! has ended, or a moment has passed. Then one request asks, and until it is
//! clear what became of it, the others are still refused from memory; if it is
//! not refused, two may ask, then four, and so on. Few wait for a refusal, and
//! yet room is found soon after it is there. The pod's `Retry-After` is for
//! callers. It is in whole seconds, and the queue it speaks of may be shorter
//! long before.

use std::time::{Duration, Instant};

use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{flow::Flow, outcome::Refusal};

/// After which one request asks again. Others than this gateway may have the
/// pod's places, so that their end is not seen here.
const ASK_AFTER: Duration = Duration::from_millis(250);
/// A refusal holds as long as the pod said, and no shorter, unless it turns out
/// otherwise.
const LEAST_TOLD: Duration = Duration::from_secs(1);
/// Whoever is not refused within twice the time that the last refusal took, and
/// within these bounds, has been let in.
const PATIENCE: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// When so many were let in one after the other, the pod has room again.
const ROOM: usize = 16;
/// A queue must drain to half before a pod lets in again: for each time that it
/// has refused in a row, twice as many requests end before the next one asks, up
/// to this many.
const MOST_ENDED: usize = 8;
/// Callers remembered, each of whom has more than its share.
const MOST_CALLERS: usize = 32;

/// A pod's last refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    of_all: Option<Refused>,
    /// Those that concern one caller, the latest last.
    of_one: Vec<OfOne>,
}

#[derive(Debug)]
struct Refused {
    failure: Failure,
    since: Instant,
    /// When the pod said that it would have room.
    over: Instant,
    /// With fewer of our requests in progress there it has room again.
    let_in_below: usize,
    /// So many requests may ask at once.
    at_once: usize,
    /// When the first of those that ask was sent, and how many were since.
    asking: Option<(Instant, usize)>,
    patience: Duration,
    in_a_row: u32,
}

#[derive(Debug)]
struct OfOne {
    flow: Flow,
    failure: Failure,
    over: Instant,
    until: Instant,
}

/// What became of a call to a pod, as far as it tells of room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Whose it is.
    pub(crate) flow: Flow,
    /// When it was sent.
    pub(crate) at: Instant,
    /// Others of our requests in progress there.
    pub(crate) beside: usize,
}

impl Refusals {
    /// The pod refused a call.
    pub(crate) fn refused(&mut self, refusal: &Refusal, sent: Sent, now: Instant) {
        let failure = refusal.failure.clone();
        let told = Duration::from_secs(failure.retry_after_seconds().unwrap_or_default().into());
        let told = told.max(LEAST_TOLD);
        if refusal.over_share {
            let of_one = OfOne { flow: sent.flow, failure, over: now + told, until: now + ASK_AFTER };
            return self.remember(of_one, now);
        }
        let known = self.of_all.as_mut();
        let mut in_a_row = 0;
        if let Some(known) = known {
            known.let_in_below = known.let_in_below.min(sent.beside);
            if sent.at < known.since {
                // It was on its way when the pod first refused: nothing new.
                return;
            }
            in_a_row = known.in_a_row + 1;
        }
        let drains = failure.code == ErrorCode::SystemBusy;
        let ended = if drains { 2usize.saturating_pow(in_a_row).min(MOST_ENDED) } else { 1 };
        let took = now.saturating_duration_since(sent.at);
        self.of_all = Some(Refused {
            failure,
            since: now,
            over: now + told,
            let_in_below: (sent.beside + 1).saturating_sub(ended),
            at_once: 1,
            asking: None,
            patience: (2 * took).clamp(PATIENCE[0], PATIENCE[1]),
            in_a_row,
        });
    }

    fn remember(&mut self, of_one: OfOne, now: Instant) {
        self.of_one.retain(|known| known.flow != of_one.flow && now < known.until);
        if self.of_one.len() >= MOST_CALLERS {
            self.of_one.remove(0);
        }
        self.of_one.push(of_one);
    }

    /// A call is sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        let Some(known) = &mut self.of_all else { return };
        match &mut known.asking {
            Some((since, asked)) if now < *since + known.patience => *asked += 1,
            were_let_in => {
                known.at_once *= if were_let_in.is_some() { 2 } else { 1 };
                *were_let_in = Some((now, 1));
            }
        }
        if known.at_once > ROOM {
            self.of_all = None;
        }
    }

    /// For how long the pod would refuse a call of that flow now, with so many
    /// of our requests in progress there; none if it is not known that it would.
    pub(crate) fn peek(&self, flow: Flow, outstanding: usize, now: Instant) -> Option<Duration> {
        self.known(flow, outstanding, now).map(|(_, over)| over.saturating_duration_since(now))
    }

    /// What it would answer, with what is left of its `Retry-After`.
    pub(crate) fn refusal(&self, flow: Flow, outstanding: usize, now: Instant) -> Option<Failure> {
        let (failure, over) = self.known(flow, outstanding, now)?;
        let left = over.saturating_duration_since(now).as_secs_f64().ceil().max(1.0);
        Some(failure.clone().retry_after(left as u32))
    }

    fn known(&self, flow: Flow, outstanding: usize, now: Instant) -> Option<(&Failure, Instant)> {
        let of_all = self.of_all.as_ref().filter(|known| known.holds(outstanding, now));
        let of_one = || self.of_one.iter().find(|known| known.flow == flow && now < known.until);
        of_all
            .map(|known| (&known.failure, known.over))
            .or_else(|| of_one().map(|known| (&known.failure, known.over)))
    }
}

impl Refused {
    fn holds(&self, outstanding: usize, now: Instant) -> bool {
        let may_ask = match self.asking {
            None => now >= self.since + ASK_AFTER,
            Some((since, asked)) => asked < self.at_once || now >= since + self.patience,
        };
        outstanding >= self.let_in_below && !may_ask && now < self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn refusal(code: ErrorCode, seconds: u32) -> Refusal {
        Refusal { failure: Failure::new(code, "on purpose").retry_after(seconds), over_share: false }
    }

    fn sent(at: Instant, beside: usize) -> Sent {
        Sent { flow: Flow::default(), at, beside }
    }

    /// A pod that refused, as it had so many of our requests.
    fn full(code: ErrorCode, seconds: u32, beside: usize, now: Instant) -> Refusals {
        let mut refusals = Refusals::default();
        refusals.refused(&refusal(code, seconds), sent(now, beside), now);
        refusals
    }

    fn has_room(refusals: &Refusals, outstanding: usize, now: Instant) -> bool {
        refusals.peek(Flow::default(), outstanding, now).is_none()
    }

    #[test]
    fn a_full_pod_has_room_when_one_of_ours_has_ended() {
        let now = Instant::now();
        assert!(has_room(&Refusals::default(), 4, now));
        for code in [ErrorCode::TooManyRequests, ErrorCode::SystemBusy] {
            let refusals = full(code, 1, 4, now);
            assert!(!has_room(&refusals, 4, now));
            assert!(has_room(&refusals, 3, now));
        }
    }

    #[test]
    fn after_a_moment_one_request_at_a_time_asks_whatever_the_pod_said() {
        let start = Instant::now();
        let mut refusals = full(ErrorCode::SystemBusy, 10, 4, start);
        let mut now = start + ASK_AFTER;
        assert!(!has_room(&refusals, 4, now - MOMENT));
        for _ in 0..3 {
            assert!(has_room(&refusals, 4, now));
            refusals.sent(now);
            assert!(!has_room(&refusals, 5, now), "one is on its way");
            refusals.refused(&refusal(ErrorCode::SystemBusy, 10), sent(now, 4), now + MOMENT);
            assert!(!has_room(&refusals, 4, now + MOMENT));
            now += MOMENT + ASK_AFTER;
        }
    }

    #[test]
    fn who_is_not_refused_in_the_usual_time_was_let_in_and_twice_as_many_follow() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let took = Duration::from_millis(200);
        refusals.refused(&refusal(ErrorCode::SystemBusy, 10), sent(start, 4), start + took);
        let mut now = start + took + ASK_AFTER;
        let mut asked = Vec::new();
        for _ in 0..6 {
            let mut at_once = 0;
            while has_room(&refusals, 5, now) && at_once < 100 {
                refusals.sent(now);
                at_once += 1;
            }
            asked.push(at_once);
            assert_eq!(has_room(&refusals, 5, now + 2 * took - MOMENT), at_once == 100);
            now += 2 * took;
        }
        assert_eq!(asked, [1, 2, 4, 8, 16, 100], "and in the end as many as like");
    }

    #[test]
    fn a_refusal_that_nobody_has_heard_again_is_forgotten_in_the_time_that_the_pod_named() {
        let start = Instant::now();
        for (told, seconds) in [(0, 1), (1, 1), (3, 3)] {
            let mut refusals = full(ErrorCode::TooManyRequests, told, 4, start);
            let end = start + Duration::from_secs(seconds);
            refusals.sent(end - MOMENT);
            assert!(!has_room(&refusals, 4, end - MOMENT));
            assert!(has_room(&refusals, 4, end));
        }
    }

    #[test]
    fn refusals_of_what_was_on_its_way_change_nothing_but_the_count_of_places() {
        let start = Instant::now();
        let mut refusals = full(ErrorCode::SystemBusy, 1, 8, start);
        let late = start + ASK_AFTER / 2;
        refusals.refused(&refusal(ErrorCode::SystemBusy, 1), sent(start - MOMENT, 5), late);
        assert!(!has_room(&refusals, 5, late), "the others there were on their way, too");
        assert!(has_room(&refusals, 5, start + ASK_AFTER));
    }

    #[test]
    fn a_queue_that_drains_is_asked_ever_more_seldom() {
        let now = Instant::now();
        let mut refusals = full(ErrorCode::SystemBusy, 1, 40, now);
        let (mut outstanding, mut ended) = (40, Vec::new());
        for _ in 0..6 {
            let before = outstanding;
            while !has_room(&refusals, outstanding, now) {
                outstanding -= 1;
            }
            ended.push(before - outstanding);
            refusals.sent(now);
            refusals.refused(&refusal(ErrorCode::SystemBusy, 1), sent(now, outstanding), now);
        }
        assert_eq!(ended, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn callers_hear_what_is_left_of_the_time_the_pod_named() {
        let now = Instant::now();
        let refusals = full(ErrorCode::SystemBusy, 3, 4, now);
        let told = |after: Duration| {
            let mut refusals = full(ErrorCode::SystemBusy, 3, 4, now);
            // Somebody asks, so that it still holds for others.
            refusals.sent(now + after);
            refusals.refusal(Flow::default(), 4, now + after).unwrap().retry_after_seconds()
        };
        assert_eq!(refusals.peek(Flow::default(), 4, now), Some(Duration::from_secs(3)));
        assert_eq!(told(Duration::ZERO), Some(3));
        assert_eq!(told(Duration::from_millis(1500)), Some(2));
        assert_eq!(told(Duration::from_millis(2990)), Some(1), "at least one");
    }

    #[test]
    fn a_caller_beyond_its_share_is_no_reason_to_refuse_others() {
        let now = Instant::now();
        let [greedy, other, twin] = [("gold", "a"), ("gold", "b"), ("silver", "a")]
            .map(|(tier, caller)| Flow::new(tier, caller.as_bytes(), false));
        let over_share = Refusal { over_share: true, ..refusal(ErrorCode::TooManyRequests, 2) };
        let mut refusals = Refusals::default();
        refusals.refused(&over_share, Sent { flow: greedy, at: now, beside: 4 }, now);
        assert_eq!(refusals.peek(greedy, 0, now), Some(Duration::from_secs(2)));
        assert_eq!(refusals.peek(other, 9, now), None);
        assert_eq!(refusals.peek(twin, 9, now), None, "of another tier");
        assert_eq!(refusals.peek(greedy, 0, now + ASK_AFTER), None);
    }

    #[test]
    fn only_so_many_callers_are_remembered_and_the_latest_ones() {
        let now = Instant::now();
        let over_share = Refusal { over_share: true, ..refusal(ErrorCode::TooManyRequests, 2) };
        let flow = |number: usize| Flow::new("gold", number.to_string().as_bytes(), false);
        let mut refusals = Refusals::default();
        for number in 0..3 * MOST_CALLERS {
            refusals.refused(&over_share, Sent { flow: flow(number), at: now, beside: 0 }, now);
        }
        assert_eq!(refusals.of_one.len(), MOST_CALLERS);
        assert_eq!(refusals.peek(flow(0), 0, now), None);
        assert!(refusals.peek(flow(3 * MOST_CALLERS - 1), 0, now).is_some());
    }
}
