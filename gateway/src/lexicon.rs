//! The fleet's lexicon: of its entries, those go with a text whose words are in it.

use std::{borrow::Cow, collections::HashSet};

use ttsfleet_reading::{Found, Glossary, composed};
use ttsfleet_wire::lexicon::{self, Lexicon, MOST_ENTRIES};

/// How the fleet has words said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetLexicon {
    /// Words and how they are said, by the numbers that the glossary knows them by.
    entries: Vec<(String, String)>,
    glossary: Glossary,
}

impl FleetLexicon {
    /// Entries that this gateway takes for bad are left out: a pod would refuse every
    /// request with one.
    pub fn new(lexicon: Lexicon) -> Self {
        let entries: Vec<_> =
            lexicon.into_iter().filter(|(word, said)| lexicon::read(word, said).is_ok()).collect();
        let words: Vec<_> = entries.iter().map(|(word, _)| as_found(word)).collect();
        let glossary = Glossary::new(words.iter().map(AsRef::as_ref));
        Self { entries, glossary }
    }

    /// What goes with a text that has `own` entries already; none if nothing is to be
    /// added. As many as a request may have, in the order of the text.
    pub fn with(&self, own: &Lexicon, text: &str) -> Option<Lexicon> {
        if self.glossary.is_empty() {
            return None;
        }
        let text = as_found(text);
        let mut found = self.glossary.find(&text).peekable();
        found.peek()?;
        let own_words: Vec<_> = own.keys().map(|word| as_found(word)).collect();
        let own_words = Glossary::new(own_words.iter().map(AsRef::as_ref));
        let is_own = |word: &str| own_words.find(word).any(|Found { place, .. }| place == (0..word.len()));
        let mut lexicon = own.clone();
        let mut known = HashSet::new();
        for Found { number, .. } in found {
            let (word, said) = &self.entries[number];
            let is_full = lexicon.len() >= MOST_ENTRIES;
            if !is_full && known.insert(number) && !is_own(&as_found(word)) {
                lexicon.insert(word.clone(), said.clone());
            }
        }
        (lexicon.len() > own.len()).then_some(lexicon)
    }
}

/// A text as its words are found. Those with a sign of XML are meant where it is
/// written as XML wants it, too.
fn as_found(text: &str) -> Cow<'_, str> {
    let composed = composed(text);
    if composed.contains("&amp;") { composed.replace("&amp;", "&").into() } else { composed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lexicon(entries: &[(&str, &str)]) -> Lexicon {
        entries.iter().map(|(word, said)| (word.to_string(), said.to_string())).collect()
    }

    fn fleet() -> FleetLexicon {
        FleetLexicon::new(lexicon(&[
            ("AI", "ay eye"),
            ("AT&T", "ay tee and tee"),
            ("New York", "noo york"),
            ("café", "caffay"),
        ]))
    }

    fn added(text: &str) -> Vec<String> {
        fleet().with(&Lexicon::new(), text).unwrap_or_default().into_keys().collect()
    }

    #[test]
    fn entries_go_with_texts_that_have_their_words() {
        for (text, words) in [
            ("He said so.", &[] as &[&str]),
            ("The AI of new\nyork", &["AI", "New York"]),
            ("<speak>AT&amp;T</speak>", &["AT&T"]),
            ("at&t, at&t, **ai**", &["AI", "AT&T"]),
            ("CAFE\u{301}", &["café"]),
            ("", &[]),
        ] {
            assert_eq!(added(text), words, "{text}");
        }
        assert_eq!(FleetLexicon::default().with(&Lexicon::new(), "AI"), None);
    }

    #[test]
    fn a_callers_own_entry_comes_first_however_its_word_is_written() {
        let own = lexicon(&[("ai", "/aɪ/"), ("x", "ex")]);
        assert_eq!(fleet().with(&own, "AI, x"), None);
        let both = fleet().with(&own, "AI in New York").unwrap();
        assert_eq!(both, lexicon(&[("ai", "/aɪ/"), ("x", "ex"), ("New York", "noo york")]));
    }

    #[test]
    fn a_bad_entry_goes_with_no_text() {
        let fleet = FleetLexicon::new(lexicon(&[("a", ""), ("b", "/B/"), ("c", "see")]));
        assert_eq!(fleet.with(&Lexicon::new(), "a b c"), Some(lexicon(&[("c", "see")])));
    }

    #[test]
    fn no_more_go_with_a_text_than_a_request_may_have() {
        let numbers = (100..300).map(|number| (format!("w{number}"), "word".to_owned()));
        let fleet = FleetLexicon::new(numbers.clone().collect());
        let text: String = numbers.rev().map(|(word, _)| word + " ").collect();
        let own = lexicon(&[("own", "mine")]);
        let sent = fleet.with(&own, &text).unwrap();
        assert_eq!(sent.len(), MOST_ENTRIES);
        assert!(sent.contains_key("own") && sent.contains_key("w299") && !sent.contains_key("w100"));
    }

    proptest! {
        #[test]
        fn whatever_is_said_of_whatever_words_a_pod_takes_it(
            fleets in prop::collection::btree_map("[aBİß&;# \u{301}世]{0,5}", "[aß/ˈ#]{0,4}", 0..80),
            own in prop::collection::btree_map("[aBİß&# \u{301}世]{0,3}a", "[aß]{1,4}", 0..4),
            text in "[AbİSß&;# amp\n\u{301}世]{0,60}",
        ) {
            let Some(sent) = FleetLexicon::new(fleets.clone()).with(&own, &text) else { return Ok(()) };
            prop_assert!(sent.len() > own.len() && sent.len() <= MOST_ENTRIES);
            for (word, said) in &sent {
                prop_assert_eq!(Some(said), own.get(word).or_else(|| fleets.get(word)));
                prop_assert!(own.contains_key(word) || lexicon::read(word, said).is_ok());
            }
            prop_assert!(own.keys().all(|word| sent.contains_key(word)));
        }
    }
}
