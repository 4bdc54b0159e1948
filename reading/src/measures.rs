//! Amounts with a unit, a scale or a times sign.

use crate::{
    found::{Found, is_attribute, is_one},
    money::scale_name,
};

/// What is counted in millions, so that "5m" before it are no meters.
const COUNTED: [&str; 58] = [
    "users",
    "people",
    "customers",
    "subscribers",
    "downloads",
    "views",
    "viewers",
    "visitors",
    "followers",
    "copies",
    "jobs",
    "homes",
    "households",
    "children",
    "members",
    "deaths",
    "cases",
    "doses",
    "tonnes",
    "tons",
    "barrels",
    "records",
    "rows",
    "tokens",
    "parameter",
    "parameters",
    "params",
    "requests",
    "lines",
    "voters",
    "units",
    "shares",
    "workers",
    "students",
    "patients",
    "players",
    "fans",
    "tweets",
    "hits",
    "streams",
    "years",
    "stars",
    "likes",
    "listeners",
    "readers",
    "residents",
    "inhabitants",
    "refugees",
    "migrants",
    "passengers",
    "trees",
    "cars",
    "devices",
    "messages",
    "samples",
    "images",
    "employees",
    "context",
];
/// Nouns before which a unit is singular, with or without an article.
const MEASURED: [&str; 32] = [
    "battery",
    "batteries",
    "block",
    "blocks",
    "bottle",
    "bottles",
    "bulb",
    "bulbs",
    "card",
    "chip",
    "disk",
    "drive",
    "flat",
    "flight",
    "freestyle",
    "grid",
    "gun",
    "hurdles",
    "lens",
    "line",
    "monitor",
    "outlet",
    "plate",
    "pole",
    "race",
    "relay",
    "run",
    "screen",
    "shift",
    "sprint",
    "supply",
    "walk",
];

/// "5km", "a 5-km walk", "60 g/m²".
pub(crate) fn unit(found: &Found<'_, '_>) -> Option<String> {
    let (article, amount, hyphen, unit) = (found.group(1), found.group(2), found.group(3), found.group(4));
    let names = found.words.unit(unit)?;
    let (before, next) = (found.before(), found.next_word());
    let attribute = is_attribute(article, next) || is_attribute(article_of_pair(before), next);
    let range = before.ends_with("to ") || before.ends_with(['-', '–']);
    let part = before.ends_with('/') || amount.starts_with(['½', '¼', '¾']);
    let one = (is_one(amount) && !range) || part || attribute || hyphen == "-" || MEASURED.contains(&next);
    let per = match found.group(5) {
        "" => String::new(),
        "s" => " per second".to_owned(),
        per => format!(" per {}", found.words.unit(per)?.0),
    };
    let stop = if unit.ends_with('.') && found.after().is_empty() { "." } else { "" };
    Some(format!("{article}{amount} {}{per}{stop}", if one { &names.0 } else { &names.1 }))
}

/// The article of "a 2 by 4 m room".
fn article_of_pair(before: &str) -> &str {
    let mut words = before.split_whitespace().rev();
    match (words.next(), words.next(), words.next()) {
        (Some("by" | "to"), Some(_), Some(article @ ("a" | "an" | "the"))) => article,
        _ => "",
    }
}

/// "2 and one half tsp".
pub(crate) fn mixed_unit(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} {}", found.group(1), found.words.unit(found.group(2))?.1))
}

/// "5 ft 10 in", "6'2\"".
pub(crate) fn feet(found: &Found<'_, '_>) -> Option<String> {
    let names = if found.has(3) { ["feet", "inches"] } else { ["foot", ""] };
    let said = format!("{} {} {} {}", found.group(1), names[0], found.group(2), names[1]);
    Some(said.trim_end().to_owned())
}

pub(crate) fn degrees(found: &Found<'_, '_>) -> Option<String> {
    let (article, amount) = (found.group(1), found.group(2));
    let scale = match found.group(3) {
        "C" => " Celsius",
        "F" => " Fahrenheit",
        _ => "",
    };
    let one = is_one(amount) || scale.is_empty() && is_attribute(article, found.next_word());
    Some(format!("{article}{amount} {}{scale}", if one { "degree" } else { "degrees" }))
}

/// "5m users", "3bn", "2.5M": a scale, unless it may be something else.
pub(crate) fn scale(found: &Found<'_, '_>) -> Option<String> {
    let (amount, scale) = (found.group(1), found.group(2));
    let sure = match scale {
        "bn" | "mn" | "tn" => true,
        _ if COUNTED.contains(&found.next_word()) => true,
        "m" => false,
        _ => amount.contains('.'),
    };
    sure.then(|| format!("{amount} {}", scale_name(scale)))
}

/// "10x", but not in a formula.
pub(crate) fn times_over(found: &Found<'_, '_>) -> Option<String> {
    (!found.text.contains('=')).then(|| format!("{} times", found.group(1)))
}

/// "2h 30m", "3m 20s".
pub(crate) fn spans(found: &Found<'_, '_>) -> Option<String> {
    let part = |index: usize, one: &str| {
        let amount = found.group(index);
        let s = if amount == "1" { "" } else { "s" };
        if amount.is_empty() { String::new() } else { format!("{amount} {one}{s} ") }
    };
    let said = [part(1, "hour"), part(2, "minute"), part(3, "second")].concat();
    Some(said.trim_end().to_owned())
}

/// "15s": seconds, unless it may be the plural of a number, as in "the 30s".
pub(crate) fn seconds(found: &Found<'_, '_>) -> Option<String> {
    let amount = found.group(1);
    let introduced = ["in", "of", "after", "for", "every", "takes", "took", "within", "than", "last"];
    let sure = amount.contains('.') || introduced.contains(&found.previous_word()) && !amount.ends_with('0');
    sure.then(|| format!("{amount} seconds"))
}

/// "120/80 mmHg".
pub(crate) fn pressure(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} over {}", found.group(1), found.group(2)))
}

/// "7 L/100 km".
pub(crate) fn consumption(found: &Found<'_, '_>) -> Option<String> {
    Some(format!("{} liters per {} kilometers", found.group(1), found.group(2)))
}
