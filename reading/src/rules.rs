//! Applying rules, each a pattern and a reading, in order.

use fancy_regex::Regex;

use crate::{
    Words,
    found::Found,
    patterns::{Entry, Patterns},
    streets,
};

/// What is said instead of a match; nothing leaves it as it is.
pub(crate) type Reading = fn(&Found<'_, '_>) -> Option<String>;

/// A pattern that cannot match in texts without certain characters.
#[derive(Debug)]
struct Rule {
    /// One of each of these must be in the text.
    needs: Vec<Marks>,
    pattern: Regex,
    reading: Reading,
}

/// Which characters a text has: one bit for each of ASCII, all digits one, one
/// for full stops within a word, and one for what is not ASCII.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Marks(u128);

/// Stands for a full stop with a letter or digit after it.
const POINT: u8 = 1;
/// Stands for what is not ASCII.
const BEYOND: u8 = 127;

impl Marks {
    fn of(text: &str) -> Self {
        let (mut marks, mut stop) = (0, false);
        for byte in text.bytes() {
            if stop && byte.is_ascii_alphanumeric() {
                marks |= 1 << POINT;
            }
            stop = byte == b'.';
            marks |= 1_u128
                << match byte {
                    b'0'..=b'9' => b'0',
                    0..=127 => byte,
                    _ => BEYOND,
                };
        }
        Self(marks)
    }

    /// What a rule needs: groups with a space between them.
    fn needed(groups: &str) -> Vec<Self> {
        groups.split_whitespace().map(Self::of).collect()
    }

    fn allow(self, needs: &[Self]) -> bool {
        needs.iter().all(|group| self.0 & group.0 != 0)
    }
}

/// Why rules cannot be made: a word table with characters that break a pattern.
#[derive(Debug)]
pub struct RulesError(Box<fancy_regex::Error>);

impl std::fmt::Display for RulesError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "its words make no pattern: {}", self.0)
    }
}

impl std::error::Error for RulesError {}

/// Applies the rules in order.
#[derive(Debug)]
pub struct Normalizer {
    words: Words,
    rules: Vec<Rule>,
}

impl Normalizer {
    /// Rules for a table of words; what it lacks is added.
    ///
    /// # Errors
    /// A word that makes a pattern too large.
    pub fn new(words: Words) -> Result<Self, RulesError> {
        let words = words.completed();
        let compile = |(needs, pattern, reading): Entry| {
            // Only ASCII digits are numbers here.
            let pattern = Regex::new(&pattern.replace(r"\d", "[0-9]"))?;
            Ok(Rule { needs: Marks::needed(needs), pattern, reading })
        };
        let rules = Patterns::of(&words).all(&words).map(compile).collect::<Result<_, fancy_regex::Error>>();
        Ok(Self { rules: rules.map_err(|error| RulesError(Box::new(error)))?, words })
    }

    /// Whether this is known to end in a full stop without ending a sentence.
    pub fn is_title(&self, word: &str) -> bool {
        self.words.title(word).is_some()
    }

    /// Whether "St" or "Dr" ends a sentence as part of a street's name: a
    /// number or a name stands before it, and the next word starts a sentence.
    pub fn ends_in_street(&self, before: &str, short: &str, after: &str) -> bool {
        streets::is_street(before, short, after) && streets::starts_sentence(after)
    }

    /// Whether the word with a full stop is an abbreviation.
    pub fn is_abbreviation(&self, word: &str) -> bool {
        self.words.abbreviation(&format!("{word}.")).is_some()
            || matches!(word, "No" | "Nos" | "Rs" | "c" | "p" | "ext" | "min" | "max" | "pop")
    }

    /// One sentence in words; plain numbers stay digits.
    pub fn normalize(&self, sentence: &str) -> String {
        let mut text = single_spaced(sentence).replace('’', "'");
        let mut marks = Marks::of(&text);
        for rule in self.rules.iter() {
            if !marks.allow(&rule.needs) {
                continue;
            }
            if let Some(rewritten) = self.rewrite(rule, &text) {
                text = rewritten;
                marks = Marks::of(&text);
            }
        }
        single_spaced(&text)
    }

    /// The text with every match replaced; `None` when there is none. A match
    /// that the engine gives up on is left as it is.
    fn rewrite(&self, rule: &Rule, text: &str) -> Option<String> {
        let mut rewritten = String::new();
        let mut end = 0;
        for captures in rule.pattern.captures_iter(text).map_while(Result::ok) {
            let found = Found { words: &self.words, captures: &captures, text };
            let Some((whole, words)) = captures.get(0).zip((rule.reading)(&found)) else { continue };
            rewritten.push_str(&text[end..whole.start()]);
            rewritten.push_str(&words);
            end = whole.end();
        }
        (end > 0).then(|| rewritten + &text[end..])
    }
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_tried_only_where_it_can_match() {
        let marks = Marks::of("it costs 5 €.");
        for (needs, allowed) in [
            ("", true),
            ("0", true),
            ("$", false),
            ("$\u{80}", true),
            ("Z", false),
            ("0 .", true),
            ("0 \u{1}", false),
            ("0 Z", false),
        ] {
            assert_eq!(marks.allow(&Marks::needed(needs)), allowed, "{needs:?}");
        }
        assert!(Marks::of("v2.0").allow(&Marks::needed("\u{1} v")));
    }
}
