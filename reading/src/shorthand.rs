//! Titles, abbreviations, signs and apostrophes.

use crate::found::Found;

/// Abbreviations that are words at the end of a sentence, unless it has other
/// days of the week.
const WORDS_AT_THE_END: [&str; 5] = ["Sun.", "Sat.", "Wed.", "Mar.", "ed."];
const DAYS: [&str; 7] = ["Mon.", "Tues.", "Wed.", "Thurs.", "Fri.", "Sat.", "Sun."];

pub(crate) fn title(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} ", found.words.title(found.group(1))?))
}

/// A full stop that ended the sentence as well stays.
pub(crate) fn abbreviation(found: &Found<'_, '_>) -> Option<String> {
    let (short, last) = (found.group(1), found.has(2));
    let number_next = found.after().trim_start().starts_with(|c: char| c.is_ascii_digit());
    let among_days = DAYS.iter().any(|day| *day != short && found.text.contains(day));
    let word = last && WORDS_AT_THE_END.contains(&short) && !among_days;
    if word || (matches!(short, "no." | "nos.") && !number_next) {
        return None;
    }
    let stop = if last && short.ends_with('.') { "." } else { "" };
    Some(format!("{}{stop}", found.words.abbreviation(short)?))
}

/// "No. 5", "#5", "p. 12".
pub(crate) fn numbered(found: &Found<'_, '_>) -> Option<String> {
    Some(
        match found.group(1) {
            "No" => "Number ",
            "Nos" => "Numbers ",
            "p" => "page ",
            "ext" => "extension ",
            "min" => "minimum ",
            "max" => "maximum ",
            "pop" => "population ",
            _ => "number ",
        }
        .to_owned(),
    )
}

pub(crate) fn round_the_clock(_: &Found<'_, '_>) -> Option<String> {
    Some("twenty-four seven".to_owned())
}

pub(crate) fn quoted(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("“{}”", found.group(1)))
}

pub(crate) fn pause(_: &Found<'_, '_>) -> Option<String> {
    Some(" — ".to_owned())
}

/// "C#", "F# minor".
pub(crate) fn sharp(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} sharp", found.group(1)))
}

/// "C++".
pub(crate) fn plus_plus(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} plus plus", found.group(1)))
}

/// ".NET".
pub(crate) fn dot_net(_: &Found<'_, '_>) -> Option<String> {
    Some("dot net".to_owned())
}

/// "movin'", "'em": a letter left out is not a quotation.
pub(crate) fn clipped(found: &Found<'_, '_>) -> Option<String> {
    Some(match (found.group(1), found.group(2)) {
        ("th", _) => "the".to_owned(),
        (_, "") => found.group(3).to_owned(),
        (_, word) => word.to_owned(),
    })
}

pub(crate) fn symbol(found: &Found<'_, '_>) -> Option<String> {
    let name = found.words.symbol(found.group(0).trim())?;
    Some(if name.is_empty() { " ".to_owned() } else { format!(" {name} ") })
}

pub(crate) fn tight_punctuation(found: &Found<'_, '_>) -> Option<String> {
    Some(found.group(1).to_owned())
}
