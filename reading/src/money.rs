//! Amounts of money.

use crate::{
    found::{Found, is_attribute, is_one},
    separators::grouped,
};

/// What a currency's hundredth is called, one of them and several, by the last
/// word of the unit's name.
fn hundredth(unit: &str) -> Option<(&'static str, &'static str)> {
    Some(match unit.rsplit(' ').next()? {
        "dollar" | "euro" => ("cent", "cents"),
        "pound" => ("penny", "pence"),
        "rupee" => ("paisa", "paise"),
        "zloty" => ("grosz", "groszy"),
        _ => return None,
    })
}

/// "$5.5", "€3bn", "a £20 note", "$20/month".
pub(crate) fn before(found: &Found<'_, '_>) -> Option<String> {
    let (article, sign, amount, scale) = (found.group(1), found.group(2), found.group(3), found.group(4));
    let attribute = is_attribute(article, found.next_word());
    Some(format!("{article}{}{}", said(found, sign, amount, scale, attribute)?, per(found, 5)?))
}

/// "100 $", "5,50 €", "3 million €".
pub(crate) fn after(found: &Found<'_, '_>) -> Option<String> {
    let (article, amount, scale, sign) = (found.group(1), found.group(2), found.group(3), found.group(4));
    let attribute = is_attribute(article, found.next_word());
    Some(format!("{article}{}{}", said(found, sign, amount, scale, attribute)?, per(found, 5)?))
}

/// "$5-10", "€1-2bn".
pub(crate) fn range(found: &Found<'_, '_>) -> Option<String> {
    let (sign, low, high, scale) = (found.group(1), found.group(2), found.group(3), found.group(4));
    let names = found.words.currency(sign)?;
    Some(format!("{low} to {high}{} {}", spaced_scale(scale), names.1))
}

fn said(found: &Found<'_, '_>, sign: &str, amount: &str, scale: &str, attribute: bool) -> Option<String> {
    let names = found.words.currency(sign)?;
    let unit = |amount: &str| if attribute || is_one(amount) { &names.0 } else { &names.1 };
    if !scale.is_empty() {
        let name = if attribute { &names.0 } else { &names.1 };
        return Some(format!("{amount}{} {name}", spaced_scale(scale)));
    }
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    // Four digits are no year here.
    let whole = if whole.len() == 4 { grouped(whole) } else { whole.to_owned() };
    let zero = |digits: &str| digits.bytes().all(|digit| matches!(digit, b'0' | b','));
    let Some((one, many)) = hundredth(&names.0).filter(|_| fraction.len() < 3) else {
        let point = if zero(fraction) { "" } else { "." };
        let fraction = if zero(fraction) { "" } else { fraction };
        return Some(format!("{whole}{point}{fraction} {}", unit(amount)));
    };
    let units = format!("{} {}", &whole, unit(&whole));
    if zero(fraction) {
        return Some(units);
    }
    // "$5.5" is fifty cents; "$5.05" five.
    let hundredths = format!("{fraction:0<2}");
    let hundredths = hundredths.trim_start_matches('0');
    let hundredths = format!("{hundredths} {}", if hundredths == "1" { one } else { many });
    Some(if zero(&whole) { hundredths } else { format!("{units} and {hundredths}") })
}

fn spaced_scale(scale: &str) -> String {
    match scale {
        "" => String::new(),
        _ => format!(" {}", scale_name(scale)),
    }
}

/// The word for "k", "m" or "bn".
pub(crate) fn scale_name(scale: &str) -> &str {
    match scale {
        "k" | "K" => "thousand",
        "m" | "M" | "mn" | "mil" => "million",
        "b" | "B" | "bn" => "billion",
        "t" | "T" | "tn" => "trillion",
        _ => scale,
    }
}

/// "/month" after an amount; nothing where nothing is, `None` where it is not
/// known.
pub(crate) fn per(found: &Found<'_, '_>, group: usize) -> Option<String> {
    let what = match found.group(group) {
        "" => return Some(String::new()),
        "mo" | "mth" => "month",
        "wk" => "week",
        "hour" | "h" => "hour",
        "s" => "second",
        short => found.words.unit(short).map_or(short, |(one, _)| one),
    };
    Some(format!(" per {what}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{Normalizer, Words};

    #[rstest]
    #[case("$5.5", "5 dollars and 50 cents")]
    #[case("$5.05", "5 dollars and 5 cents")]
    #[case("£0.01", "1 penny")]
    #[case("$1200", "1,200 dollars")]
    #[case("€5,50", "5 euros and 50 cents")]
    #[case("1.234,56 €", "1,234 euros and 56 cents")]
    #[case("$1.2bn", "1.2 billion dollars")]
    #[case("a $20 bill", "a 20 dollar bill")]
    #[case("a $5 a day habit", "a 5 dollars a day habit")]
    #[case("100 $", "100 dollars")]
    #[case("$3.459", "3.459 dollars")]
    #[case("$5/kg", "5 dollars per kilogram")]
    #[case("$5/x", "5 dollars/x")]
    fn amounts_name_their_currency(#[case] text: &str, #[case] words: &str) {
        assert_eq!(Normalizer::new(Words::common()).unwrap().normalize(text), words);
    }
}
