//! What a rule has found, and where.

use fancy_regex::Captures;

use crate::Words;

/// A match in its sentence.
pub(crate) struct Found<'a, 't> {
    pub(crate) words: &'a Words,
    pub(crate) captures: &'a Captures<'t, str>,
    pub(crate) text: &'t str,
}

impl<'t> Found<'_, 't> {
    /// A matched group's text, empty if it took no part.
    pub(crate) fn group(&self, index: usize) -> &'t str {
        self.captures.get(index).map_or("", |group| group.as_str())
    }

    /// Whether a group took part.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.captures.get(index).is_some()
    }

    /// What stands before the match.
    pub(crate) fn before(&self) -> &'t str {
        self.captures.get(0).map_or("", |whole| &self.text[..whole.start()])
    }

    /// What stands after the match.
    pub(crate) fn after(&self) -> &'t str {
        self.captures.get(0).map_or("", |whole| &self.text[whole.end()..])
    }

    /// The word after the match, empty at a pause.
    pub(crate) fn next_word(&self) -> &'t str {
        first_word(self.after())
    }

    /// The word before the match, empty at a pause.
    pub(crate) fn previous_word(&self) -> &'t str {
        last_word(self.before())
    }

    /// Whether the sentence has any of these words.
    pub(crate) fn sentence_has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }
}

/// The letters that a text goes on with after one space.
pub(crate) fn first_word(after: &str) -> &str {
    let Some(rest) = after.strip_prefix(' ') else { return "" };
    let end = rest.find(|c: char| !c.is_alphabetic() && c != '\'').unwrap_or(rest.len());
    &rest[..end]
}

/// The letters that a text ends with before one space.
pub(crate) fn last_word(before: &str) -> &str {
    let Some(rest) = before.strip_suffix(' ') else { return "" };
    let start = rest.rfind(|c: char| !c.is_alphabetic() && c != '\'');
    start.map_or(rest, |at| &rest[at + rest[at..].chars().next().map_or(1, char::len_utf8)..])
}

/// A number that has few digits.
pub(crate) fn number(digits: &str) -> Option<usize> {
    digits.parse().ok()
}

/// Whether an amount is one of something.
pub(crate) fn is_one(amount: &str) -> bool {
    matches!(amount.replace(',', "").as_str(), "1" | "1.0" | "-1")
}

/// Words after which, or before which, an amount is not part of a name: "a $5
/// a day habit".
const NO_NOUNS: [&str; 48] = [
    "a", "about", "above", "after", "and", "apart", "are", "as", "at", "away", "before", "below", "but",
    "by", "deep", "each", "every", "fewer", "for", "from", "high", "if", "in", "is", "it", "later", "less",
    "long", "more", "of", "off", "on", "or", "over", "per", "tall", "than", "that", "the", "then", "they",
    "thick", "to", "under", "was", "wide", "with", "you",
];

/// Whether an amount with this before and this word after belongs to a noun: "a
/// five dollar bill" and not "five dollars".
pub(crate) fn is_attribute(article: &str, next: &str) -> bool {
    !article.is_empty() && next.starts_with(|c: char| c.is_ascii_lowercase()) && !NO_NOUNS.contains(&next)
}
