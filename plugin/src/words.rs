//! How things are written.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Enough of a digest to tell it from others.
pub(crate) fn short(digest: &str) -> String {
    let (kind, digits) = digest.split_once(':').unwrap_or(("", digest));
    let shown = digits.get(..12).unwrap_or(digits);
    if kind.is_empty() { shown.to_owned() } else { format!("{kind}:{shown}") }
}

/// How long ago something was, in the largest units, as kubectl writes it.
pub(crate) fn age(since: Option<&Time>, now: Timestamp) -> String {
    let Some(Time(since)) = since else { return String::new() };
    let seconds = now.duration_since(*since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(-5, "0s")]
    #[case(0, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(7_199, "119m")]
    #[case(7_200, "2h")]
    #[case(172_800, "2d")]
    fn ages_are_in_the_largest_unit_that_says_enough(#[case] seconds: i64, #[case] text: &str) {
        let then = Timestamp::UNIX_EPOCH;
        assert_eq!(age(Some(&Time(then)), then + seconds.seconds()), text);
    }

    #[test]
    fn digests_are_cut_and_other_words_are_not_harmed() {
        assert_eq!(short("sha256:0123456789abcdef"), "sha256:0123456789ab");
        assert_eq!(short("short"), "short");
    }
}
