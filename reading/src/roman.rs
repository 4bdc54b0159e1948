//! Roman numerals: after names of rulers they are ordinals, after other names
//! cardinals.

use crate::{english::ordinal, found::Found};

/// Capitalised words before a numeral that are no name.
const NO_NAMES: [&str; 24] = [
    "The", "This", "That", "An", "And", "My", "His", "Her", "Our", "Your", "Their", "With", "In", "On", "At",
    "From", "When", "If", "For", "Or", "But", "Is", "Size", "Use",
];
/// What follows a name with a "I" that is a numeral, beside a pause.
const AFTER_RULER: [&str; 34] = [
    "was",
    "had",
    "of",
    "and",
    "in",
    "became",
    "died",
    "ruled",
    "reigned",
    "is",
    "who",
    "to",
    "the",
    "at",
    "by",
    "on",
    "for",
    "with",
    "from",
    "or",
    "did",
    "made",
    "built",
    "came",
    "went",
    "took",
    "gave",
    "as",
    "began",
    "ended",
    "won",
    "lost",
    "conquered",
    "married",
];
const AFTER_CHAPTER: [&str; 18] = [
    "of", "and", "in", "is", "was", "were", "by", "with", "to", "on", "for", "begins", "began", "ends",
    "ended", "starts", "started", "covers",
];
/// After a word that is no title, such as "phase".
const AFTER_KIND: [&str; 7] = ["trial", "trials", "study", "studies", "error", "errors", "diabetes"];

/// The value of a numeral that is written as it should be.
fn value(numeral: &str) -> Option<usize> {
    let value = |letter| match letter {
        'I' => 1,
        'V' => 5,
        'X' => 10,
        'L' => 50,
        'C' => 100,
        'D' => 500,
        _ => 1000,
    };
    let (mut total, mut after) = (0_usize, 0);
    for value in numeral.chars().rev().map(value) {
        total = if value < after { total.saturating_sub(value) } else { total + value };
        after = value;
    }
    (written(total) == numeral).then_some(total)
}

fn written(mut value: usize) -> String {
    const SIGNS: [(usize, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut numeral = String::new();
    for (size, sign) in SIGNS {
        while value >= size {
            numeral.push_str(sign);
            value -= size;
        }
    }
    numeral
}

/// Whether a single "I" is the word.
fn is_word(found: &Found<'_, '_>, numeral: &str, follow: &[&str]) -> bool {
    let pause = !found.after().starts_with(' ');
    numeral == "I" && !pause && !follow.contains(&found.next_word())
}

/// "Part II", "Saturn V".
pub(crate) fn counted(found: &Found<'_, '_>) -> Option<String> {
    let (name, numeral) = (found.group(1), found.group(2));
    let follow: &[&str] = if name.starts_with(char::is_lowercase) { &AFTER_KIND } else { &AFTER_CHAPTER };
    if name != "World War" && is_word(found, numeral, follow) {
        return None;
    }
    Some(format!("{name} {}", value(numeral)?))
}

/// "Henry VIII", "Louis XIV's".
pub(crate) fn ruler(found: &Found<'_, '_>) -> Option<String> {
    let (name, numeral) = (found.group(1), found.group(2));
    if is_word(found, numeral, &AFTER_RULER) {
        return None;
    }
    Some(format!("{name} the {}", ordinal(&value(numeral)?.to_string())))
}

/// "Rocky IV", "Final Fantasy VII": any other name.
pub(crate) fn named(found: &Found<'_, '_>) -> Option<String> {
    let (name, numeral) = (found.group(1), found.group(2));
    if NO_NAMES.contains(&name) {
        return None;
    }
    Some(format!("{name} {}", value(numeral)?))
}

/// "the XIX century".
pub(crate) fn century(found: &Found<'_, '_>) -> Option<String> {
    Some(ordinal(&value(found.group(1))?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerals_are_read_only_as_they_should_be_written() {
        for (numeral, expected) in
            [("I", 1), ("IV", 4), ("XIV", 14), ("XL", 40), ("LVIII", 58), ("MCMXC", 1990)]
        {
            assert_eq!(value(numeral), Some(expected));
        }
        for wrong in ["IIII", "VX", "IC", "XXXX", "VV"] {
            assert_eq!(value(wrong), None);
        }
    }
}
