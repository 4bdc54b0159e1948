//! How each kind of expression is written out in words. A reading answers
//! `None` to leave the text as it is.

use fancy_regex::Captures;

use super::{
    addresses,
    normalize::Words,
    numbers::{cardinal, ordinal},
};

pub(super) const MONTHS: [&str; 12] = [
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
const PARTS: [&str; 9] =
    ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

/// A matched group's text, empty if it took no part.
pub(super) fn group<'t>(found: &Captures<'t, str>, index: usize) -> &'t str {
    found.get(index).map_or("", |group| group.as_str())
}

fn number(digits: &str) -> Option<usize> {
    digits.parse().ok()
}

fn counted<'a>(amount: &str, names: &'a (String, String)) -> &'a str {
    let one = matches!(amount.replace(',', "").as_str(), "1" | "1.0" | "-1");
    if one { &names.0 } else { &names.1 }
}

pub(super) fn label(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(group(found, 1).to_owned())
}

pub(super) fn web(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(addresses::web(group(found, 0)))
}

pub(super) fn mail(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(addresses::mail(group(found, 0)))
}

pub(super) fn telephone(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(addresses::telephone(group(found, 0)))
}

pub(super) fn long_digits(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(addresses::digits(group(found, 0)))
}

/// "1.2.3" with its points said.
pub(super) fn version(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let name = if group(found, 1).is_empty() { "" } else { "version " };
    Some(format!("{name}{}", group(found, 2).replace('.', " dot ")))
}

pub(super) fn quoted(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("“{}”", group(found, 1)))
}

pub(super) fn round_the_clock(_: &Words, _: &Captures<'_, str>) -> Option<String> {
    Some("twenty-four seven".to_owned())
}

pub(super) fn date_and_time(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("{} at {}", group(found, 1), group(found, 2)))
}

pub(super) fn pause(_: &Words, _: &Captures<'_, str>) -> Option<String> {
    Some(" — ".to_owned())
}

/// "1 1/2" is "1 and one half".
pub(super) fn mixed(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let part = part_words(number(group(found, 2))?, number(group(found, 3))?)?;
    Some(format!("{} and {part}", group(found, 1)))
}

/// Both ends of a range.
pub(super) fn range(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("{} to {}", group(found, 1), group(found, 2)))
}

pub(super) fn time(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (hour, minute, second) = (group(found, 1), group(found, 2), group(found, 3));
    let (half, stop_follows) = (group(found, 4), found.get(5).is_some());
    let value = |digits| number(digits).unwrap_or_default();
    if value(hour) > 24 || value(minute) > 59 || value(second) > 59 {
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
    if !half.is_empty() {
        // Between full stops the letters are spelled.
        words.push_str(&format!(" {}.M{}", half.to_uppercase(), if stop_follows { "" } else { "." }));
    }
    Some(words)
}

fn date(year: &str, month: usize, day: &str) -> Option<String> {
    let name = MONTHS.get(month.checked_sub(1)?)?;
    if !(1..=31).contains(&number(day)?) {
        return None;
    }
    let year = if year.is_empty() { String::new() } else { format!(", {year}") };
    Some(format!("{name} {}{year}", ordinal(day)))
}

pub(super) fn iso_date(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    date(group(found, 1), number(group(found, 2))?, group(found, 3))
}

/// Month first, unless that cannot be.
pub(super) fn american_date(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (first, second, year) = (group(found, 1), group(found, 2), group(found, 3));
    let century = match (year.len(), number(year)?) {
        (4, _) => "",
        (_, 31..) => "19",
        _ => "20",
    };
    let (month, day) = if number(first)? <= 12 { (first, second) } else { (second, first) };
    date(&format!("{century}{year}"), number(month)?, day)
}

fn month_name(written: &str) -> Option<&'static str> {
    let start = written.get(..3)?.to_ascii_lowercase();
    MONTHS.into_iter().find(|month| month.to_ascii_lowercase().starts_with(&start))
}

fn is_day(day: &str) -> bool {
    number(day).is_some_and(|day| (1..=31).contains(&day))
}

pub(super) fn month_day(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (month, day, year) = (group(found, 1), group(found, 2), group(found, 3));
    is_day(day).then_some(())?;
    Some(format!("{} {}{year}", month_name(month)?, ordinal(day)))
}

