//! Cutting text into sentences, and long sentences into parts.

use ttsfleet_reading::Normalizer;

use super::markup::stand_in;

/// The network was trained on lines up to about this many phonemes.
pub(super) const MAX_PHONEMES: usize = 400;
/// Words whose full stop never ends a sentence.
const NEVER_LAST: [&str; 6] = ["vs", "cf", "approx", "e.g", "i.e", "viz"];
const CLOSING: &str = "\"”’')]";

/// Sentences of a text. Line breaks end one, except inside a sentence that
/// goes on in lower case.
pub(super) fn sentences<'t>(text: &'t str, normalizer: &Normalizer) -> Vec<&'t str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let ends = match c {
            '\n' => text[..at].ends_with('\n') || !continues(&text[start..at], &text[at..]),
            _ if c.is_whitespace() => ends_sentence(&text[start..at], text[at..].trim_start(), normalizer),
            _ => false,
        };
        if ends {
            sentences.push(text[start..at].trim());
            start = at;
        }
    }
    sentences.push(text[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// Whether a line goes on after its break. Given phonemes have no case: mostly they
/// stand in a paragraph.
fn continues(line: &str, rest: &str) -> bool {
    let open = line.trim_end().ends_with(|c: char| c.is_alphanumeric() || c == ',');
    open && rest[1..].starts_with(|c: char| c.is_lowercase() || stand_in(c).is_some())
}

fn ends_sentence(before: &str, after: &str, normalizer: &Normalizer) -> bool {
    let bare = before.trim_end_matches(|c| CLOSING.contains(c));
    let Some(next) = after.chars().next().filter(|next| !next.is_lowercase()) else { return false };
    if !bare.ends_with(['.', '!', '?', '…']) {
        return false;
    }
    let Some(unstopped) = bare.strip_suffix('.') else { return true };
    let start = unstopped.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = unstopped[start..].trim_start().trim_start_matches(['(', '"', '“', '\'', '‘']);
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let number_follows = next.is_ascii_digit() && normalizer.is_abbreviation(word);
    let never = NEVER_LAST.contains(&word.to_lowercase().as_str());
    let title = normalizer.is_title(word)
        && !normalizer.ends_in_street(&unstopped[..unstopped.len() - word.len()], word, after);
    !(title || initial || number_follows || never)
}

/// Parts of at most [`MAX_PHONEMES`]: whole clauses if possible, else words,
/// else wherever the limit falls.
pub(super) fn parts(phonemes: &str) -> Vec<String> {
    if phonemes.chars().count() <= MAX_PHONEMES {
        return vec![phonemes.to_owned()];
    }
    let mut parts = Packer::default();
    for clause in phonemes.split_inclusive([',', ';', ':', '—']).flat_map(|clause| pieces(clause, &[' '])) {
        parts.push(clause);
    }
    parts.finish()
}

/// The clause if it is short enough, else its words, else slices.
fn pieces<'t>(clause: &'t str, separators: &[char]) -> Vec<&'t str> {
    if clause.chars().count() <= MAX_PHONEMES {
        return vec![clause];
    }
    if !separators.is_empty() {
        return clause.split_inclusive(separators).flat_map(|word| pieces(word, &[])).collect();
    }
    let mut slices = Vec::new();
    let mut rest = clause;
    while let Some((at, _)) = rest.char_indices().nth(MAX_PHONEMES) {
        let (slice, after) = rest.split_at(at);
        slices.push(slice);
        rest = after;
    }
    slices.push(rest);
    slices
}

/// Fills parts up to the limit.
#[derive(Default)]
struct Packer {
    full: Vec<String>,
    current: String,
}

impl Packer {
    fn push(&mut self, piece: &str) {
        if self.current.chars().count() + piece.chars().count() > MAX_PHONEMES {
            self.flush();
        }
        self.current.push_str(piece);
    }

    fn flush(&mut self) {
        let part = std::mem::take(&mut self.current);
        if !part.trim().is_empty() {
            self.full.push(part.trim().to_owned());
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.flush();
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_stay_whole() {
        assert_eq!(parts("həlˈO, wˈɜɹld."), ["həlˈO, wˈɜɹld."]);
    }

    #[test]
    fn long_lines_break_after_clauses() {
        let clause = format!("{}, ", "a".repeat(150));
        let expected = [clause.repeat(2).trim().to_owned(), clause.repeat(2).trim().to_owned()];
        assert_eq!(parts(&clause.repeat(4)), expected);
    }

    #[test]
    fn long_clauses_break_between_words_and_long_words_anywhere() {
        let words = parts(&"abcd ".repeat(300));
        assert!(words.iter().all(|part| part.chars().count() <= MAX_PHONEMES));
        assert!(words.iter().all(|part| part.split(' ').all(|word| word == "abcd")));
        let slices = parts(&"ə".repeat(1000));
        assert_eq!(slices.iter().map(|part| part.chars().count()).collect::<Vec<_>>(), [400, 400, 200]);
    }
}
