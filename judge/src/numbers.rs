//! Digits as words.

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const THOUSANDS: [(u64, &str); 3] = [(1_000_000_000, "billion"), (1_000_000, "million"), (1_000, "thousand")];
/// Longer numbers are read digit by digit.
const MOST_DIGITS: usize = 12;
const HAN_DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];

/// A number as it is written.
pub(crate) struct Written<'a> {
    /// Its digits before the point, without separators.
    pub(crate) whole: String,
    /// Its digits after the point; empty if there is none.
    pub(crate) fraction: &'a str,
    /// As written.
    pub(crate) digits: &'a str,
    /// Whether `st`, `nd`, `rd` or `th` follows.
    pub(crate) ordinal: bool,
    /// Bytes of all that.
    pub(crate) length: usize,
}

impl<'a> Written<'a> {
    /// The number that a text starts with.
    pub(crate) fn at_start(text: &'a str) -> Option<Self> {
        let mut end = digits(text);
        if end == 0 {
            return None;
        }
        // A comma separates thousands where exactly three digits follow.
        while text[end..].starts_with(',') && digits(&text[end + 1..]) == 3 {
            end += 4;
        }
        let whole = text[..end].replace(',', "");
        let mut fraction = "";
        if text[end..].starts_with('.') {
            fraction = &text[end + 1..end + 1 + digits(&text[end + 1..])];
        }
        let written = if fraction.is_empty() { end } else { end + 1 + fraction.len() };
        let ordinal = fraction.is_empty()
            && ["st", "nd", "rd", "th"]
                .iter()
                .any(|suffix| text[end..].strip_prefix(suffix).is_some_and(ends_word));
        let length = if ordinal { end + 2 } else { written };
        Some(Self { whole, fraction, digits: &text[..written], ordinal, length })
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(char::is_alphanumeric)
}

/// As an American reads it.
pub(crate) fn english(number: &Written<'_>) -> Vec<String> {
    let grouped = number.digits.contains(',');
    let mut words = whole_in_english(&number.whole, grouped);
    if !number.fraction.is_empty() {
        words.push("point");
        words.extend(each_digit(number.fraction));
    }
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if let (true, Some(last)) = (number.ordinal, words.last_mut()) {
        *last = ordinal(last);
    }
    words
}

fn whole_in_english(whole: &str, grouped: bool) -> Vec<&'static str> {
    let Some(value) = value(whole) else { return each_digit(whole).collect() };
    if let Some((century, rest)) = year(whole, value).filter(|_| !grouped) {
        let mut words = below_thousand(century);
        match rest {
            0 => words.push("hundred"),
            1..10 => words.extend(["oh", ONES[rest as usize]]),
            _ => words.extend(below_thousand(rest)),
        }
        return words;
    }
    let mut rest = value;
    let mut words = Vec::new();
    for (size, name) in THOUSANDS {
        if rest >= size {
            words.extend(below_thousand(rest / size));
            words.push(name);
            rest %= size;
        }
    }
    if rest > 0 || words.is_empty() {
        words.extend(below_thousand(rest));
    }
    words
}

/// Four digits that are read in two parts: 1100 to 1999, 2010 to 2099.
fn year(whole: &str, value: u64) -> Option<(u64, u64)> {
    let read_so = whole.len() == 4 && matches!(value, 1100..2000 | 2010..2100);
    read_so.then_some((value / 100, value % 100))
}

fn value(whole: &str) -> Option<u64> {
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    (whole.len() <= MOST_DIGITS && !leading_zero).then(|| whole.parse().ok())?
}

fn each_digit(digits: &str) -> impl Iterator<Item = &'static str> {
    digits.bytes().map(|digit| ONES[usize::from(digit - b'0')])
}

fn below_thousand(value: u64) -> Vec<&'static str> {
    let (hundreds, rest) = ((value / 100) as usize, (value % 100) as usize);
    let mut words = Vec::new();
    if hundreds > 0 {
        words.extend([ONES[hundreds], "hundred"]);
    }
    match rest {
        0 if hundreds > 0 => {}
        0..20 => words.push(ONES[rest]),
        _ => {
            words.push(TENS[rest / 10]);
            if rest % 10 > 0 {
                words.push(ONES[rest % 10]);
            }
        }
    }
    words
}

