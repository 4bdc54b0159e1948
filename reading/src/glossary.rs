//! Words that somebody says how to read, found in a text.
//!
//! They are found as readers find them: whole, whatever their case, their hyphens
//! and apostrophes, and how many blanks there are between several. Where one is the
//! beginning of another, the longer one is meant. Words and texts are expected as
//! [`composed`] makes them.

use std::{borrow::Cow, ops::Range};

use unicode_normalization::UnicodeNormalization;

/// What ends a sentence, or a line that is as good.
const ENDS: &str = ".!?…:\n";
/// What may stand between that and the next sentence.
const BETWEEN: &str = "\"“”‘’'([";

/// Words, or several that are one, each known by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glossary {
    /// As they are compared, in their order, none twice.
    words: Vec<(Vec<char>, usize)>,
}

/// A text in Unicode's composed form, in which what looks the same is the same.
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfc().collect::<String>().into() }
}

/// A word in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands, in bytes.
    pub place: Range<usize>,
    /// Its number.
    pub number: usize,
}

impl Glossary {
    /// The words, by their numbers from 0 on. Of those that readers take for the
    /// same the first counts.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut words: Vec<_> = words.into_iter().map(key).zip(0..).collect();
        words.retain(|(word, _)| !word.is_empty());
        words.sort_unstable();
        words.dedup_by(|later, first| later.0 == first.0);
        Self { words }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Those in a text, from left to right, none within another. Takes time in
    /// proportion to the text, times the length of the longest word.
    pub fn find(&self, text: &str) -> impl Iterator<Item = Found> {
        let (mut at, mut in_word) = (0, false);
        std::iter::from_fn(move || {
            while let Some(c) = text[at..].chars().next().filter(|_| !self.is_empty()) {
                let begins = !(in_word && is_of_word(c));
                if let Some((end, number)) = begins.then(|| self.longest(text, at)).flatten() {
                    let place = at..end;
                    (at, in_word) = (end, text[..end].ends_with(is_of_word));
                    return Some(Found { place, number });
                }
                (at, in_word) = (at + c.len_utf8(), is_of_word(c));
            }
            None
        })
    }

    /// A text with what is said `instead` in the place of each word, for which there
    /// is something.
    pub fn replace<'s>(&self, text: &str, mut instead: impl FnMut(Found) -> Option<Cow<'s, str>>) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut from = 0;
        for found in self.find(text) {
            let place = found.place.clone();
            let Some(said) = instead(found) else { continue };
            replaced.push_str(&text[from..place.start]);
            let said = if begins_sentence(&replaced) { as_written(said, &text[place.clone()]) } else { said };
            if replaced.ends_with(is_of_word) && said.starts_with(is_of_word) {
                replaced.push(' ');
            }
            replaced.push_str(&said);
            if said.ends_with(is_of_word) && text[place.end..].starts_with(is_of_word) {
                replaced.push(' ');
            }
            from = place.end;
        }
        replaced.push_str(&text[from..]);
        replaced
    }

    /// The longest word that begins there, its end and its number.
    fn longest(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        let mut longest = None;
        // Those that begin like the text; all of them are longer than what was read.
        let mut left = &self.words[..];
        let mut rest = text[at..].char_indices().peekable();
        for length in 0.. {
            let Some((_, first)) = rest.next() else { break };
            let c = alike(first);
            let from = left.partition_point(|(word, _)| word[length] < c);
            let to = left.partition_point(|(word, _)| word[length] <= c);
            left = &left[from..to];
            let Some(((word, number), longer)) = left.split_first() else { break };
            if c == ' ' {
                let more = std::iter::from_fn(|| rest.next_if(|(_, next)| next.is_whitespace()));
                let lines = more.filter(|(_, blank)| *blank == '\n').count();
                // Another paragraph begins.
                if lines + usize::from(first == '\n') > 1 {
                    break;
                }
            }
            if word.len() == length + 1 {
                let end = rest.peek().map_or(text.len(), |(offset, _)| at + offset);
                if !(is_of_word(c) && text[end..].starts_with(is_of_word)) {
                    longest = Some((end, *number));
                }
                left = longer;
            }
        }
        longest
    }
}

/// A word as it is compared.
fn key(word: &str) -> Vec<char> {
    word.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(alike).collect()
}

