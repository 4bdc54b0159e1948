//! Who asks, and what part of the server is theirs.
//!
//! Tiers share by their weights, and the callers of a tier share its part
//! equally. Only those count who have asked lately.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a caller counts after it has asked.
const LATELY: Duration = Duration::from_secs(10);
/// Callers remembered at most; more than a server can serve in that time.
const MOST: usize = 4096;

/// A caller of a tier; who says nothing of itself is the one without a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) tier: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// A caller, with what its tier may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) caller: Caller,
    /// Weight of the tier, 1 to 100.
    pub(crate) weight: u16,
    /// Whether the text is so long that it has to wait for shorter ones.
    pub(crate) long: bool,
    /// How long it may wait for a thread; for ever without.
    pub(crate) patience: Option<Duration>,
}

/// How long a thread would have to be waited for, judged by who waits already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outlook {
    /// By one more request of this caller.
    pub(crate) wait: Duration,
    /// By a short one of somebody who waits for none so far.
    pub(crate) newcomer: Duration,
}

/// How full the server is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Requests that there are places for.
    pub(crate) places: usize,
    /// Requests inside.
    pub(crate) inside: usize,
    /// Requests inside when the queue has drained to half; given while the
    /// queue breaker is open.
    pub(crate) drained: Option<usize>,
    /// What is to be expected.
    pub(crate) outlook: Outlook,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no place for anybody.
    Full,
    /// The queue is too deep or too slow for anybody.
    Busy,
    /// What is left is for those who have less of it than this caller.
    OverShare,
    /// The same, while the queue is too deep, or too slow for this caller.
    BusyOverShare,
}

/// The callers of the last seconds.
#[derive(Default)]
pub(crate) struct Callers {
    known: HashMap<Caller, Known>,
    tiers: HashMap<Arc<str>, Tier>,
    tidied: Option<Instant>,
}

struct Known {
    inside: usize,
    seen: Instant,
}

struct Tier {
    weight: u16,
    callers: usize,
}

impl Callers {
    /// Notes that a caller asks, and judges whether it may come in.
    pub(crate) fn judge(&mut self, claim: &Claim, room: Room, now: Instant) -> Result<(), Refusal> {
        self.note(claim, now);
        if room.inside >= room.places {
            return Err(Refusal::Full);
        }
        let (wants, others) = (self.inside(&claim.caller) + 1, self.known.len() > 1);
        if let Some(drained) = room.drained {
            let share = self.share(&claim.caller, drained);
            if wants as f64 > share {
                return Err(if others && share >= 1.0 { Refusal::BusyOverShare } else { Refusal::Busy });
            }
        }
        // What is expected is a guess: with a third to spare few wait in vain.
        if claim.patience.is_some_and(|patience| room.outlook.wait > patience * 2 / 3) {
            return Err(self.impatient(claim, room.outlook));
        }
        // The last quarter is for those who have less than their share.
        let is_reserve = others && room.inside >= room.places - room.places / 4;
        if is_reserve && wants as f64 > self.share(&claim.caller, room.places).max(1.0) {
            return Err(Refusal::OverShare);
        }
        Ok(())
    }

    /// The refusal of a request that would wait too long, or has.
    pub(crate) fn impatient(&self, claim: &Claim, outlook: Outlook) -> Refusal {
        let others_may = claim.patience.is_some_and(|patience| outlook.newcomer <= patience * 2 / 3);
        if others_may && self.known.len() > 1 { Refusal::BusyOverShare } else { Refusal::Busy }
    }

    /// Notes that a caller asks; answers its share of all there is.
    pub(crate) fn asks(&mut self, claim: &Claim, now: Instant) -> f64 {
        self.note(claim, now);
        self.share(&claim.caller, 1)
    }

    /// Counts a request as inside; answers its caller's share of all there is.
    pub(crate) fn enter(&mut self, claim: &Claim, now: Instant) -> f64 {
        self.note(claim, now);
        if let Some(known) = self.known.get_mut(&claim.caller) {
            known.inside += 1;
        }
        self.share(&claim.caller, 1)
    }

