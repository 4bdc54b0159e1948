//! What the gateway says of a request's caller.

use std::time::Duration;

use axum::http::HeaderMap;
use ttsfleet_wire::headers::{CALLER, LONG, PATIENCE_MS, TIER, WEIGHT};

use crate::callers::{Caller, Claim};

/// The longest name of a tier or a caller, in bytes; whoever has a longer one is
/// taken for one without.
const LONGEST_NAME: usize = 128;
const WEIGHTS: std::ops::RangeInclusive<u16> = 1..=100;

/// The claim of a request; that of one without headers is everybody's.
pub(super) fn claim(headers: &HeaderMap) -> Claim {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = |header| Some(text(header)).filter(|name| name.len() <= LONGEST_NAME).unwrap_or_default();
    let weight = text(WEIGHT).parse().ok().filter(|weight| WEIGHTS.contains(weight)).unwrap_or(1);
    Claim {
        caller: Caller { tier: name(TIER).into(), name: name(CALLER).into() },
        weight,
        long: text(LONG) == "true",
        patience: text(PATIENCE_MS).parse().ok().map(|ms: u32| Duration::from_millis(ms.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Claim {
        claim(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn the_gateways_headers_say_who_asks() {
        let claim =
            of(&[(TIER, "gold"), (WEIGHT, "3"), (CALLER, "k7"), (LONG, "true"), (PATIENCE_MS, "750")]);
        let caller = Caller { tier: "gold".into(), name: "k7".into() };
        let patience = Some(Duration::from_millis(750));
        assert_eq!(claim, Claim { caller, weight: 3, long: true, patience });
    }

    #[test]
    fn who_says_nothing_usable_is_everybody() {
        let nobody = Claim { caller: Caller::default(), weight: 1, long: false, patience: None };
        assert_eq!(of(&[]), nobody);
        let long_name = "x".repeat(LONGEST_NAME + 1);
        for weight in ["0", "101", "-1", "heavy"] {
            assert_eq!(
                of(&[
                    (TIER, &long_name),
                    (WEIGHT, weight),
                    (CALLER, &long_name),
                    (LONG, "1"),
                    (PATIENCE_MS, "soon")
                ]),
                nobody
            );
        }
    }
}
