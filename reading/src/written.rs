//! Finding numbers in a text.

use crate::english;

/// A number as it is written.
pub struct Written<'a> {
    /// Its digits before the point, without separators.
    pub whole: String,
    /// Its digits after the point; empty if there is none.
    pub fraction: &'a str,
    /// As written, its ordinal ending aside.
    pub digits: &'a str,
    /// Whether `st`, `nd`, `rd` or `th` follows.
    pub ordinal: bool,
    /// Bytes of all that.
    pub length: usize,
}

impl<'a> Written<'a> {
    /// The number that a text starts with.
    pub fn at_start(text: &'a str) -> Option<Self> {
        let mut end = digits(text);
        if end == 0 {
            return None;
        }
        // A comma separates thousands where exactly three digits follow.
        while text[end..].starts_with(',') && digits(&text[end + 1..]) == 3 {
            end += 4;
        }
        let whole = text[..end].replace(',', "");
        let mut fraction = "";
        if text[end..].starts_with('.') {
            fraction = &text[end + 1..end + 1 + digits(&text[end + 1..])];
        }
        let written = if fraction.is_empty() { end } else { end + 1 + fraction.len() };
        let ordinal = fraction.is_empty()
            && ["st", "nd", "rd", "th"]
                .iter()
                .any(|suffix| text[end..].strip_prefix(suffix).is_some_and(ends_word));
        let length = if ordinal { end + 2 } else { written };
        Some(Self { whole, fraction, digits: &text[..written], ordinal, length })
    }

    /// Its words, as an American reads it.
    pub fn in_english(&self) -> Vec<String> {
        let words = if self.ordinal { english::ordinal(&self.whole) } else { english::number(self.digits) };
        words.split([' ', '-']).map(str::to_owned).collect()
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Written<'_> {
        Written::at_start(text).unwrap()
    }

    #[rstest]
    #[case("0", "zero")]
    #[case("7", "seven")]
    #[case("13", "thirteen")]
    #[case("40", "forty")]
    #[case("99", "ninety nine")]
    #[case("100", "one hundred")]
    #[case("305", "three hundred five")]
    #[case("1,000", "one thousand")]
    #[case("2000", "two thousand")]
    #[case("2005", "two thousand five")]
    #[case("1999", "nineteen ninety nine")]
    #[case("1900", "nineteen hundred")]
    #[case("1906", "nineteen oh six")]
    #[case("2026", "twenty twenty six")]
    #[case("1,999", "one thousand nine hundred ninety nine")]
    #[case("1000000", "one million")]
    #[case("12,345,678", "twelve million three hundred forty five thousand six hundred seventy eight")]
    #[case("007", "zero zero seven")]
    #[case("3.14", "three point one four")]
    #[case("3.", "three")]
    #[case("1st", "first")]
    #[case("12th", "twelfth")]
    #[case("20th", "twentieth")]
    #[case("33rd", "thirty third")]
    #[case("5then", "five")]
    fn numbers_are_read_in_english(#[case] text: &str, #[case] words: &str) {
        assert_eq!(read(text).in_english().join(" "), words);
    }

    #[rstest]
    #[case("1,000,000 x", 9, "1000000")]
    #[case("1,23", 1, "1")]
    #[case("1, 234", 1, "1")]
    #[case("10th.", 4, "10")]
    fn a_number_ends_where_it_should(#[case] text: &str, #[case] length: usize, #[case] whole: &str) {
        let number = read(text);
        assert_eq!((number.length, &number.whole[..]), (length, whole));
    }
}
