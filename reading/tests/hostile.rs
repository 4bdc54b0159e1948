//! Texts that were made to break rules.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use ttsfleet_reading::{Glossary, Normalizer, Words, plain_signs};

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

/// Whole words, from left to right, whatever stands between them.
fn is_whole(text: &str, place: &std::ops::Range<usize>) -> bool {
    let word = &text[place.clone()];
    let meets = |before: Option<char>, after: Option<char>| {
        before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
    };
    !meets(text[..place.start].chars().next_back(), word.chars().next())
        && !meets(word.chars().next_back(), text[place.end..].chars().next())
}

proptest! {
    #[test]
    fn whatever_words_are_looked_for_whole_ones_are_found_in_their_order(
        words in prop::collection::vec("[aBİß#. \\-\u{2011}'\u{301}\u{e000}世]{0,5}", 0..12),
        text in "[AbİSß#. \\-\u{2011}’\n\u{301}\u{e000}世]{0,60}",
    ) {
        let glossary = Glossary::new(words.iter().map(String::as_str));
        let mut from = 0;
        for found in glossary.find(&text) {
            prop_assert!(found.place.start >= from && found.place.end > found.place.start);
            prop_assert!(is_whole(&text, &found.place), "{:?} in {text:?}", &text[found.place.clone()]);
            prop_assert!(found.number < words.len());
            from = found.place.end;
        }
        // Each is said once at most, and the rest of the text as it is.
        let count = glossary.find(&text).count();
        let replaced = glossary.replace(&text, |_| Some("\u{1}".into()));
        prop_assert_eq!(replaced.matches('\u{1}').count(), count);
    }

    #[test]
    fn a_word_is_found_where_it_stands_by_itself(word in "\\PC{1,20}", before in "[a-z]{1,5}") {
        let glossary = Glossary::new([word.as_str()]);
        let text = format!("{before} \n{word} {before}");
        prop_assume!(!word.trim().is_empty() && !before.contains(word.trim()));
        prop_assert!(glossary.find(&text).next().is_some(), "{word:?} in {text:?}");
    }
}
