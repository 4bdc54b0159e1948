//! Numbers in English words, as an American reads them. They come as decimal
//! digits of any length.

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
const SCALES: [&str; 12] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];
const ORDINALS: [(&str, &str); 7] = [
    ("one", "first"),
    ("two", "second"),
    ("three", "third"),
    ("five", "fifth"),
    ("eight", "eighth"),
    ("nine", "ninth"),
    ("twelve", "twelfth"),
];

/// "one hundred twenty-three"; numbers beyond the named scales go digit by
/// digit. Anything but ASCII digits is skipped.
pub fn cardinal(digits: &str) -> String {
    let digits: Vec<usize> =
        digits.bytes().filter(u8::is_ascii_digit).map(|d| usize::from(d - b'0')).collect();
    let first = digits.iter().position(|digit| *digit != 0);
    let Some(first) = first else { return ONES[0].to_owned() };
    let digits = &digits[first..];
    let groups = digits.rchunks(3).map(|group| group.iter().fold(0, |sum, digit| sum * 10 + digit));
    let groups: Vec<usize> = groups.collect();
    if groups.len() > SCALES.len() {
        return spell(digits);
    }
    let mut parts = Vec::new();
    for (scale, group) in groups.iter().enumerate().rev().filter(|(_, group)| **group > 0) {
        parts.push(below_thousand(*group));
        if scale > 0 {
            parts.push(SCALES[scale].to_owned());
        }
    }
    parts.join(" ")
}

fn spell(digits: &[usize]) -> String {
    digits.iter().map(|digit| ONES[*digit]).collect::<Vec<_>>().join(" ")
}

/// Each digit by its name: "zero zero seven".
pub fn digit_names(digits: &str) -> String {
    let digits = digits.bytes().filter(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0'));
    spell(&digits.collect::<Vec<_>>())
}

fn below_thousand(number: usize) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    let tens = match rest {
        0 => String::new(),
        1..20 => ONES[rest].to_owned(),
        _ if rest % 10 == 0 => TENS[rest / 10].to_owned(),
        _ => format!("{}-{}", TENS[rest / 10], ONES[rest % 10]),
    };
    match (hundreds, rest) {
        (0, _) => tens,
        (_, 0) => format!("{} hundred", ONES[hundreds]),
        _ => format!("{} hundred {tens}", ONES[hundreds]),
    }
}

/// "one hundred twenty-third".
pub fn ordinal(digits: &str) -> String {
    let cardinal = cardinal(digits);
    let split = cardinal.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = cardinal.split_at(split);
    if let Some((_, irregular)) = ORDINALS.iter().find(|(one, _)| *one == last) {
        return format!("{head}{irregular}");
    }
    match last.strip_suffix('y') {
        Some(stem) => format!("{head}{stem}ieth"),
        None => format!("{head}{last}th"),
    }
}

/// A year of four digits: "nineteen oh-five", "two thousand five".
pub fn year(digits: &str) -> String {
    let Some((high, low)) = digits.split_at_checked(2).filter(|(high, low)| high.len() == low.len()) else {
        return cardinal(digits);
    };
    if high == "00" || (high.ends_with('0') && low.starts_with('0')) {
        return cardinal(digits);
    }
    let low = match low.strip_prefix('0') {
        Some("0") => "hundred".to_owned(),
        Some(one) => format!("oh-{}", cardinal(one)),
        None => cardinal(low),
    };
    format!("{} {low}", cardinal(high))
}

/// "three point one four"; zeros at the end are not said.
pub fn decimal(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    match fraction.trim_end_matches('0') {
        "" => cardinal(whole),
        fraction => format!("{} point {}", cardinal(whole), digit_names(fraction)),
    }
}

/// A number as it is written, by itself: digits, perhaps with thousands
/// separated by commas, a point and a fraction.
pub fn number(written: &str) -> String {
    let plain = written.replace(',', "");
    let digits_only = plain.len() == written.len() && !plain.contains('.');
    match plain.strip_prefix('.') {
        Some(fraction) => format!("point {}", digit_names(fraction)),
        // Codes such as "007" are read digit by digit.
        None if digits_only && plain.len() > 1 && plain.starts_with('0') => digit_names(&plain),
        None if digits_only && plain.len() == 4 => year(&plain),
        None => decimal(&plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals_are_read_in_groups_of_thousands() {
        assert_eq!(cardinal("0"), "zero");
        assert_eq!(cardinal("00000"), "zero");
        assert_eq!(cardinal("40"), "forty");
        assert_eq!(cardinal("123"), "one hundred twenty-three");
        assert_eq!(cardinal("1001"), "one thousand one");
        assert_eq!(cardinal("1000000"), "one million");
        assert_eq!(
            cardinal("12345678"),
            "twelve million three hundred forty-five thousand six hundred seventy-eight"
        );
    }

    #[test]
    fn numbers_beyond_all_scales_are_spelled() {
        assert_eq!(cardinal(&"9".repeat(37)), ["nine"; 37].join(" "));
        assert!(cardinal(&"9".repeat(36)).contains("decillion"));
    }

    #[test]
    fn ordinals_change_the_last_word_only() {
        assert_eq!(ordinal("1"), "first");
        assert_eq!(ordinal("12"), "twelfth");
        assert_eq!(ordinal("20"), "twentieth");
        assert_eq!(ordinal("31"), "thirty-first");
        assert_eq!(ordinal("103"), "one hundred third");
        assert_eq!(ordinal("1000"), "one thousandth");
    }

    #[test]
    fn years_are_read_in_pairs_except_round_ones() {
        assert_eq!(year("1999"), "nineteen ninety-nine");
        assert_eq!(year("1905"), "nineteen oh-five");
        assert_eq!(year("1900"), "nineteen hundred");
        assert_eq!(year("2000"), "two thousand");
        assert_eq!(year("2005"), "two thousand five");
        assert_eq!(year("2026"), "twenty twenty-six");
        assert_eq!(year("0042"), "forty-two");
    }

    #[test]
    fn numbers_are_read_by_how_they_are_written() {
        for (written, words) in [
            ("0", "zero"),
            ("305", "three hundred five"),
            ("1,000", "one thousand"),
            ("1906", "nineteen oh-six"),
            ("1,999", "one thousand nine hundred ninety-nine"),
            ("007", "zero zero seven"),
            ("3.14", "three point one four"),
            (".5", "point five"),
            ("1,234.5", "one thousand two hundred thirty-four point five"),
        ] {
            assert_eq!(number(written), words);
        }
    }

    #[test]
    fn decimals_name_each_digit_after_the_point() {
        assert_eq!(decimal("3.14"), "three point one four");
        assert_eq!(decimal("2.50"), "two point five");
        assert_eq!(decimal("5."), "five");
        assert_eq!(decimal("0.05"), "zero point zero five");
    }
}
