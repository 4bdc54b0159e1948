//! Numbers in Chinese characters.

use crate::Written;

const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
/// Longer numbers are read digit by digit.
const MOST_DIGITS: usize = 12;

/// As it is read in Chinese.
pub fn number(number: &Written<'_>) -> String {
    let by_digit = |digits: &str| digits.bytes().map(|digit| DIGITS[usize::from(digit - b'0')]).collect();
    let mut text: String = value(&number.whole).map_or_else(|| by_digit(&number.whole), whole_in_chinese);
    if !number.fraction.is_empty() {
        text.push('点');
        text.push_str(&by_digit(number.fraction));
    }
    text
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
        text.push(DIGITS[digit]);
        text.push_str(name);
    }
    text
}

/// Its value, unless it is read digit by digit.
fn value(whole: &str) -> Option<u64> {
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    (whole.len() <= MOST_DIGITS && !leading_zero).then(|| whole.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
        assert_eq!(number(&Written::at_start(text).unwrap()), characters);
    }
}
