//! Sums, comparisons, powers, and ranges, which look like differences.

use crate::found::{Found, number};

/// Signs and words of sentences that hold a sum.
const SUMS: [&str; 13] = [
    "=", "+", "*", "×", "÷", " minus ", "What is", "what is", "What's", "what's", "alculate", "ompute",
    "ubtract",
];
/// Words of sentences in which a lower number comes second in a pair.
const SCORES: [&str; 19] = [
    "won", " win", "beat", "lost", "lose", "loss", "scor", "defeat", " lead", " led", "drew", "draw",
    "ended", "vote", "record", "passed", "victor", "game", "match",
];

/// Both ends of a range.
pub(crate) fn range(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} to {}", found.group(1), found.group(2)))
}

/// "9 - 3": a difference in a sum or where the second is less, else a range.
pub(crate) fn spaced_hyphen(found: &Found<'_, '_>) -> Option<String> {
    let (first, second) = (found.group(1), found.group(2));
    let plain = |written: &str| written.replace(',', "").parse::<f64>().ok();
    let less = plain(first).zip(plain(second)).is_none_or(|(first, second)| second <= first);
    let minus = found.sentence_has(&SUMS) || (less && !found.sentence_has(&SCORES));
    Some(format!("{first} {} ", if minus { "minus" } else { "to" }))
}

/// "5-3=2", "n-1".
pub(crate) fn difference(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} minus {}", found.group(1), found.group(2)))
}

/// "8/2=4", "100 / 7"; a proper fraction in a sum stays one.
pub(crate) fn quotient(found: &Found<'_, '_>) -> Option<String> {
    let (first, second) = (found.group(1), found.group(2));
    let part = found.group(0).contains(' ') || number(first)? >= number(second)?;
    part.then(|| format!("{first} divided by {second}"))
}

pub(crate) fn plus(_: &Found<'_, '_>) -> Option<String> {
    Some(" plus ".to_owned())
}

pub(crate) fn minus(_: &Found<'_, '_>) -> Option<String> {
    Some("minus ".to_owned())
}

/// A sum without its result.
pub(crate) fn equals(_: &Found<'_, '_>) -> Option<String> {
    Some(" equals".to_owned())
}

/// "3 * 4", "x * y".
pub(crate) fn times(_: &Found<'_, '_>) -> Option<String> {
    Some(" times ".to_owned())
}

/// "2 x 3": a product in a sum, else a size.
pub(crate) fn by(found: &Found<'_, '_>) -> Option<String> {
    let word = if found.text.contains('=') { "times" } else { "by" };
    // "0x1F" is no size.
    (found.group(1) != "0").then(|| format!("{} {word} ", found.group(1)))
}

/// "2^8", "x^2".
pub(crate) fn power(found: &Found<'_, '_>) -> Option<String> {
    let (base, exponent) = (found.group(1), found.group(2));
    Some(match exponent {
        "2" => format!("{base} squared"),
        "3" => format!("{base} cubed"),
        _ => format!("{base} to the power of {}", signed(exponent)),
    })
}

/// "6.02e23".
pub(crate) fn scientific(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} times 10 to the power of {}", found.group(1), signed(found.group(2))))
}

fn signed(number: &str) -> String {
    match number.strip_prefix('-') {
        Some(rest) => format!("minus {rest}"),
        None => number.trim_start_matches('+').to_owned(),
    }
}

/// "x >= 10", "a != b", "i += 1".
pub(crate) fn comparison(found: &Found<'_, '_>) -> Option<String> {
    let word = match found.group(1) {
        ">=" => " is greater than or equal to ",
        "<=" => " is less than or equal to ",
        "!=" => " is not equal to ",
        "==" | "===" => " equals ",
        "->" | "=>" => " to ",
        "+=" => " plus equals ",
        "-=" => " minus equals ",
        _ => return None,
    };
    Some(word.to_owned())
}

/// "5 > 3", "x < y".
pub(crate) fn order(found: &Found<'_, '_>) -> Option<String> {
    let word = if found.group(2) == "<" { "less" } else { "greater" };
    Some(format!("{} is {word} than ", found.group(1)))
}

/// "<1%", "~$50" at the start of a word.
pub(crate) fn bound(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} ", found.words.symbol(found.group(1))?))
}
