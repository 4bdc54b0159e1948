//! Texts that were made to break rules.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use ttsfleet_reading::{Normalizer, Words, plain_signs};

static ENGLISH: LazyLock<Normalizer> =
    LazyLock::new(|| Normalizer::new(Words::common()).expect("the common words make rules"));

#[test]
fn long_input_takes_time_in_proportion() {
    LazyLock::force(&ENGLISH);
    for unit in [
        "1",
        "1,",
        "1,2",
        "1 000 ",
        "000 ",
        "1.",
        "1:",
        "1/",
        "1-",
        "1'",
        "1_",
        "$5",
        "$5-",
        "€",
        "5 $ ",
        "1x",
        "1^",
        "1e",
        "+1 ",
        "-",
        "a-",
        "a.",
        "a@",
        "f0",
        "deadbee1 ",
        "IV ",
        "X",
        "Part I ",
        "St. ",
        "Elm St. ",
        "Dr. ",
        "v1.",
        "[a",
        "‘",
        "'",
        "in' ",
        "#",
        "<",
        "= ",
        "½",
        "5 m ",
        "a ",
        "Jan ",
        "Mon-",
    ] {
        for (length, bound) in [(4_096, 2), (40_960, 20)] {
            let text = unit.repeat(length / unit.len());
            let started = Instant::now();
            let _ = ENGLISH.normalize(&plain_signs(&text));
            let elapsed = started.elapsed();
            assert!(elapsed < Duration::from_secs(bound), "{unit:?} of {length} took {elapsed:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read(text in "\\PC{0,80}") {
        let _ = ENGLISH.normalize(&plain_signs(&text));
    }

    #[test]
    fn any_mix_of_what_rules_read_is_read(
        text in "([0-9$€£¥%.,:/+*x^<>=#'_½²−⁵-]{1,8}(am|pm|km|th|bn|%|°C| Nov| Dr\\.| St\\.| IV| Part I|\"| kr)? ?){0,12}"
    ) {
        let _ = ENGLISH.normalize(&plain_signs(&text));
    }

    /// Nothing in plain words is touched.
    #[test]
    fn words_stay_what_they_are(text in "[a-z]{3,8}( [a-z]{3,8}){0,9}") {
        prop_assume!(!text.split(' ').any(|word| ["aka", "vs"].contains(&word)));
        prop_assert_eq!(ENGLISH.normalize(&text), text);
    }
}
