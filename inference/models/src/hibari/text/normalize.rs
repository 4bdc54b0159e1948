//! Writing out in words what is not words: an ordered list of rules, each a
//! pattern and a reading.

use std::collections::BTreeMap;

use fancy_regex::{Captures, Regex};
use serde::Deserialize;

use super::{
    readings::{self as read, MONTHS},
    tables::{read_json, unusable},
};
use crate::{FolderError, ModelFolder};

const FILE: &str = "normalize.json";
const AMOUNT: &str = r"\d+(?:,\d{3})*(?:\.\d+)?";
const ROMAN: &str = r"((?=[IVXLC])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))";
const SCALE: &str = r"hundred|thousand|million|billion|trillion|[kKmMbB]\b";
const CLOCK: &str = r"\d{1,2}:\d{2}(?:\s?[AaPp]\.?[Mm]\.?)?|\d{1,2}\s?[AaPp]\.?[Mm]\.?";
/// Endings of host names that mark a web address without a scheme.
const HOST: &str = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:com|org|net|edu|gov|io|co|uk|de|fr|info|biz|tv|me|ly|ai|dev|app)";
/// Units that the table leaves out.
const MORE_UNITS: [(&str, &str, &str); 18] = [
    ("m", "meter", "meters"),
    ("g", "gram", "grams"),
    ("L", "liter", "liters"),
    ("mL", "milliliter", "milliliters"),
    ("m/s", "meter per second", "meters per second"),
    ("km²", "square kilometer", "square kilometers"),
    ("km2", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m2", "square meter", "square meters"),
    ("m³", "cubic meter", "cubic meters"),
    ("cm²", "square centimeter", "square centimeters"),
    ("ha", "hectare", "hectares"),
    ("µs", "microsecond", "microseconds"),
    ("W", "watt", "watts"),
    ("V", "volt", "volts"),
    ("dB", "decibel", "decibels"),
    ("MB/s", "megabyte per second", "megabytes per second"),
    ("GB/s", "gigabyte per second", "gigabytes per second"),
];

/// Word tables of the voice.
#[derive(Debug, Deserialize)]
pub(super) struct Words {
    titles: BTreeMap<String, String>,
    abbreviations: BTreeMap<String, String>,
    units: BTreeMap<String, (String, String)>,
    symbols: BTreeMap<char, String>,
    currency: BTreeMap<String, (String, String)>,
    roman_cardinal: Vec<String>,
    roman_ordinal: Vec<String>,
}

impl Words {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let mut words: Self = read_json(folder, FILE)?;
        for (unit, one, many) in MORE_UNITS {
            words.units.entry(unit.to_owned()).or_insert((one.to_owned(), many.to_owned()));
        }
        Ok(words)
    }

    pub(super) fn title(&self, short: &str) -> Option<&str> {
        self.titles.get(short).map(String::as_str)
    }

    pub(super) fn abbreviation(&self, short: &str) -> Option<&str> {
        self.abbreviations.get(short).map(String::as_str)
    }

    pub(super) fn unit(&self, unit: &str) -> Option<&(String, String)> {
        self.units.get(unit)
    }

    pub(super) fn symbol(&self, symbol: &str) -> Option<&str> {
        self.symbols.get(&symbol.chars().next()?).map(String::as_str)
    }

    pub(super) fn currency(&self, sign: &str) -> Option<&(String, String)> {
        self.currency.get(sign)
    }
}

