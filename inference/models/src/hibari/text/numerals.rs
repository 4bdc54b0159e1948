//! Sounds of numbers: cardinals, ordinals, years, decimals, and those inside words.

use ttsfleet_reading::english;

use super::{
    lexicon::{Lexicon, Place, with_ed, with_ing, with_s},
    stress::Stress,
};

const SUFFIXES: [&str; 9] = ["ing", "'d", "ed", "'s", "st", "nd", "rd", "th", "s"];
const ORDINAL_SUFFIXES: [&str; 4] = ["st", "nd", "rd", "th"];

/// Digits with separators, a suffix perhaps, and a minus at a word's head.
pub(super) fn is_number(word: &str, is_head: bool) -> bool {
    if !word.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let body = SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
    let body = if is_head { body.strip_prefix('-').unwrap_or(body) } else { body };
    body.bytes().all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'.')
}

/// Phonemes of a number. `is_head` is false for numbers inside a word such as
/// "MP3", which are read shorter.
pub(super) fn pronounce(lexicon: &Lexicon, word: &str, is_head: bool) -> Option<String> {
    let body = word.trim_end_matches(|c: char| c.is_ascii_lowercase() || c == '\'');
    let suffix = &word[body.len()..];
    let mut reader = Reader::new(lexicon);
    let number = match body.strip_prefix('-') {
        Some(number) => {
            reader.say("minus");
            number
        }
        None => body,
    };
    reader.number(number, suffix, is_head);
    let phonemes = reader.finish()?;
    Some(match suffix {
        "s" | "'s" => with_s(&phonemes),
        "ed" | "'d" => with_ed(&phonemes),
        "ing" => with_ing(&phonemes),
        _ => phonemes,
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Collects the words of a number as phonemes.
struct Reader<'a> {
    lexicon: &'a Lexicon,
    words: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(lexicon: &'a Lexicon) -> Self {
        Self { lexicon, words: Vec::new() }
    }

    fn finish(self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(" "))
    }

    fn say(&mut self, words: &str) {
        for word in words.split([' ', '-']) {
            let stress = (word == "point").then_some(Stress::None);
            self.words.extend(self.lexicon.look_up(word, Place { stress, ..Place::default() }));
        }
    }

    fn number(&mut self, number: &str, suffix: &str, is_head: bool) {
        let plain = number.replace(',', "");
        let ordinal = ORDINAL_SUFFIXES.contains(&suffix) && !number.contains('.');
        let minus = !self.words.is_empty();
        let points = number.matches('.').count();
        let code = number.len() > 1 && number.starts_with('0');
        if ordinal && (is_head || is_digits(number)) {
            self.say(&english::ordinal(&plain));
        } else if is_digits(number) && (code || (number.len() == 4 && !minus)) {
            self.say(&english::number(number));
        } else if !is_head && points == 0 {
            self.inside_word(&plain);
        } else if !is_head || points > 1 {
            plain.split('.').filter(|part| !part.is_empty()).for_each(|part| self.version_part(part));
        } else if is_digits(number) {
            self.say(&english::cardinal(number));
        } else {
            self.say(&english::number(number));
        }
    }

    /// "MP3", "B52", "x264": up to three digits as people say model numbers.
    fn inside_word(&mut self, digits: &str) {
        if digits.starts_with('0') || digits.len() > 3 {
            self.say(&english::digit_names(digits));
        } else if digits.len() == 3 && !digits.ends_with("00") {
            self.say(&english::cardinal(&digits[..1]));
            match digits[1..].strip_prefix('0') {
                Some(last) => {
                    let place = Place { stress: Some(Stress::None), ..Place::default() };
                    self.words.extend(self.lexicon.look_up("O", place));
                    self.say(&english::cardinal(last));
                }
                None => self.say(&english::cardinal(&digits[1..])),
            }
        } else {
            self.say(&english::cardinal(digits));
        }
    }

    /// One part of "192.168.0.1": two digits as a number, else digit by digit.
    fn version_part(&mut self, digits: &str) {
        let round = digits.bytes().skip(1).all(|digit| digit == b'0');
        if digits.starts_with('0') || (digits.len() != 2 && !round) {
            self.say(&english::digit_names(digits));
        } else {
            self.say(&english::cardinal(digits));
        }
    }
}
