//! Signs that would lose their meaning where look-alikes are made equal.

use std::borrow::Cow;

/// A text whose true minus signs, raised digits and parts are written so that
/// what follows cannot take them for something else: "10⁶" is not "106", nor
/// "12 − 5" a range.
pub fn plain_signs(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(is_lost) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    let mut raised = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after_digit = plain.ends_with(|c: char| c.is_ascii_digit());
        let exponent = raised_digit(c).filter(|_| {
            raised
                || after_digit
                    && (!"²³".contains(c) || chars.peek().is_some_and(|c| raised_digit(*c).is_some()))
        });
        if let Some(digit) = exponent {
            plain.push_str(if raised { "" } else { "^" });
            plain.push(digit);
            raised = true;
            continue;
        }
        raised = false;
        match c {
            '−' => plain.push_str(if after_digit || plain.ends_with(' ') { " minus " } else { "minus " }),
            '·' if is_digit(plain.trim_end().chars().last())
                && is_digit(chars.clone().find(|c| *c != ' ')) =>
            {
                plain.push('×');
            }
            _ => match named(c) {
                Some(name) => {
                    plain.push_str(if after_digit && !name.starts_with(' ') { " " } else { "" });
                    plain.push_str(name);
                }
                None => plain.push(c),
            },
        }
    }
    plain.into()
}

fn is_digit(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_digit())
}

fn is_lost(c: char) -> bool {
    matches!(c, '−' | '·') || raised_digit(c).is_some() || named(c).is_some()
}

fn raised_digit(c: char) -> Option<char> {
    const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    match c {
        '⁻' => Some('-'),
        _ => RAISED.chars().zip('0'..='9').find(|(raised, _)| *raised == c).map(|(_, digit)| digit),
    }
}

fn named(c: char) -> Option<&'static str> {
    Some(match c {
        '⅕' => "1/5",
        '⅖' => "2/5",
        '⅗' => "3/5",
        '⅘' => "4/5",
        '⅙' => "1/6",
        '⅚' => "5/6",
        '⅜' => "3/8",
        '⅝' => "5/8",
        '⅞' => "7/8",
        '‰' => " per mille",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("12 − 5 = 7", "12  minus  5 = 7")]
    #[case("−5°C", "minus 5°C")]
    #[case("7−2", "7 minus 2")]
    #[case("10⁶ and 10⁻³ and 2¹⁰", "10^6 and 10^-3 and 2^10")]
    #[case("20 m² and 5² and x²", "20 m² and 5² and x²")]
    #[case("1⅝ of it", "1 5/8 of it")]
    #[case("5·3 and 5 · 3", "5×3 and 5 × 3")]
    #[case("as it was", "as it was")]
    fn signs_keep_their_meaning(#[case] text: &str, #[case] plain: &str) {
        assert_eq!(plain_signs(text), plain);
    }
}
