//! "St." and "Dr." after a name are a street's, before one a person's.

use crate::found::Found;

/// Places whose names go on with a saint's.
const BEFORE_SAINTS: [&str; 22] = [
    "Mount", "Fort", "Lake", "Port", "Bay", "Cape", "East", "West", "Upper", "Old", "The", "We", "Visit",
    "See", "In", "To", "At", "On", "From", "And", "Near", "Saint",
];
const SAINTS: [&str; 32] = [
    "Louis",
    "Paul",
    "Paul's",
    "John",
    "John's",
    "Johns",
    "James",
    "James's",
    "Mary",
    "Mary's",
    "Peter",
    "Peter's",
    "Patrick",
    "Patrick's",
    "Helens",
    "George",
    "George's",
    "Andrew",
    "Andrews",
    "Andrew's",
    "Thomas",
    "Lucia",
    "Clair",
    "Catherine",
    "Petersburg",
    "Lawrence",
    "Mark's",
    "Martin",
    "Nicholas",
    "Joseph",
    "Francis",
    "Helena",
];

/// The name before a street's short form, and whether it has a house number.
fn street_name(before: &str) -> Option<(&str, bool)> {
    let before = before.strip_suffix(' ')?;
    let start = before.rfind(' ').map_or(0, |at| at + 1);
    let name = &before[start..];
    let numbered = before[..start].trim_end().ends_with(|c: char| c.is_ascii_digit());
    let ordinal = ["st", "nd", "rd", "th"].iter().any(|suffix| {
        name.strip_suffix(suffix)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let capital = name.starts_with(char::is_uppercase)
        && name.chars().count() > 1
        && name.chars().all(|c| c.is_alphabetic() || c == '\'');
    (ordinal || capital).then_some((name, numbered))
}

/// Whether "St" or "Dr", with this before it and this word after it, is that of
/// a street.
pub(crate) fn is_street(before: &str, short: &str, after: &str) -> bool {
    let Some((name, numbered)) = street_name(before) else { return false };
    let next: &str = after.trim_start();
    let next = &next[..next.find(|c: char| !c.is_alphabetic() && c != '\'').unwrap_or(next.len())];
    let name_next = next.starts_with(char::is_uppercase);
    match short {
        "St" => numbered || (!BEFORE_SAINTS.contains(&name) && !SAINTS.contains(&next)),
        "Dr" => numbered || !name_next,
        _ => false,
    }
}

/// Words that start sentences and no names.
const STARTERS: [&str; 33] = [
    "Then", "The", "He", "She", "It", "They", "We", "I", "You", "This", "That", "There", "After", "Turn",
    "Stop", "Go", "Take", "Continue", "Walk", "Drive", "But", "And", "When", "If", "My", "His", "Her", "Now",
    "What", "Where", "Is", "In", "At",
];

/// Whether a text goes on with a word that starts a sentence.
pub(crate) fn starts_sentence(after: &str) -> bool {
    let next = after.trim_start();
    let next = &next[..next.find(|c: char| !c.is_alphabetic()).unwrap_or(next.len())];
    STARTERS.contains(&next)
}

/// "Elm St.", "100 Oak Dr.".
pub(crate) fn street(found: &Found<'_, '_>) -> Option<String> {
    let short = found.group(1);
    if !is_street(found.before(), short, found.after()) {
        return None;
    }
    let stop = if found.after().trim().is_empty() { "." } else { "" };
    Some(format!("{}{stop}", if short == "St" { "Street" } else { "Drive" }))
}

/// "450 Water St.": the hundreds apart.
pub(crate) fn house(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} ", in_two(found.group(1), found.group(2))))
}

/// "Boeing 747".
pub(crate) fn boeing(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("Boeing {}", in_two(found.group(1), found.group(2))))
}

fn in_two(hundreds: &str, rest: &str) -> String {
    match rest.strip_prefix('0') {
        Some(zero) if zero.starts_with('0') => format!("{hundreds}{rest}"),
        Some(ones) => format!("{hundreds} oh {ones}"),
        None => format!("{hundreds} {rest}"),
    }
}

/// "N. Main St."
pub(crate) fn direction(found: &Found<'_, '_>) -> Option<String> {
    let name = match found.group(1) {
        "N" => "North",
        "S" => "South",
        "E" => "East",
        _ => "West",
    };
    Some(format!("{name} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streets_follow_their_name_and_saints_precede_theirs() {
        for (before, short, after) in [
            ("Turn onto Elm ", "St", " Then stop."),
            ("at 5th ", "St", " and Oak"),
            ("221 Baker ", "St", " London"),
            ("100 Oak ", "Dr", ""),
            ("on Mulholland ", "Dr", " in a house"),
        ] {
            assert!(is_street(before, short, after), "{before}{short}{after}");
        }
        for (before, short, after) in [
            ("We went to ", "St", " Louis"),
            ("Mount ", "St", " Helens"),
            ("", "St", " Paul"),
            ("Then ", "Dr", " Smith came"),
        ] {
            assert!(!is_street(before, short, after), "{before}{short}{after}");
        }
    }
}
