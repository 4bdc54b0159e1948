//! Reading numbers: cardinals, ordinals, years, decimals, amounts of money.

use super::{
    lexicon::{Lexicon, Place, with_ed, with_ing, with_s},
    numbers,
    stress::Stress,
};

const SUFFIXES: [&str; 9] = ["ing", "'d", "ed", "'s", "st", "nd", "rd", "th", "s"];
const ORDINAL_SUFFIXES: [&str; 4] = ["st", "nd", "rd", "th"];

/// Names of a currency's unit and of its hundredth.
fn currency_names(sign: char) -> Option<(&'static str, &'static str)> {
    match sign {
        '$' => Some(("dollar", "cent")),
        '£' => Some(("pound", "pence")),
        '€' => Some(("euro", "cent")),
        _ => None,
    }
}

/// Whether amounts in this currency are read with its name.
pub(super) fn is_currency(sign: &str) -> Option<char> {
    let mut chars = sign.chars();
    let only = chars.next().filter(|_| chars.next().is_none())?;
    currency_names(only).map(|_| only)
}

/// Adds the currency's name to an amount that was read as words.
pub(super) fn with_currency(lexicon: &Lexicon, phonemes: String, currency: Option<char>) -> String {
    let name = currency.and_then(currency_names).and_then(|(unit, _)| Reader::new(lexicon).plural(unit));
    name.map_or_else(|| phonemes.clone(), |name| format!("{phonemes} {name}"))
}

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
pub(super) fn pronounce(
    lexicon: &Lexicon,
    word: &str,
    currency: Option<char>,
    is_head: bool,
) -> Option<String> {
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
    reader.number(number, suffix, currency, is_head);
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

/// Codes such as "007" are read digit by digit.
fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && is_digits(text)
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

    /// Number words, without the "and" that Americans leave out.
    fn say(&mut self, words: &str) {
        for word in words.split(|c: char| !c.is_ascii_lowercase()).filter(|word| !matches!(*word, "" | "and"))
        {
            let stress = (word == "point").then_some(Stress::None);
            self.words.extend(self.lexicon.look_up(word, Place { stress, ..Place::default() }));
        }
    }

    fn plural(&self, unit: &str) -> Option<String> {
        self.lexicon.look_up(unit, Place::default()).map(|unit| with_s(&unit))
    }

    fn number(&mut self, number: &str, suffix: &str, currency: Option<char>, is_head: bool) {
        let plain = number.replace(',', "");
        let ordinal = ORDINAL_SUFFIXES.contains(&suffix);
        let names = currency.and_then(currency_names);
        let minus = !self.words.is_empty();
        if is_digits(number) && ordinal {
            self.say(&numbers::ordinal(number));
        } else if has_leading_zero(number) && names.is_none() {
            self.say(&numbers::digit_names(number));
        } else if !minus && number.len() == 4 && names.is_none() && is_digits(number) {
            self.say(&numbers::year(number));
        } else if !is_head && !number.contains('.') {
            self.inside_word(&plain);
        } else if !is_head || number.matches('.').count() > 1 {
            plain.split('.').filter(|part| !part.is_empty()).for_each(|part| self.version_part(part));
        } else if let Some((unit, cent)) = names.filter(|_| has_cents(number)) {
            self.amount(&plain, unit, cent);
        } else if ordinal && !number.contains('.') {
            self.say(&numbers::ordinal(&plain));
        } else if let Some(fraction) = plain.strip_prefix('.') {
            self.say("point");
            self.say(&numbers::digit_names(fraction));
        } else {
            self.say(&numbers::decimal(&plain));
        }
    }

    /// "MP3", "B52", "x264": up to three digits as people say model numbers.
    fn inside_word(&mut self, digits: &str) {
        if digits.starts_with('0') || digits.len() > 3 {
            self.say(&numbers::digit_names(digits));
        } else if digits.len() == 3 && !digits.ends_with("00") {
            self.say(&numbers::cardinal(&digits[..1]));
            match digits[1..].strip_prefix('0') {
                Some(last) => {
                    let place = Place { stress: Some(Stress::None), ..Place::default() };
                    self.words.extend(self.lexicon.look_up("O", place));
                    self.say(&numbers::cardinal(last));
                }
                None => self.say(&numbers::cardinal(&digits[1..])),
            }
        } else {
            self.say(&numbers::cardinal(digits));
        }
    }

    /// One part of "192.168.0.1": two digits as a number, else digit by digit.
    fn version_part(&mut self, digits: &str) {
        let round = digits.bytes().skip(1).all(|digit| digit == b'0');
        if digits.starts_with('0') || (digits.len() != 2 && !round) {
            self.say(&numbers::digit_names(digits));
        } else {
            self.say(&numbers::cardinal(digits));
        }
    }

    fn amount(&mut self, plain: &str, unit: &str, cent: &str) {
        let (whole, cents) = plain.split_once('.').unwrap_or((plain, ""));
        let zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
        let mut parts = vec![(whole, unit), (cents, cent)];
        if zero(cents) {
            parts.truncate(1);
        } else if zero(whole) {
            parts.remove(0);
        }
        for (index, (digits, name)) in parts.into_iter().enumerate() {
            if index > 0 {
                self.words.extend(self.lexicon.look_up("and", Place::default()));
            }
            self.say(&numbers::cardinal(digits));
            let one = digits.trim_start_matches('0') == "1";
            let name = if one || name == "pence" {
                self.lexicon.look_up(name, Place::default())
            } else {
                self.plural(name)
            };
            self.words.extend(name);
        }
    }
}

/// At most two digits after one point: an amount in units and hundredths.
fn has_cents(number: &str) -> bool {
    match number.split_once('.') {
        None => true,
        Some((_, cents)) => cents.len() < 3,
    }
}