type Reading = fn(&Words, &Captures<'_, str>) -> Option<String>;

/// Applies the rules in order.
#[derive(Debug)]
pub(super) struct Normalizer {
    words: Words,
    rules: Vec<(Regex, Reading)>,
}

impl Normalizer {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let words = Words::load(folder)?;
        let rules =
            addresses_and_ranges().into_iter().chain(dates_and_amounts(&words)).chain(shorthand(&words));
        let compile = |(pattern, reading): (String, Reading)| Ok((Regex::new(&pattern)?, reading));
        let rules = rules.map(compile).collect::<Result<_, fancy_regex::Error>>();
        Ok(Self { rules: rules.map_err(|error| unusable(FILE, error))?, words })
    }

    /// Whether this is known to end in a full stop without ending a sentence.
    pub(super) fn is_title(&self, word: &str) -> bool {
        self.words.title(word).is_some()
    }

    /// Whether the word with a full stop is an abbreviation.
    pub(super) fn is_abbreviation(&self, word: &str) -> bool {
        self.words.abbreviation(&format!("{word}.")).is_some() || matches!(word, "No" | "Nos")
    }

    /// One sentence in words.
    pub(super) fn normalize(&self, sentence: &str) -> String {
        let mut text = single_spaced(sentence).replace('’', "'");
        for (pattern, reading) in &self.rules {
            if let Some(rewritten) = self.rewrite(pattern, *reading, &text) {
                text = rewritten;
            }
        }
        single_spaced(&text)
    }

    /// The text with every match replaced; `None` when there is none. A match
    /// that the engine gives up on is left as it is.
    fn rewrite(&self, pattern: &Regex, reading: Reading, text: &str) -> Option<String> {
        let mut rewritten = String::new();
        let mut end = 0;
        for found in pattern.captures_iter(text).map_while(Result::ok) {
            let Some((whole, words)) = found.get(0).zip(reading(&self.words, &found)) else { continue };
            rewritten.push_str(&text[end..whole.start()]);
            rewritten.push_str(&words);
            end = whole.end();
        }
        (end > 0).then(|| rewritten + &text[end..])
    }
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An alternation, longest first so that "lbs" is not read as "lb".
fn any_of<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut words: Vec<_> = words.map(|word| fancy_regex::escape(word).into_owned()).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.join("|")
}

