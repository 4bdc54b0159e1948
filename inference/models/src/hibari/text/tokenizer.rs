//! Cutting a sentence into words and punctuation the way the tagger's training
//! text was cut: punctuation comes off both ends of what stands between
//! spaces, then hyphens and the like split the rest; a table of exceptions
//! ("don't", "Mr.") overrides all.

use std::collections::HashMap;

use super::tables::read_json;
use crate::{FolderError, ModelFolder};

const QUOTES: &str = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉";
const PUNCTUATION: &str = "…,:;!?¿¡()[]{}<>_#*&。？！，、；：～·";
const ICONS: &str = "™®©°§¶†‡•";
const CURRENCIES: &str = "$£€¥฿₽₹₩₪₺₴₦₫₱₲₵₸₼₾₿";
const UNITS: [&str; 43] = [
    "km", "km²", "km³", "m", "m²", "m³", "dm", "dm²", "dm³", "cm", "cm²", "cm³", "mm", "mm²", "mm³", "ha",
    "µm", "nm", "yd", "in", "ft", "kg", "g", "mg", "µg", "t", "lb", "oz", "m/s", "km/h", "kmh", "mph", "hPa",
    "Pa", "mbar", "mb", "MB", "kb", "KB", "gb", "GB", "tb", "TB",
];
const SHORT_UNITS: [&str; 5] = ["T", "G", "M", "K", "%"];

/// Splits sentences into tokens.
#[derive(Debug)]
pub(super) struct Tokenizer {
    exceptions: HashMap<String, Vec<String>>,
}

impl Tokenizer {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        Ok(Self { exceptions: read_json(folder, "tokenizer_exceptions.json")? })
    }

    /// Tokens, and whether each had space after it.
    pub(super) fn tokens(&self, text: &str) -> Vec<(String, bool)> {
        let mut tokens = Vec::new();
        let mut chunks = text.split_whitespace().peekable();
        while let Some(chunk) = chunks.next() {
            let followed = chunks.peek().is_some();
            tokens.extend(self.chunk(chunk).into_iter().map(|token| (token, false)));
            if let Some(last) = tokens.last_mut() {
                last.1 = followed;
            }
        }
        tokens
    }

    fn chunk(&self, chunk: &str) -> Vec<String> {
        if let Some(known) = self.exceptions.get(chunk) {
            return known.clone();
        }
        let (mut pieces, core, suffixes) = self.peel(chunk);
        if let Some(known) = self.exceptions.get(core) {
            pieces.extend(known.iter().cloned());
        } else {
            pieces.extend(infixes(core));
        }
        pieces.extend(suffixes.into_iter().rev());
        if pieces.len() > 1 { self.rejoin(pieces) } else { pieces }
    }

    /// Takes punctuation off both ends until an exception or a word is left.
    fn peel<'a>(&self, chunk: &'a str) -> (Vec<String>, &'a str, Vec<String>) {
        let (mut rest, mut prefixes, mut suffixes) = (chunk, Vec::new(), Vec::new());
        while !rest.is_empty() && !self.exceptions.contains_key(rest) {
            let (prefix, after) = rest.split_at(prefix_len(rest));
            if !prefix.is_empty() && self.exceptions.contains_key(after) {
                prefixes.push(prefix.to_owned());
                return (prefixes, after, suffixes);
            }
            let suffix_len = suffix_len(after);
            let (before, suffix) = rest.split_at(rest.len() - suffix_len);
            if !suffix.is_empty() && self.exceptions.contains_key(before) {
                suffixes.push(suffix.to_owned());
                return (prefixes, before, suffixes);
            }
            if prefix.is_empty() && suffix.is_empty() {
                break;
            }
            rest = &after[..after.len() - suffix_len];
            prefixes.extend((!prefix.is_empty()).then(|| prefix.to_owned()));
            suffixes.extend((!suffix.is_empty()).then(|| suffix.to_owned()));
        }
        (prefixes, rest, suffixes)
    }

    /// Puts pieces back together that make an exception: "Sept" and ".".
    fn rejoin(&self, pieces: Vec<String>) -> Vec<String> {
        let mut joined = Vec::new();
        let mut rest = pieces.as_slice();
        while let Some(first) = rest.first() {
            let known = [3, 2]
                .into_iter()
                .filter(|count| *count <= rest.len())
                .find_map(|count| self.exceptions.get(&rest[..count].concat()).map(|known| (count, known)));
            match known {
                Some((count, known)) => {
                    joined.extend(known.iter().cloned());
                    rest = &rest[count..];
                }
                None => {
                    joined.push(first.clone());
                    rest = &rest[1..];
                }
            }
        }
        joined
    }
}

fn is_mark(c: char) -> bool {
    PUNCTUATION.contains(c) || QUOTES.contains(c) || ICONS.contains(c) || "—–".contains(c)
}

fn dots_at_start(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b'.').count()
}

fn prefix_len(text: &str) -> usize {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return 0 };
    let signed = second.is_some_and(|next| next.is_ascii_digit());
    match first {
        '.' if dots_at_start(text) > 1 => dots_at_start(text),
        '+' if !signed => 1,
        'U' if text.starts_with("US$") => 3,
        'C' | 'A' if second == Some('$') => 2,
        '%' | '=' => 1,
        _ if is_mark(first) || CURRENCIES.contains(first) => first.len_utf8(),
        _ => 0,
    }
}

fn is_lower(c: char) -> bool {
    matches!(c, 'a'..='z' | 'ß'..='ö' | 'ø'..='ÿ')
}

fn is_upper(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ')
}

