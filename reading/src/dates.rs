//! Dates, and ranges of them.

use crate::{
    codes::spelled,
    english::{number as number_name, ordinal},
    found::{Found, number},
};

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn date(year: &str, month: usize, day: &str) -> Option<String> {
    let name = MONTHS.get(month.checked_sub(1)?)?;
    if !is_day(day) {
        return None;
    }
    let year = if year.is_empty() { String::new() } else { format!(", {year}") };
    Some(format!("{name} {}{year}", ordinal(day)))
}

/// A day of a year that is not named.
pub(crate) fn day_of(month: usize, day: usize) -> Option<String> {
    date("", month, &day.to_string())
}

/// "2026-11-22", "2024/3/15".
pub(crate) fn iso(found: &Found<'_, '_>) -> Option<String> {
    date(found.group(1), number(found.group(2))?, found.group(3))
}

pub(crate) fn with_time(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} at {}", found.group(1), found.group(2)))
}

/// "11/22/2026": month first, unless that cannot be.
pub(crate) fn american(found: &Found<'_, '_>) -> Option<String> {
    let (first, second, year) = (found.group(1), found.group(2), found.group(3));
    let century = match (year.len(), number(year)?) {
        (4, _) => "",
        (_, 31..) => "19",
        _ => "20",
    };
    let (month, day) = if number(first)? <= 12 { (first, second) } else { (second, first) };
    date(&format!("{century}{year}"), number(month)?, day)
}

/// "22.11.2026": the day is first.
pub(crate) fn dotted(found: &Found<'_, '_>) -> Option<String> {
    date(found.group(3), number(found.group(2))?, found.group(1))
}

fn named(written: &str, names: &[&'static str]) -> Option<&'static str> {
    let start = written.get(..3)?.to_ascii_lowercase();
    names.iter().find(|name| name.to_ascii_lowercase().starts_with(&start)).copied()
}

fn is_day(day: &str) -> bool {
    number(day).is_some_and(|day| (1..=31).contains(&day))
}

/// "Nov 22, 2026", "Sept. 5".
pub(crate) fn month_day(found: &Found<'_, '_>) -> Option<String> {
    let (month, day, year) = (found.group(1), found.group(2), found.group(3));
    is_day(day).then_some(())?;
    Some(format!("{} {}{year}", named(month, &MONTHS)?, ordinal(day)))
}

/// "Feb. 3rd–5th", "March 10-14, 2025".
pub(crate) fn month_days(found: &Found<'_, '_>) -> Option<String> {
    let (month, first, last, year) = (found.group(1), found.group(2), found.group(3), found.group(4));
    (is_day(first) && is_day(last)).then_some(())?;
    Some(format!("{} {} to {}{year}", named(month, &MONTHS)?, ordinal(first), ordinal(last)))
}

/// "22 Nov", "the 5th of November".
pub(crate) fn day_month(found: &Found<'_, '_>) -> Option<String> {
    let (day, month) = (found.group(1), found.group(2));
    is_day(day).then_some(())?;
    Some(format!("the {} of {}", ordinal(day), named(month, &MONTHS)?))
}

/// "Mon–Fri", "Jan-Mar".
pub(crate) fn names_range(found: &Found<'_, '_>) -> Option<String> {
    let (first, last) = (found.group(1), found.group(2));
    let range = |names: &[&'static str]| Some(format!("{} to {}", named(first, names)?, named(last, names)?));
    range(&DAYS).or_else(|| range(&MONTHS))
}

/// "June 28 - July 4".
pub(crate) fn from_to(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} to ", found.group(1)))
}

/// "Mon, Jan 5".
pub(crate) fn weekday(found: &Found<'_, '_>) -> Option<String> {
    named(found.group(1), &DAYS).map(str::to_owned)
}

/// "the 3rd-5th".
pub(crate) fn ordinals(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} to {}", ordinal(found.group(1)), ordinal(found.group(2))))
}

/// "44 BC", "AD 79": no words.
pub(crate) fn era(found: &Found<'_, '_>) -> Option<String> {
    Some(spelled(found.group(0)))
}

/// "c. 1900".
pub(crate) fn circa(_: &Found<'_, '_>) -> Option<String> {
    Some("circa ".to_owned())
}

/// "FY2024".
pub(crate) fn fiscal_year(_: &Found<'_, '_>) -> Option<String> {
    Some("fiscal year ".to_owned())
}

/// "'98", "'05".
pub(crate) fn short_year(found: &Found<'_, '_>) -> Option<String> {
    let year = found.group(1);
    Some(match year.strip_prefix('0') {
        Some(last) => format!("oh {last}"),
        None => year.to_owned(),
    })
}

/// "the 1990s", "the '80s".
pub(crate) fn decade(found: &Found<'_, '_>) -> Option<String> {
    let name = number_name(found.group(1));
    Some(name.strip_suffix('y').map_or_else(|| format!("{name}s"), |stem| format!("{stem}ies")))
}

/// "2024/25".
pub(crate) fn season(found: &Found<'_, '_>) -> Option<String> {
    let (first, last) = (found.group(1), found.group(2));
    let next = (number(first)? + 1) % 100;
    (number(last)? == next).then(|| format!("{first} {last}"))
}
