//! Parts of a whole, and counts out of one.

use crate::{
    dates::day_of,
    english::ordinal,
    found::{Found, number},
};

const PARTS: [&str; 9] =
    ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
/// Measures of which parts are usual that could be days.
const DIVIDED: [&str; 9] = ["inch", "inches", "in", "mile", "miles", "cup", "of", "teaspoon", "second"];
/// Before or after these, two numbers are points out of possible ones.
const RATED: [&str; 12] =
    ["rate", "rated", "rating", "score", "scored", "scores", "gave", "give", "got", "it", "solid", "grade"];
const RATED_AFTER: [&str; 5] = ["stars", "star", "points", "rating", "would"];

/// "one half", "3 quarters", "3 thirty-seconds".
fn part_words(above: usize, below: usize) -> Option<String> {
    if above == 0 || above >= below {
        return None;
    }
    let part = match PARTS.get(below.checked_sub(2)?) {
        Some(part) => (*part).to_owned(),
        None if matches!(below, 12 | 16 | 20 | 32 | 64 | 100 | 1000) => ordinal(&below.to_string()),
        None => return None,
    };
    let part = part.trim_start_matches("one ");
    Some(match (above, part) {
        (1, "half") => "one half".to_owned(),
        (1, part) => format!("1 {part}"),
        _ => format!("{above} {part}s"),
    })
}

/// "1 1/2" is "1 and one half".
pub(crate) fn mixed(found: &Found<'_, '_>) -> Option<String> {
    let part = part_words(number(found.group(2))?, number(found.group(3))?)?;
    Some(format!("{} and {part}", found.group(1)))
}

/// "1½".
pub(crate) fn mixed_sign(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} and {}", found.group(1), found.words.symbol(found.group(2))?))
}

/// "1⅓", whose part is already in words.
pub(crate) fn mixed_words(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} and ", found.group(1)))
}

/// "4.5/5".
pub(crate) fn out_of(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} out of {}", found.group(1), found.group(2)))
}

/// Points, a part, a day, or else two numbers.
pub(crate) fn fraction(found: &Found<'_, '_>) -> Option<String> {
    let (above, below) = (number(found.group(1))?, number(found.group(2))?);
    let (next, previous) = (found.next_word(), found.previous_word());
    if (above, below) == (9, 11) {
        return Some("9 11".to_owned());
    }
    let rated = matches!(below, 5 | 10 | 100) && (RATED.contains(&previous) || RATED_AFTER.contains(&next));
    if rated || (below == 100 && above > 1) {
        return Some(format!("{above} out of {below}"));
    }
    let usual = below <= 10 || below > 31 || DIVIDED.contains(&next);
    let part = || part_words(above, below).filter(|_| usual);
    let day = || day_of(above, below).filter(|_| above != below || below <= 9);
    let pair = || (above == below).then(|| format!("{above} {below}"));
    part().or_else(day).or_else(pair).or_else(|| Some(format!("{above} slash {below}")))
}