fn suffix_len(text: &str) -> usize {
    let mut ends = text.chars().rev();
    let (Some(last), before, second) = (ends.next(), ends.next(), ends.next()) else { return 0 };
    let dots = text.len() - text.trim_end_matches('.').len();
    if dots > 1 {
        return dots;
    }
    if let Some(possessive) = ["'s", "'S", "’s", "’S"].into_iter().find(|end| text.ends_with(end)) {
        return possessive.len();
    }
    if is_mark(last) {
        return last.len_utf8();
    }
    let after_digit = |length: usize| text[..text.len() - length].ends_with(|c: char| c.is_ascii_digit());
    let unit =
        UNITS.iter().chain(&SHORT_UNITS).find(|unit| text.ends_with(**unit) && after_digit(unit.len()));
    if let Some(unit) = unit {
        return unit.len();
    }
    let currency = last == '+' || CURRENCIES.contains(last);
    if currency && after_digit(last.len_utf8()) {
        let prefixed =
            ["US$", "C$", "A$"].iter().find(|sign| text.ends_with(**sign) && after_digit(sign.len()));
        return prefixed.map_or(last.len_utf8(), |sign| sign.len());
    }
    let ends_sentence = |c: char| {
        c.is_ascii_digit()
            || is_lower(c)
            || "%²-+".contains(c)
            || PUNCTUATION.contains(c)
            || QUOTES.contains(c)
    };
    let acronym = before.is_some_and(is_upper) && second.is_some_and(is_upper);
    let degree = second == Some('°') && before.is_some_and(|scale| "FfCcKk".contains(scale));
    usize::from(last == '.' && (before.is_some_and(ends_sentence) || acronym || degree))
}

/// Splits a word at hyphens, slashes and the like between its parts.
fn infixes(word: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < word.len() {
        let length = infix_len(&word[..at], &word[at..]);
        if length > 0 && at > 0 {
            if start < at {
                pieces.push(word[start..at].to_owned());
            }
            pieces.push(word[at..at + length].to_owned());
            start = at + length;
        }
        at += if length > 0 { length } else { word[at..].chars().next().map_or(1, char::len_utf8) };
    }
    if start < word.len() {
        pieces.push(word[start..].to_owned());
    }
    pieces
}

fn infix_len(before: &str, rest: &str) -> usize {
    let mut chars = rest.chars();
    let (Some(sign), next) = (chars.next(), chars.next()) else { return 0 };
    let previous = before.chars().last();
    let after = |test: fn(char) -> bool| previous.is_some_and(test);
    let letter_next = |length: usize| rest[length..].starts_with(char::is_alphabetic);
    let quote = |c: char| QUOTES.contains(c);
    if dots_at_start(rest) > 1 {
        return dots_at_start(rest);
    }
    let one = sign.len_utf8();
    match sign {
        '…' => one,
        _ if ICONS.contains(sign) => one,
        '+' | '-' | '*' | '^'
            if after(|c| c.is_ascii_digit()) && next.is_some_and(|c| c == '-' || c.is_ascii_digit()) =>
        {
            one
        }
        '.' if previous.is_some_and(|c| is_lower(c) || quote(c))
            && next.is_some_and(|c| is_upper(c) || quote(c)) =>
        {
            one
        }
        ',' if after(char::is_alphabetic) && letter_next(one) => one,
        ':' | '<' | '>' | '=' | '/' if after(char::is_alphanumeric) && letter_next(one) => one,
        '-' | '–' | '—' | '~' if after(char::is_alphanumeric) => {
            let dashes = ["-", "–", "—", "--", "---", "——", "~"];
            let found = dashes.iter().find(|dash| rest.starts_with(**dash) && letter_next(dash.len()));
            found.map_or(0, |dash| dash.len())
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let known = |text: &str, parts: &[&str]| {
            (text.to_owned(), parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
        };
        let exceptions = [known("don't", &["do", "n't"]), known("Mr.", &["Mr."]), known("p.m.", &["p.m."])];
        let tokenizer = Tokenizer { exceptions: exceptions.into() };
        tokenizer.tokens(text).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn punctuation_comes_off_both_ends() {
        assert_eq!(tokens("(“Hello,” he said.)"), ["(", "“", "Hello", ",", "”", "he", "said", ".", ")"]);
        assert_eq!(tokens("wait..."), ["wait", "..."]);
    }

    #[test]
    fn exceptions_are_found_inside_punctuation() {
        assert_eq!(tokens("(don't)"), ["(", "do", "n't", ")"]);
        assert_eq!(tokens("Mr. Mr.,"), ["Mr.", "Mr.", ","]);
        assert_eq!(tokens("p.m.)"), ["p.m.", ")"]);
    }

    #[test]
    fn acronyms_and_numbers_lose_the_full_stop() {
        assert_eq!(tokens("NASA."), ["NASA", "."]);
        assert_eq!(tokens("5."), ["5", "."]);
        assert_eq!(tokens("A."), ["A."]);
    }

    #[test]
    fn hyphens_and_slashes_split_words() {
        assert_eq!(tokens("well-known"), ["well", "-", "known"]);
        assert_eq!(tokens("wait--what"), ["wait", "--", "what"]);
        assert_eq!(tokens("A/B"), ["A", "/", "B"]);
        assert_eq!(tokens("-5"), ["-5"]);
    }

    #[test]
    fn currency_comes_off_its_amount() {
        assert_eq!(tokens("US$5 5€ $1,000"), ["US$", "5", "5", "€", "$", "1,000"]);
    }

    #[test]
    fn the_last_token_of_a_chunk_knows_of_the_space_after_it() {
        let tokenizer = Tokenizer { exceptions: HashMap::new() };
        let expected = [("a", false), (",", true), ("b", false)];
        assert_eq!(tokenizer.tokens("a, b"), expected.map(|(token, spaced)| (token.to_owned(), spaced)));
    }
}
