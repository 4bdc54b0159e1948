//! What is left to a caller: arithmetic on what it has had.

use std::time::Duration;

use ttsfleet_wire::route::Quota;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A moment, as quotas see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Minutes since 1970.
    pub(crate) minute: u64,
    /// Days since 1970, in UTC.
    pub(crate) day: u64,
    into_minute: Duration,
    into_day: Duration,
}

impl Moment {
    /// So long after the beginning of 1970.
    pub(crate) fn at(since: Duration) -> Self {
        let rest = |of: Duration| Duration::from_nanos((since.as_nanos() % of.as_nanos()) as u64);
        Self {
            minute: since.as_secs() / MINUTE.as_secs(),
            day: since.as_secs() / DAY.as_secs(),
            into_minute: rest(MINUTE),
            into_day: rest(DAY),
        }
    }
}

/// What a caller has had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Had {
    /// Requests in the minute before this one.
    pub(crate) before: u64,
    /// Requests in this minute.
    pub(crate) requests: u64,
    /// Characters today.
    pub(crate) characters: u64,
}

/// What is left of one bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until all of it is there again.
    pub(crate) reset: Duration,
}

/// What is left to a caller, where it is bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) requests: Option<Left>,
    pub(crate) characters: Option<Left>,
}

/// The bound that a request would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// It is one request too many; one more may be sent after so long.
    Requests(Duration),
    /// It is too many characters; more may be sent after so long.
    Characters(Duration),
}

/// What is left to a caller who has had so much.
pub(crate) fn allowance(quota: &Quota, had: &Had, now: &Moment) -> Allowance {
    let requests = quota.requests_per_minute.map(|limit| Left {
        limit: limit.into(),
        remaining: u64::from(limit).saturating_sub(in_last_minute(had, now)),
        // Those of this minute count, less and less, to the end of the next.
        reset: match (had.requests, had.before) {
            (0, 0) => Duration::ZERO,
            (0, _) => MINUTE - now.into_minute,
            _ => 2 * MINUTE - now.into_minute,
        },
    });
    let characters = quota.characters_per_day.map(|limit| Left {
        limit,
        remaining: limit.saturating_sub(had.characters),
        reset: if had.characters == 0 { Duration::ZERO } else { DAY - now.into_day },
    });
    Allowance { requests, characters }
}

/// Whether one more request of so many characters is within what is left.
pub(crate) fn check(quota: &Quota, had: &Had, characters: u64, now: &Moment) -> Result<(), Exceeded> {
    let Allowance { requests, characters: left } = allowance(quota, had, now);
    if requests.is_some_and(|left| left.remaining == 0) {
        let limit = u64::from(quota.requests_per_minute.unwrap_or_default());
        return Err(Exceeded::Requests(until_one_more(limit, had, now)));
    }
    if left.is_some_and(|left| left.remaining < characters) {
        return Err(Exceeded::Characters(DAY - now.into_day));
    }
    Ok(())
}

/// Requests of the last sixty seconds, those of the minute before taken as spread
/// evenly over it: two numbers do where else each request's time would be kept.
fn in_last_minute(had: &Had, now: &Moment) -> u64 {
    let still = 1.0 - now.into_minute.as_secs_f64() / MINUTE.as_secs_f64();
    had.requests + (had.before as f64 * still).ceil() as u64
}

/// How long until [`in_last_minute`] is below the limit.
fn until_one_more(limit: u64, had: &Had, now: &Moment) -> Duration {
    let most = limit.saturating_sub(1) as f64;
    // How far into a minute so many of the one before have ceased to count.
    let into = |before: u64, others: u64| {
        MINUTE.mul_f64(1.0 - ((most - others as f64) / before as f64).clamp(0.0, 1.0))
    };
    if (had.requests as f64) <= most {
        into(had.before, had.requests).saturating_sub(now.into_minute)
    } else {
        MINUTE - now.into_minute + into(had.requests, 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn per_minute(limit: u32) -> Quota {
        Quota { requests_per_minute: Some(limit), characters_per_day: None }
    }

    fn had(before: u64, requests: u64) -> Had {
        Had { before, requests, characters: 0 }
    }

    #[test]
    fn requests_of_the_minute_before_count_less_and_less() {
        let left = |had: Had, now| allowance(&per_minute(60), &had, &now).requests.unwrap();
        assert_eq!(left(had(0, 0), at(600)), Left { limit: 60, remaining: 60, reset: Duration::ZERO });
        assert_eq!(left(had(0, 45), at(630)).remaining, 15);
        assert_eq!(left(had(60, 0), at(600)).remaining, 0);
        let half = left(had(60, 10), at(630));
        assert_eq!((half.remaining, half.reset), (20, Duration::from_secs(90)));
        assert_eq!(left(had(60, 0), at(645)).reset, Duration::from_secs(15));
    }

    #[test]
    fn one_request_too_many_is_told_when_to_come_back() {
        let quota = per_minute(60);
        assert_eq!(check(&quota, &had(0, 59), 0, &at(600)), Ok(()));
        // Sixty in this minute: in the next, one after a second.
        assert_eq!(check(&quota, &had(0, 60), 0, &at(630)), Err(Exceeded::Requests(Duration::from_secs(31))));
        assert_eq!(check(&quota, &had(60, 30), 0, &at(630)), Err(Exceeded::Requests(Duration::from_secs(1))));
    }

    #[test]
    fn characters_are_counted_from_midnight_to_midnight() {
        let quota = Quota { requests_per_minute: None, characters_per_day: Some(100) };
        let had = Had { characters: 60, ..Had::default() };
        let now = at(2 * 86_400 - 3600);
        assert_eq!(check(&quota, &had, 40, &now), Ok(()));
        assert_eq!(check(&quota, &had, 41, &now), Err(Exceeded::Characters(Duration::from_secs(3600))));
        let left = allowance(&quota, &had, &now).characters.unwrap();
        assert_eq!(left, Left { limit: 100, remaining: 40, reset: Duration::from_secs(3600) });
        assert_ne!(at(2 * 86_400).day, now.day);
    }

    proptest! {
        #[test]
        fn who_comes_back_when_told_is_let_in(
            limit in 1_u32..100_000, before in 0_u64..200_000, requests in 0_u64..200_000, since in 0_u64..7_200_000,
        ) {
            let now = Moment::at(Duration::from_millis(since));
            let quota = per_minute(limit);
            let Err(Exceeded::Requests(wait)) = check(&quota, &had(before, requests), 0, &now) else { return Ok(()) };
            // Callers are told whole seconds.
            let wait = Duration::from_secs(wait.as_secs() + 1);
            let then = Moment::at(Duration::from_millis(since) + wait);
            let had = match then.minute - now.minute {
                0 => had(before, requests),
                1 => had(requests, 0),
                _ => had(0, 0),
            };
            prop_assert_eq!(check(&quota, &had, 0, &then), Ok(()));
            prop_assert!(wait <= 2 * MINUTE + Duration::from_secs(1));
        }
    }
}