/// The same for all characters that readers take for the same.
fn alike(c: char) -> char {
    match c {
        '‘' | '’' | 'ʼ' => '\'',
        '‐' | '‑' | '‒' | '−' => '-',
        _ if c.is_ascii() => {
            if c.is_ascii_whitespace() {
                ' '
            } else {
                c.to_ascii_lowercase()
            }
        }
        _ if c.is_whitespace() => ' ',
        _ => {
            let mut lower = c.to_lowercase();
            lower.next().filter(|_| lower.next().is_none()).unwrap_or(c)
        }
    }
}

/// Whether a character goes on with a word; accents by themselves do.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}')
}

fn begins_sentence(before: &str) -> bool {
    let before = before.trim_end_matches(|c: char| c == ' ' || BETWEEN.contains(c));
    before.is_empty() || before.ends_with(|c| ENDS.contains(c))
}

/// With a capital letter, if the word has one: a sentence is told by it.
fn as_written<'s>(said: Cow<'s, str>, word: &str) -> Cow<'s, str> {
    match said.chars().next() {
        Some(first) if word.starts_with(char::is_uppercase) && first.is_lowercase() => {
            first.to_uppercase().chain(said.chars().skip(1)).collect::<String>().into()
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const WORDS: [(&str, &str); 11] = [
        ("kubectl", "cube control"),
        ("C#", "see sharp"),
        ("C++", "see plus plus"),
        (".NET", "dot net"),
        ("GPT-4o", "gee pee tee four oh"),
        ("k8s", "kates"),
        ("O'Brien", "oh bryan"),
        ("New York", "noo york"),
        ("new york times", "the times"),
        ("Łódź", "woodge"),
        ("世界", "the world"),
    ];

    fn replaced(text: &str) -> String {
        let glossary = Glossary::new(WORDS.map(|(word, _)| word));
        glossary.replace(text, |found| Some(WORDS[found.number].1.into()))
    }

    #[rstest]
    #[case("use kubectl, or KUBECTL.", "use cube control, or cube control.")]
    #[case("kubectl's kubectl-based (kubectl)", "cube control's cube control-based (cube control)")]
    #[case("kubectls mykubectl kubectl2 kubectle\u{301}", "kubectls mykubectl kubectl2 kubectle\u{301}")]
    #[case("C# and C++11 on ASP.NET", "See sharp and see plus plus 11 on ASP dot net")]
    #[case("a C or C#7, not AC#", "a C or see sharp 7, not AC#")]
    #[case("gpt\u{2011}4O and GPT-4 on K8S", "gee pee tee four oh and GPT-4 on kates")]
    #[case("so O’Brien said", "so oh bryan said")]
    #[case("in New\n York", "in noo york")]
    #[case("in New York Times", "in the times")]
    #[case("it is new\n\nYork is not", "it is new\n\nYork is not")]
    #[case("in ŁÓDŹ, łódź", "in woodge, woodge")]
    #[case("the 世界!", "the the world!")]
    fn words_are_found_as_readers_find_them(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(replaced(text), expected);
    }

    #[test]
    fn a_sentence_that_began_with_a_capital_letter_still_does() {
        assert_eq!(replaced("Kubectl? “Kubectl. kubectl"), "Cube control? “Cube control. cube control");
        assert_eq!(replaced("My KUBECTL\nKubectl"), "My cube control\nCube control");
    }

    #[test]
    fn what_is_said_instead_is_not_looked_at_again() {
        let glossary = Glossary::new(["a", "b"]);
        let said = glossary.replace("a b b c", |found| Some(["b b", "a"][found.number].into()));
        assert_eq!(said, "b b a a c");
    }

    #[test]
    fn of_words_that_are_the_same_to_a_reader_the_first_counts() {
        let found = |words: [&str; 3]| -> Vec<_> {
            Glossary::new(words).find("x GIF").map(|found| found.number).collect()
        };
        assert_eq!(found(["gif", "GIF", ""]), [0]);
        assert_eq!(found(["", "Gif", "gif"]), [1]);
        assert!(Glossary::new([" ", ""]).is_empty());
    }

    #[test]
    fn a_word_without_anything_to_say_instead_stays() {
        assert_eq!(Glossary::new(["a"]).replace("a B a", |_| None), "a B a");
        assert_eq!(Glossary::default().replace("a", |_| Some("b".into())), "a");
    }
}