/// What must be read before its dots, slashes and hyphens mean anything else.
fn addresses_and_ranges() -> Vec<(String, Reading)> {
    let rule = |pattern: &str, reading: Reading| (pattern.to_owned(), reading);
    vec![
        rule(r"\[([^\[\]]*)\]\([^()\s]*\)", read::label),
        rule(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", read::mail),
        rule(r#"(?<![\w@.])(?:(?:https?|ftp)://|www\.)[^\s<>"“”]+"#, read::web),
        (format!(r#"(?<![\w@.-]){HOST}(?![\w-])(?:/[^\s<>"“”]*)?"#), read::web),
        rule(
            r"(?<![\w.+-])(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-]|\.\d)",
            read::telephone,
        ),
        rule(r"(?<![\w.])\+\d{1,3}(?:[ -]\d{2,4}){2,5}(?![\w-])", read::telephone),
        rule(r"(?<![\w.,$£€¥-])\d{10,}(?![\w%]|[.,]\d)", read::long_digits),
        rule(r"(?<![\w.])(v?)(\d+(?:\.\d+){2,})(?![\w])", read::version),
        rule(r"(?<![\w/])24/7(?![\w/])", read::round_the_clock),
        rule(r"\b(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?Z?\b", read::date_and_time),
        rule(r"(?<![\w./])(\d+) (\d{1,2})/(\d{1,2})(?![\w/])", read::mixed),
        (format!(r"(?<![\w.:])({CLOCK})(?:[-–]|\s[-–]\s)({CLOCK})(?![\w:])"), read::range),
        rule(r"(?<![\w.\-])(\d+(?:\.\d+)?)(?:[-–]|\s[-–]\s)(\d+(?:\.\d+)?%)", read::range),
        rule(
            r"(?<![\w.\-])(\d+\.\d+|\d+(?=(?:[-–]|\s[-–]\s)\d+\.\d))(?:[-–]|\s[-–]\s)(\d+(?:\.\d+)?)(?![\w.%\-])",
            read::range,
        ),
        rule(r"(?<![\w)])-(?=[$£€]\d)", read::minus),
        rule(r"([$£€]\d[\d,.]*)[-–](?=[$£€]\d)()", read::range),
        rule(r"(?<!\w)‘([^‘]+?)'(?!\w)", read::quoted),
        rule(r"(?<=[^\s\d]) --? (?=\S)|(?<=\w) ?--(?=\w)", read::pause),
    ]
}

fn dates_and_amounts(words: &Words) -> Vec<(String, Reading)> {
    let short = MONTHS.iter().map(|month| month[..3].to_owned());
    let months: Vec<_> =
        MONTHS.iter().map(|month| (*month).to_owned()).chain(short).chain(["Sept".to_owned()]).collect();
    let months = any_of(months.iter());
    let units = any_of(words.units.keys());
    let rule = |pattern: &str, reading: Reading| (pattern.to_owned(), reading);
    vec![
        rule(
            r"\b(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([AaPp])\.?[Mm]\.?(?![A-Za-z]))?(?!\d)(?=(\.)?)",
            read::time,
        ),
        rule(r"\b(\d{4})-(\d{2})-(\d{2})\b", read::iso_date),
        rule(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b", read::american_date),
        (format!(r"([$£€])({AMOUNT})\s?({SCALE})"), read::money),
        (format!(r"(?<![\w.])({AMOUNT})\s?(¢)"), read::money_after),
        (format!(r"(?<!\w)([¥₹₩]|Rs\.?|USD|EUR|GBP)\s?({AMOUNT})(?:\s?({SCALE}))?"), read::money),
        (format!(r"(?<![\w.$£€])({AMOUNT})\s?(USD|EUR|GBP)\b"), read::money_after),
        (format!(r"(?<![\w.])(-?{AMOUNT})\s?°\s?([CF])?(?!\w)"), read::degrees),
        (format!(r"(?<![\w.])(-?{AMOUNT})\s?({units})(?!\w)"), read::unit),
        (format!(r"\b({months})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d:%])(,? \d{{4}}\b)?"), read::month_day),
        (format!(r"\b(?:the )?(\d{{1,2}}) (?:of )?({months})\b\.?"), read::day_month),
    ]
}

fn shorthand(words: &Words) -> Vec<(String, Reading)> {
    let (between, anywhere): (Vec<char>, Vec<char>) =
        words.symbols.keys().partition(|symbol| "=<>~".contains(**symbol));
    let one_of = |symbols: Vec<char>| {
        let escaped: String = symbols
            .iter()
            .map(|symbol| fancy_regex::escape(&symbol.to_string()).into_owned() + "|")
            .collect();
        // An empty table leaves a pattern that matches nothing.
        format!(r"(?:{escaped}[^\s\S])")
    };
    let rule = |pattern: &str, reading: Reading| (pattern.to_owned(), reading);
    vec![
        (format!(r"\b({})\.? (?=[A-Z])", any_of(words.titles.keys())), read::title),
        (format!(r"(?<![\w.])({})(?!\w)(?=($)?)", any_of(words.abbreviations.keys())), read::abbreviation),
        rule(r"\b(No|Nos)\. ?(?=\d)", read::numbered),
        rule(r"(?<![\w&])#(?=\d)", read::numbered),
        (format!(r"\b({}) {ROMAN}\b(?![.']\w)", any_of(words.roman_cardinal.iter())), read::roman_cardinal),
        (format!(r"\b({}) {ROMAN}\b(?![.']\w)", any_of(words.roman_ordinal.iter())), read::roman_ordinal),
        rule(r"(?<![\w.\-])(?:\d{3}-)?\d{3}-\d{4}(?![\w.\-])", read::telephone),
        rule(r"(?<![\w./])(\d{1,2})/(\d{1,2})(?![\w./])", read::fraction),
        rule(r"(?<![\w.\-])(\d{1,4})(?:[-–]|\s[-–]\s)(\d{1,4})(?![\w.\-%])", read::range),
        rule(r"(?<![\w+])\+(?=\d)", read::plus),
        (format!(r"(?<=\S) ?{} ?(?=\S)", one_of(between)), read::symbol),
        (one_of(anywhere), read::symbol),
        rule(r"\s+([,.;:!?])(?!\d)", read::tight_punctuation),
    ]
}