pub(super) fn day_month(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (day, month) = (group(found, 1), group(found, 2));
    is_day(day).then_some(())?;
    Some(format!("the {} of {}", ordinal(day), month_name(month)?))
}

pub(super) fn unit(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    let amount = group(found, 1);
    Some(format!("{amount} {}", counted(amount, words.unit(group(found, 2))?)))
}

pub(super) fn degrees(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let amount = group(found, 1);
    let scale = match group(found, 2) {
        "C" => " Celsius",
        "F" => " Fahrenheit",
        _ => "",
    };
    let name = if matches!(amount, "1" | "1.0" | "-1") { "degree" } else { "degrees" };
    Some(format!("{amount} {name}{scale}"))
}

/// Amounts whose currency comes first: "¥500", "$3.5M".
pub(super) fn money(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (sign, amount, scale) = (group(found, 1), group(found, 2), group(found, 3));
    let names = words.currency(sign.trim_end_matches('.'))?;
    Some(match scale_name(scale) {
        "" => format!("{amount} {}", counted(amount, names)),
        scale => format!("{amount} {scale} {}", names.1),
    })
}

/// Amounts whose currency comes last: "500 USD", "99¢".
pub(super) fn money_after(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    let amount = group(found, 1);
    Some(format!("{amount} {}", counted(amount, words.currency(group(found, 2))?)))
}

fn scale_name(scale: &str) -> &str {
    match scale {
        "k" | "K" => "thousand",
        "m" | "M" => "million",
        "b" | "B" => "billion",
        _ => scale,
    }
}

pub(super) fn title(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("{} ", words.title(group(found, 1))?))
}

/// A full stop that ended the sentence as well stays.
pub(super) fn abbreviation(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    let short = group(found, 1);
    let stop = if found.get(2).is_some() && short.ends_with('.') { "." } else { "" };
    Some(format!("{}{stop}", words.abbreviation(short)?))
}

pub(super) fn numbered(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(
        match group(found, 1) {
            "No" => "Number ",
            "Nos" => "Numbers ",
            _ => "number ",
        }
        .to_owned(),
    )
}

fn roman(numeral: &str) -> String {
    let value = |letter| match letter {
        'I' => 1,
        'V' => 5,
        'X' => 10,
        'L' => 50,
        'C' => 100,
        'D' => 500,
        _ => 1000,
    };
    let mut total = 0_usize;
    let mut after = 0;
    for value in numeral.chars().rev().map(value) {
        total = if value < after { total.saturating_sub(value) } else { total + value };
        after = value;
    }
    total.to_string()
}

pub(super) fn roman_cardinal(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("{} {}", group(found, 1), roman(group(found, 2))))
}

pub(super) fn roman_ordinal(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(format!("{} the {}", group(found, 1), ordinal(&roman(group(found, 2)))))
}

/// "one half", "3 quarters".
fn part_words(above: usize, below: usize) -> Option<String> {
    let part = PARTS.get(below.checked_sub(2)?).filter(|_| above > 0 && above < below)?;
    Some(match (above, *part) {
        (1, "half") => "one half".to_owned(),
        (1, part) => format!("1 {part}"),
        _ => format!("{above} {part}s"),
    })
}

/// A fraction, or else a day, or else two numbers.
pub(super) fn fraction(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    let (above, below) = (number(group(found, 1))?, number(group(found, 2))?);
    let day = || date("", above, &below.to_string());
    part_words(above, below).or_else(day).or_else(|| Some(format!("{above} slash {below}")))
}

pub(super) fn plus(_: &Words, _: &Captures<'_, str>) -> Option<String> {
    Some("plus ".to_owned())
}

pub(super) fn minus(_: &Words, _: &Captures<'_, str>) -> Option<String> {
    Some("minus ".to_owned())
}

pub(super) fn symbol(words: &Words, found: &Captures<'_, str>) -> Option<String> {
    let name = words.symbol(group(found, 0).trim())?;
    Some(if name.is_empty() { " ".to_owned() } else { format!(" {name} ") })
}

pub(super) fn tight_punctuation(_: &Words, found: &Captures<'_, str>) -> Option<String> {
    Some(group(found, 1).to_owned())
}
