//! Times of day, and what looks like them: ratios and verses.

use crate::{
    english::cardinal,
    found::{Found, number},
};

/// Words that make a ratio of two numbers that could be a time.
const RATIO_BEFORE: [&str; 10] =
    ["ratio", "odds", "scale", "mix", "mixed", "aspect", "dilution", "diluted", "signal", "split"];
const RATIO_AFTER: [&str; 10] =
    ["ratio", "odds", "scale", "mix", "mixture", "dilution", "solution", "majority", "aspect", "model"];

fn value(digits: &str) -> usize {
    number(digits).unwrap_or(usize::MAX)
}

/// "3:45pm", "17:30", "3:45:10".
pub(crate) fn time(found: &Found<'_, '_>) -> Option<String> {
    let (hour, minute, second) = (found.group(1), found.group(2), found.group(3));
    let (half, stop_follows) = (found.group(4), found.has(5));
    if value(hour) > 24 || value(minute) > 59 || (!second.is_empty() && value(second) > 59) {
        return None;
    }
    let mut words = cardinal(hour);
    match value(minute) {
        0 if half.is_empty() && second.is_empty() => words.push_str(" o'clock"),
        0 => {}
        1..10 => words.push_str(&format!(" oh {}", cardinal(minute))),
        _ => words.push_str(&format!(" {}", cardinal(minute))),
    }
    if !second.is_empty() {
        let name = if value(second) == 1 { "second" } else { "seconds" };
        words.push_str(&format!(" and {} {name}", cardinal(second)));
    }
    Some(words + &half_day(half, stop_follows))
}

/// "9.30am", "5 p.m.", "10am".
pub(crate) fn half_days(found: &Found<'_, '_>) -> Option<String> {
    let (hour, minute, half, stop_follows) = (found.group(1), found.group(2), found.group(3), found.has(4));
    if !(1..=12).contains(&value(hour)) || (!minute.is_empty() && value(minute) > 59) {
        return None;
    }
    let minute = match minute {
        "" | "00" => String::new(),
        _ if minute.starts_with('0') => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    };
    Some(format!("{}{minute}{}", cardinal(hour), half_day(half, stop_follows)))
}

/// Between full stops the letters are spelled.
fn half_day(half: &str, stop_follows: bool) -> String {
    match half {
        "" => String::new(),
        _ => format!(" {}.M{}", half.to_uppercase(), if stop_follows { "" } else { "." }),
    }
}

/// "10-11:30 am", "6–8pm": the first without its own half of the day.
pub(crate) fn hours(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} to {}", found.group(1), found.group(2)))
}

/// "3:1", but not a time.
pub(crate) fn ratio(found: &Found<'_, '_>) -> Option<String> {
    let (first, second, third) = (found.group(1), found.group(2), found.group(3));
    let may_be_time = second.len() == 2 && value(first) <= 24 && value(second) < 60;
    let near = |words: &[&str]| {
        let tail: Vec<&str> = found.before().split_whitespace().rev().take(3).collect();
        tail.iter().any(|word| words.contains(word))
    };
    let ratio = near(&RATIO_BEFORE) || RATIO_AFTER.contains(&found.next_word());
    if may_be_time && !ratio {
        return None;
    }
    Some(match third {
        "" => format!("{first} to {second}"),
        _ => format!("{first} to {second} to {third}"),
    })
}

/// "John 3:16", "Matthew 5:3-12".
pub(crate) fn verse(found: &Found<'_, '_>) -> Option<String> {
    let to = match found.group(4) {
        "" => String::new(),
        last => format!(" to {}", cardinal(last)),
    };
    Some(format!("{} {} {}{to}", found.group(1), cardinal(found.group(2)), cardinal(found.group(3))))
}
