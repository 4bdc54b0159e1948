//! Texts that are to be read in a certain way.

use ttsfleet_reading::{addresses, english};

/// How a text is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SayAs {
    /// Letter by letter.
    Characters,
    /// As one number.
    Cardinal,
    /// As a place in a row.
    Ordinal,
    /// Digit by digit.
    Digits,
    /// Digit by digit, in groups.
    Telephone,
    /// As a day, its year, month and day in this order.
    Date(Option<[char; 3]>),
}

impl SayAs {
    /// None for ways that are not known: the text is then read as any other.
    pub(super) fn new(interpret_as: &str, format: &str) -> Option<Self> {
        Some(match interpret_as.trim().to_ascii_lowercase().as_str() {
            "characters" | "spell-out" | "verbatim" => Self::Characters,
            "cardinal" | "number" => Self::Cardinal,
            "ordinal" => Self::Ordinal,
            "digits" => Self::Digits,
            "telephone" => Self::Telephone,
            "date" => Self::Date(order(format)),
            _ => return None,
        })
    }

    /// The text in words, or in signs that are read so.
    pub(super) fn words(&self, text: &str) -> String {
        let text = text.trim();
        match self {
            Self::Characters => characters(text),
            Self::Digits => characters(&text.replace(|c: char| !c.is_ascii_digit(), "")),
            Self::Telephone => addresses::telephone(text),
            Self::Cardinal => number(text, english::cardinal),
            Self::Ordinal => number(text, english::ordinal),
            Self::Date(order) => date(text, *order).unwrap_or_else(|| text.to_owned()),
        }
    }
}

fn order(format: &str) -> Option<[char; 3]> {
    let order: [char; 3] = format.trim().to_ascii_lowercase().chars().collect::<Vec<_>>().try_into().ok()?;
    "ymd".chars().all(|part| order.contains(&part)).then_some(order)
}

/// Letters between full stops are spelled.
fn characters(text: &str) -> String {
    let mut said = String::new();
    let mut letters = false;
    for c in text.chars() {
        if c.is_alphabetic() {
            said.push_str(if letters { "." } else { " " });
            said.extend(c.to_uppercase());
        } else {
            said.push(' ');
            said.push_str(addresses::signs(c.encode_utf8(&mut [0; 4])).trim());
        }
        letters = c.is_alphabetic();
    }
    said.trim().to_owned()
}

/// A whole number in words; what is none is left as it is.
fn number(text: &str, words: fn(&str) -> String) -> String {
    let (sign, digits) = match text.strip_prefix(['-', '−']) {
        Some(digits) => ("minus ", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    if plain && digits.bytes().any(|byte| byte.is_ascii_digit()) {
        return format!("{sign}{}", words(&digits.replace(',', "")));
    }
    text.to_owned()
}

/// A day as ISO 8601 writes it, which is read as a date.
fn date(text: &str, order: Option<[char; 3]>) -> Option<String> {
    let order = order?;
    let parts: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let parts: [&str; 3] = parts.try_into().ok()?;
    let part = |wanted: char| {
        let at = order.iter().position(|part| *part == wanted)?;
        parts[at].parse::<u16>().ok().filter(|_| parts[at].len() <= 4)
    };
    Some(format!("{:04}-{:02}-{:02}", part('y')?, part('m')?, part('d')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_said_to_be() {
        for (how, format, text, expected) in [
            ("characters", "", "NASA", "N.A.S.A"),
            ("spell-out", "", "ab-1", "A.B dash 1"),
            ("digits", "", "2026", "2 0 2 6"),
            ("telephone", "", "+1 (555) 010", "plus 1, 5 5 5, 0 1 0"),
            ("cardinal", "", "1999", "one thousand nine hundred ninety-nine"),
            ("number", "", " -1,000 ", "minus one thousand"),
            ("number", "", "3.14", "3.14"),
            ("ordinal", "", "22", "twenty-second"),
            ("date", "dmy", "22/11/2026", "2026-11-22"),
            ("date", "mdy", "1.2.2026", "2026-01-02"),
            ("date", "", "yesterday", "yesterday"),
            ("date", "ymd", "2026", "2026"),
        ] {
            assert_eq!(SayAs::new(how, format).unwrap().words(text), expected, "{text} as {how}");
        }
        assert_eq!(SayAs::new("song", ""), None);
    }
}