fn ordinal(word: &str) -> String {
    match word {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => word.strip_suffix('y').map_or_else(|| format!("{word}th"), |stem| format!("{stem}ieth")),
    }
}

/// As it is read in Chinese.
pub(crate) fn chinese(number: &Written<'_>) -> Vec<String> {
    let by_digit = |digits: &str| digits.bytes().map(|digit| HAN_DIGITS[usize::from(digit - b'0')]).collect();
    let mut text: String = value(&number.whole).map_or_else(|| by_digit(&number.whole), whole_in_chinese);
    if !number.fraction.is_empty() {
        text.push('点');
        text.push_str(&by_digit(number.fraction));
    }
    vec![text]
}

fn whole_in_chinese(value: u64) -> String {
    if value == 0 {
        return "零".to_owned();
    }
    let groups = [(100_000_000, "亿"), (10_000, "万"), (1, "")];
    let (mut rest, mut text) = (value, String::new());
    let mut gap = false;
    for (size, name) in groups {
        let group = rest / size;
        rest %= size;
        if group == 0 {
            gap |= !text.is_empty();
            continue;
        }
        if !text.is_empty() && (gap || group < 1000) {
            text.push('零');
        }
        gap = false;
        text.push_str(&below_ten_thousand(group));
        text.push_str(name);
    }
    // Ten to nineteen are said without a one before them.
    text.strip_prefix("一十").map_or_else(|| text.clone(), |rest| format!("十{rest}"))
}

fn below_ten_thousand(value: u64) -> String {
    let (mut rest, mut text, mut gap) = (value, String::new(), false);
    for (size, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = (rest / size) as usize;
        rest %= size;
        if digit == 0 {
            gap |= !text.is_empty();
            continue;
        }
        if gap {
            text.push('零');
        }
        gap = false;
        text.push(HAN_DIGITS[digit]);
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Written<'_> {
        Written::at_start(text).unwrap()
    }

    #[rstest]
    #[case("0", "zero")]
    #[case("7", "seven")]
    #[case("13", "thirteen")]
    #[case("40", "forty")]
    #[case("99", "ninety nine")]
    #[case("100", "one hundred")]
    #[case("305", "three hundred five")]
    #[case("1,000", "one thousand")]
    #[case("2000", "two thousand")]
    #[case("2005", "two thousand five")]
    #[case("1999", "nineteen ninety nine")]
    #[case("1900", "nineteen hundred")]
    #[case("1906", "nineteen oh six")]
    #[case("2026", "twenty twenty six")]
    #[case("1,999", "one thousand nine hundred ninety nine")]
    #[case("1000000", "one million")]
    #[case("12,345,678", "twelve million three hundred forty five thousand six hundred seventy eight")]
    #[case("007", "zero zero seven")]
    #[case("1234567890123", "one two three four five six seven eight nine zero one two three")]
    #[case("3.14", "three point one four")]
    #[case("3.", "three")]
    #[case("1st", "first")]
    #[case("12th", "twelfth")]
    #[case("20th", "twentieth")]
    #[case("33rd", "thirty third")]
    #[case("5then", "five")]
    fn numbers_are_read_in_english(#[case] text: &str, #[case] words: &str) {
        assert_eq!(english(&read(text)).join(" "), words);
    }

    #[rstest]
    #[case("0", "零")]
    #[case("10", "十")]
    #[case("15", "十五")]
    #[case("20", "二十")]
    #[case("101", "一百零一")]
    #[case("110", "一百一十")]
    #[case("1001", "一千零一")]
    #[case("10001", "一万零一")]
    #[case("123456", "十二万三千四百五十六")]
    #[case("100010000", "一亿零一万")]
    #[case("3.05", "三点零五")]
    fn numbers_are_read_in_chinese(#[case] text: &str, #[case] characters: &str) {
        assert_eq!(chinese(&read(text)).concat(), characters);
    }

    #[rstest]
    #[case("1,000,000 x", 9, "1000000")]
    #[case("1,23", 1, "1")]
    #[case("1, 234", 1, "1")]
    #[case("10th.", 4, "10")]
    fn a_number_ends_where_it_should(#[case] text: &str, #[case] length: usize, #[case] whole: &str) {
        let number = read(text);
        assert_eq!((number.length, &number.whole[..]), (length, whole));
    }
}