    pub(crate) fn leave(&mut self, caller: &Caller, now: Instant) {
        if let Some(known) = self.known.get_mut(caller) {
            known.inside = known.inside.saturating_sub(1);
            known.seen = now;
        }
    }

    fn inside(&self, caller: &Caller) -> usize {
        self.known.get(caller).map_or(0, |known| known.inside)
    }

    /// What part of so many places is a caller's.
    pub(crate) fn share(&self, caller: &Caller, places: usize) -> f64 {
        let Some(tier) = self.tiers.get(&caller.tier) else { return places as f64 };
        let weights: f64 = self.tiers.values().map(|tier| f64::from(tier.weight)).sum();
        places as f64 * f64::from(tier.weight) / weights / tier.callers as f64
    }

    fn note(&mut self, claim: &Claim, now: Instant) {
        self.tidy(now);
        let Claim { caller, weight, .. } = claim;
        if let Some(known) = self.known.get_mut(caller) {
            known.seen = now;
        } else if self.known.len() < MOST {
            self.known.insert(caller.clone(), Known { inside: 0, seen: now });
            let tier = Tier { weight: *weight, callers: 0 };
            self.tiers.entry(Arc::clone(&caller.tier)).or_insert(tier).callers += 1;
        }
        if let Some(tier) = self.tiers.get_mut(&caller.tier) {
            tier.weight = *weight;
        }
    }

    /// Forgets who has not asked lately; not more than once a second.
    fn tidy(&mut self, now: Instant) {
        if self.tidied.is_some_and(|tidied| now < tidied + Duration::from_secs(1)) {
            return;
        }
        self.tidied = Some(now);
        let Self { known, tiers, .. } = self;
        known.retain(|caller, known| {
            let stays = known.inside > 0 || now.saturating_duration_since(known.seen) < LATELY;
            if let Some(tier) = tiers.get_mut(&caller.tier).filter(|_| !stays) {
                tier.callers -= 1;
            }
            stays
        });
        tiers.retain(|_, tier| tier.callers > 0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn claim(tier: &str, name: &str, weight: u16) -> Claim {
        Claim { caller: Caller { tier: tier.into(), name: name.into() }, weight, long: false, patience: None }
    }

    /// Thirty places.
    fn room(inside: usize) -> Room {
        Room { places: 30, inside, drained: None, outlook: Outlook::default() }
    }

    /// Eight threads and half of a queue of twenty.
    fn busy(inside: usize) -> Room {
        Room { drained: Some(18), ..room(inside) }
    }

    fn enter(callers: &mut Callers, claim: &Claim, count: usize, now: Instant) {
        (0..count).for_each(|_| _ = callers.enter(claim, now));
    }

    #[test]
    fn a_caller_alone_may_have_all_places() {
        let (mut callers, now, only) = (Callers::default(), Instant::now(), claim("", "", 1));
        enter(&mut callers, &only, 29, now);
        assert_eq!(callers.judge(&only, room(29), now), Ok(()));
        enter(&mut callers, &only, 1, now);
        assert_eq!(callers.judge(&only, room(30), now), Err(Refusal::Full));
    }

    #[test]
    fn a_caller_alone_is_refused_by_the_breaker_until_the_queue_has_drained() {
        let (mut callers, now, only) = (Callers::default(), Instant::now(), claim("", "", 1));
        enter(&mut callers, &only, 18, now);
        assert_eq!(callers.judge(&only, busy(18), now), Err(Refusal::Busy));
    }

    #[test]
    fn the_last_places_are_for_those_who_have_less_than_their_share() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let (heavy, light) = (claim("", "heavy", 1), claim("", "light", 1));
        callers.judge(&light, room(0), now).unwrap();
        enter(&mut callers, &heavy, 22, now);
        assert_eq!(callers.judge(&heavy, room(22), now), Ok(()), "not the last quarter yet");
        enter(&mut callers, &heavy, 1, now);
        assert_eq!(callers.judge(&heavy, room(23), now), Err(Refusal::OverShare));
        assert_eq!(callers.judge(&light, room(23), now), Ok(()));
        enter(&mut callers, &light, 7, now);
        assert_eq!(callers.judge(&light, room(30), now), Err(Refusal::Full));
    }

    #[test]
    fn an_open_breaker_lets_those_in_who_have_less_than_their_share() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let (heavy, light) = (claim("", "heavy", 1), claim("", "light", 1));
        enter(&mut callers, &heavy, 26, now);
        assert_eq!(callers.judge(&light, busy(26), now), Ok(()));
        assert_eq!(callers.judge(&heavy, busy(26), now), Err(Refusal::BusyOverShare));
    }

