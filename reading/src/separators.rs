//! Commas, points, spaces and the like within numbers: which of them separate
//! thousands, which the fraction, and which nothing of the kind.

use crate::{addresses::spaced, found::Found};

/// After these words and signs a number with a comma has a fraction.
pub(crate) const MEASURES: &str = "%|percent|million|billion|trillion|thousand|bn\\b|mn\\b|hours?|minutes?|seconds?|days?|weeks?|months?|years?|times|degrees|points?|meters?|kilometers?|miles|liters?|kilos?|kilograms?|grams?|tons?|tonnes|pounds|euros?|dollars|crore|lakh|°";

/// "1 250 000", "12'500", "1_000_000", "1.250.000,5" in the form "1,250,000.5".
pub(crate) fn thousands(found: &Found<'_, '_>) -> Option<String> {
    let written = found.group(0);
    let (whole, fraction) = match written.split_once(',') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (written, String::new()),
    };
    let groups: Vec<&str> = whole.split(|c: char| !c.is_ascii_digit()).collect();
    let first = groups.first()?;
    // A version or a row of numbers looks like one without round groups.
    let separator = whole.chars().find(|c| !c.is_ascii_digit())?;
    let sure = match separator {
        '\'' | '_' => true,
        ' ' => {
            groups.contains(&"000") || (groups.len() > 2 && first.len() < 3) || currency_next(found.after())
        }
        _ => !fraction.is_empty() || groups.contains(&"000"),
    };
    (sure && !first.starts_with('0')).then(|| groups.join(",") + &fraction)
}

fn currency_next(after: &str) -> bool {
    after.trim_start().starts_with(['€', '$', '£', '¥', '₹'])
        || after.starts_with(" zł")
        || after.starts_with(" kr")
}

/// Numbers with commas that are not those of thousands.
pub(crate) fn commas(found: &Found<'_, '_>) -> Option<String> {
    let (currency, written, measured) = (found.group(1), found.group(2), found.has(3));
    let groups: Vec<&str> = written.split(',').collect();
    if is_thousands(&groups) {
        return None;
    }
    if is_indian(&groups) {
        return Some(format!("{currency}{}", grouped(&groups.concat())));
    }
    match groups.as_slice() {
        [whole, fraction] if measured || !currency.is_empty() || *whole == "0" => {
            Some(format!("{currency}{whole}.{fraction}"))
        }
        // A fraction, or two numbers: what is written.
        [whole, fraction] if fraction.len() < 4 => Some(format!("{whole} comma {}", spaced(fraction))),
        numbers => Some(numbers.join(", ")),
    }
}

fn is_thousands(groups: &[&str]) -> bool {
    groups.first().is_some_and(|first| (1..=3).contains(&first.len()) && *first != "0")
        && groups.iter().skip(1).all(|group| group.len() == 3)
}

/// "1,00,000": hundreds after the last three digits.
fn is_indian(groups: &[&str]) -> bool {
    let Some(([first, hundreds @ ..], last)) = groups.split_last().map(|(last, rest)| (rest, last)) else {
        return false;
    };
    (1..=2).contains(&first.len())
        && !hundreds.is_empty()
        && hundreds.iter().all(|group| group.len() == 2)
        && last.len() == 3
}

/// Digits with commas between thousands.
pub(crate) fn grouped(digits: &str) -> String {
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indian_groups_and_thousands_are_told_apart() {
        assert!(is_indian(&["1", "00", "000"]) && is_indian(&["12", "34", "567"]));
        assert!(!is_indian(&["1", "000"]) && !is_indian(&["1", "2", "3"]) && !is_indian(&["1"]));
        assert!(is_thousands(&["1", "000"]) && !is_thousands(&["0", "000"]) && !is_thousands(&["1", "00"]));
        assert_eq!(grouped("1234567"), "1,234,567");
    }
}
