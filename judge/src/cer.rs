//! Character error rate.

use crate::normalise::{Script, normalise};

/// Characters of a transcript that are looked at, for each character meant: the
/// rest of one that babbles on changes nothing.
const MOST_HEARD: usize = 4;

/// Edits (insertions, deletions, substitutions) that make what was heard into
/// what was meant, as a share of the characters meant. None if nothing was
/// meant that can be heard. 1 at most: a text wholly misheard cannot be
/// misheard more, and one that babbles should not outweigh all others.
pub fn character_error_rate(meant: &str, heard: &str) -> Option<f64> {
    let script = Script::of(meant);
    let (meant, heard) = (normalise(meant, script), normalise(heard, script));
    let length = meant.chars().count();
    let heard: String = heard.chars().take(MOST_HEARD * length).collect();
    error_rate(&meant, &heard).map(|rate| rate.min(1.0))
}

/// The same without normalisation and without a bound.
pub fn error_rate(meant: &str, heard: &str) -> Option<f64> {
    let length = meant.chars().count();
    (length > 0).then(|| strsim::levenshtein(meant, heard) as f64 / length as f64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::equal("Good morning, Ann!", "good morning ann", Some(0.0))]
    #[case::one_letter("Good day", "good bay", Some(0.125))]
    #[case::a_number("I have 2 cats", "i have two cats", Some(0.0))]
    #[case::nothing_heard("Good day", "", Some(1.0))]
    #[case::babble("Good day", "what on earth is this supposed to mean and so on", Some(1.0))]
    #[case::chinese("今天天气很好。", "今天 天气 真 好", Some(1.0 / 6.0))]
    #[case::nothing_meant("!?", "good day", None)]
    fn letters_are_counted(#[case] meant: &str, #[case] heard: &str, #[case] rate: Option<f64>) {
        assert_eq!(character_error_rate(meant, heard), rate);
    }
}