    #[test]
    fn an_open_breaker_is_open_for_all_where_all_are_light() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let many: Vec<Claim> = (0..25).map(|number| claim("", &number.to_string(), 1)).collect();
        many.iter().for_each(|claim| enter(&mut callers, claim, 1, now));
        let new = claim("", "new", 1);
        assert_eq!(callers.judge(&new, busy(25), now), Err(Refusal::Busy));
        assert_eq!(callers.judge(&new, room(25), now), Ok(()), "a place is there for it all the same");
    }

    #[test]
    fn who_would_wait_too_long_is_refused_and_others_are_only_if_they_would_too() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let heavy = Claim { patience: Some(Duration::from_millis(1500)), ..claim("", "heavy", 1) };
        let slow = |wait, newcomer| Room {
            outlook: Outlook { wait: Duration::from_millis(wait), newcomer: Duration::from_millis(newcomer) },
            ..room(5)
        };
        assert_eq!(callers.judge(&heavy, slow(1000, 100), now), Ok(()), "just in time");
        assert_eq!(callers.judge(&heavy, slow(1001, 100), now), Err(Refusal::Busy), "there is no other");
        callers.enter(&claim("", "light", 1), now);
        assert_eq!(callers.judge(&heavy, slow(1001, 100), now), Err(Refusal::BusyOverShare));
        assert_eq!(callers.judge(&heavy, slow(1001, 1001), now), Err(Refusal::Busy));
        let patient = Claim { patience: None, ..heavy };
        assert_eq!(callers.judge(&patient, slow(60_000, 60_000), now), Ok(()));
    }

    #[test]
    fn tiers_share_by_weight_and_callers_of_a_tier_equally() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        let (gold, one, two) = (claim("gold", "a", 3), claim("free", "b", 1), claim("free", "c", 1));
        for claim in [&gold, &one, &two] {
            callers.enter(claim, now);
        }
        let share = |claim: &Claim| callers.share(&claim.caller, 40);
        assert_eq!([&gold, &one, &two].map(share), [30.0, 5.0, 5.0]);
    }

    #[test]
    fn who_has_not_asked_lately_has_no_share() {
        let (mut callers, start) = (Callers::default(), Instant::now());
        let (old, new, inside) = (claim("a", "old", 1), claim("b", "new", 1), claim("c", "inside", 1));
        callers.note(&old, start);
        callers.enter(&inside, start);
        callers.note(&new, start + LATELY);
        assert_eq!(callers.share(&new.caller, 30), 15.0, "who is inside counts however long");
        callers.leave(&inside.caller, start + LATELY);
        callers.note(&new, start + 2 * LATELY);
        assert_eq!(callers.share(&new.caller, 30), 30.0);
        assert_eq!((callers.known.len(), callers.tiers.len()), (1, 1));
    }

    #[test]
    fn no_more_callers_are_remembered_than_are_served() {
        let (mut callers, now) = (Callers::default(), Instant::now());
        for number in 0..2 * MOST {
            let stranger = claim("t", &number.to_string(), 1);
            assert_eq!(callers.judge(&stranger, room(29), now), Ok(()));
        }
        assert_eq!(callers.known.len(), MOST);
    }
}
