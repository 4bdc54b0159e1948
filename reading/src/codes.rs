//! Addresses, telephone numbers, versions, file names, hashes: what is read
//! sign by sign.

use crate::{
    addresses,
    found::{Found, number},
};

/// File endings that are said as words.
const SPOKEN_ENDINGS: [&str; 5] = ["json", "yaml", "toml", "zip", "log"];
/// Fewer digits make a word of letters and digits no hash.
const LEAST_DIGITS: usize = 2;

pub(crate) fn web(found: &Found<'_, '_>) -> Option<String> {
    Some(addresses::web(found.group(0)))
}

pub(crate) fn mail(found: &Found<'_, '_>) -> Option<String> {
    Some(addresses::mail(found.group(0)))
}

pub(crate) fn telephone(found: &Found<'_, '_>) -> Option<String> {
    Some(addresses::telephone(found.group(0)))
}

/// "dial 911".
pub(crate) fn emergency(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} {}", found.group(1), addresses::spaced(found.group(2))))
}

pub(crate) fn long_digits(found: &Found<'_, '_>) -> Option<String> {
    Some(addresses::digits(found.group(0)))
}

/// "utils.py" with its point said, and its ending if that is no word.
pub(crate) fn file(found: &Found<'_, '_>) -> Option<String> {
    let (name, ending) = (found.group(1), found.group(2));
    let ending = if SPOKEN_ENDINGS.contains(&ending) { ending.to_uppercase() } else { spelled(ending) };
    Some(format!("{} dot {ending}", addresses::signs(name).trim()))
}

/// Letters between full stops are spelled, not read as a word.
pub(crate) fn spelled(letters: &str) -> String {
    letters.to_uppercase().chars().map(String::from).collect::<Vec<_>>().join(".")
}

/// "CO2".
pub(crate) fn formula(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} ", spelled(found.group(0))))
}

/// The number in "H2O", which is no "to".
pub(crate) fn apart(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("H {} {}", found.group(1), found.group(2)))
}

/// A hash or an identifier: every letter and digit, a pause at each hyphen.
pub(crate) fn hash(found: &Found<'_, '_>) -> Option<String> {
    let code = found.group(0);
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    let letters = code.bytes().filter(u8::is_ascii_alphabetic).count();
    if digits < LEAST_DIGITS || letters == 0 {
        return None;
    }
    Some(code.split('-').map(hash_group).collect::<Vec<_>>().join(", "))
}

fn hash_group(group: &str) -> String {
    let mut said = String::new();
    let mut previous = None;
    for c in group.to_uppercase().chars() {
        let gap = match previous {
            None => "",
            Some(before) if char::is_alphabetic(before) && c.is_alphabetic() => ".",
            // By itself it would be an article.
            Some('A') => "",
            Some(_) => " ",
        };
        said.push_str(gap);
        said.push(c);
        previous = Some(c);
    }
    said
}

/// "1.2.3" with its points said, "v2.0" as a version.
pub(crate) fn version(found: &Found<'_, '_>) -> Option<String> {
    let (mark, parts) = (found.group(1), found.group(2));
    let name = match mark {
        "" => "",
        _ if ["version", "Version"].contains(&found.previous_word()) => "",
        _ => "version ",
    };
    match parts.split_once('.') {
        Some((major, minor)) if !minor.contains('.') => Some(format!("{name}{}", point(major, minor))),
        None if mark.is_empty() => None,
        _ => Some(format!("{name}{}", parts.replace('.', " dot "))),
    }
}

/// "Python 3.11", "GPT-3.5": after a name, no decimal but two numbers.
pub(crate) fn release(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} {}", found.group(1), point(found.group(2), found.group(3))))
}

fn point(major: &str, minor: &str) -> String {
    let minor =
        if minor.starts_with('0') || minor.len() > 2 { addresses::spaced(minor) } else { minor.to_owned() };
    format!("{major} point {minor}")
}

/// Grouped digits that are no date: "123-45-6789", a card's number.
pub(crate) fn grouped(found: &Found<'_, '_>) -> Option<String> {
    Some(addresses::telephone(found.group(0)))
}

/// A port after a host's name.
pub(crate) fn port(found: &Found<'_, '_>) -> Option<String> {
    number(found.group(2))?;
    Some(format!("{} {}", found.group(1), found.group(2)))
}
