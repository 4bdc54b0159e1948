//! Cutting a text that is too long, where a listener would pause.

use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations after which a sentence goes on, in lower case and without their
/// full stop: mostly a name follows. Those that often end a sentence, such as
/// "etc." and "Inc.", are not among them.
const GO_ON: [&str; 34] = [
    "approx", "bzw", "ca", "capt", "cf", "cmdr", "col", "dr", "e.g", "fig", "fr", "gen", "gov", "hr", "i.e",
    "lt", "maj", "mlle", "mme", "mr", "mrs", "ms", "mt", "prof", "rep", "rev", "sen", "sgt", "st", "vs",
    "z.b", "nr", "vol", "pp",
];
/// Those after which it goes on if a number follows.
const BEFORE_A_NUMBER: [&str; 4] = ["art", "ch", "no", "p"];

/// The longest beginning of `text` within `most` characters that ends with a
/// sentence; failing that, with a word; failing that, with a whole character as
/// a reader sees it; and where even that is too long, anywhere. Sentences and
/// words are those of Unicode's annex 29, which knows the full stops of Chinese
/// as well as those of English, but no abbreviations: a sentence that seems to
/// end with one goes on here.
pub fn truncate(text: &str, most: usize) -> &str {
    let by_sentence = within(text, most, sentence_ends(text));
    if has_words(by_sentence) {
        return by_sentence.trim_end();
    }
    let by_word = within(text, most, ends(text.split_word_bound_indices()));
    if has_words(by_word) {
        return by_word.trim_end();
    }
    match within(text, most, ends(text.grapheme_indices(true))) {
        "" => within(
            text,
            most,
            ends(text.char_indices().map(|(start, c)| (start, &text[start..][..c.len_utf8()]))),
        ),
        by_character => by_character,
    }
}

/// Where pieces of a text end, in bytes.
fn ends<'a>(pieces: impl Iterator<Item = (usize, &'a str)>) -> impl Iterator<Item = usize> {
    pieces.map(|(start, piece)| start + piece.len())
}

fn sentence_ends(text: &str) -> impl Iterator<Item = usize> {
    ends(text.split_sentence_bound_indices()).filter(|end| !goes_on(&text[..*end], &text[*end..]))
}

/// Whether what seems to be the end of a sentence is an abbreviation within one.
fn goes_on(before: &str, after: &str) -> bool {
    let Some(stopped) = before.trim_end_matches([' ', '\u{a0}']).strip_suffix('.') else { return false };
    let from = stopped
        .rfind(|c: char| !c.is_alphanumeric() && c != '.')
        .map_or(0, |place| place + stopped[place..].chars().next().map_or(0, char::len_utf8));
    let last = stopped[from..].to_lowercase();
    let mut letters = last.chars();
    let initial = letters.next().is_some_and(|c| c.is_alphabetic() && c != 'i') && letters.next().is_none();
    let number = after.starts_with(|c: char| c.is_ascii_digit());
    !after.is_empty()
        && (initial || GO_ON.contains(&last.as_str()) || number && BEFORE_A_NUMBER.contains(&last.as_str()))
}

/// As much as fits. A space at the end is not spoken, and so not counted.
fn within(text: &str, most: usize, ends: impl Iterator<Item = usize>) -> &str {
    let (mut fits, mut from, mut chars) = (0, 0, 0);
    for end in ends {
        let piece = &text[from..end];
        let spoken = chars + piece.trim_end().chars().count();
        if spoken > most {
            break;
        }
        chars += piece.chars().count();
        (fits, from) = (end, end);
        if chars > most {
            break;
        }
    }
    &text[..fits]
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn an_english_text_ends_with_its_last_sentence_that_fits() {
        let text = "It costs 3.50 euros. Take it! Will you? No.";
        assert_eq!(truncate(text, 43), text);
        assert_eq!(truncate(text, 42), "It costs 3.50 euros. Take it! Will you?");
        assert_eq!(truncate(text, 29), "It costs 3.50 euros. Take it!");
        assert_eq!(truncate(text, 28), "It costs 3.50 euros.");
    }

    #[test]
    fn a_chinese_text_ends_with_its_last_sentence_that_fits() {
        let text = "今天天气很好。我们去公园吧！好吗？";
        assert_eq!(truncate(text, 14), "今天天气很好。我们去公园吧！");
        assert_eq!(truncate(text, 13), "今天天气很好。");
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(truncate("Äöü ist gut. Nein.", 12), "Äöü ist gut.");
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_after_a_word() {
        assert_eq!(truncate("one two three four", 12), "one two");
        assert_eq!(truncate("one two three four", 13), "one two three");
    }

    #[test]
    fn a_word_that_is_too_long_is_cut_between_visible_characters() {
        assert_eq!(truncate("aaaaaaaa", 3), "aaa");
        // An e with an accent of its own is one visible character of two.
        assert_eq!(truncate("aae\u{301}x", 3), "aa");
    }

    #[rstest]
    #[case::a_title("It rained. The talk is by Prof. Ada Lovelace, who came late.", "It rained.")]
    #[case::an_initial("It rained. The talk is by A. Lovelace, who came late.", "It rained.")]
    #[case::a_number("It rained. The talk is at No. 5 Main Street, upstairs.", "It rained.")]
    #[case::two_of_them("It rained. The talk is by Prof. Dr. Ada Lovelace herself.", "It rained.")]
    #[case::not_before_a_name(
        "It rained. Did it? No. The talk was not held at all.",
        "It rained. Did it? No."
    )]
    #[case::the_speaker("It rained. So did I. The talk was not held at all.", "It rained. So did I.")]
    #[case::nothing_else(
        "The talk is by Prof. Ada Lovelace, who came late",
        "The talk is by Prof. Ada Lovelace, who"
    )]
    fn a_sentence_does_not_end_with_an_abbreviation(#[case] text: &str, #[case] cut: &str) {
        assert_eq!(truncate(text, 38), cut);
    }

    #[test]
    fn a_visible_character_that_is_too_long_is_cut_anywhere() {
        let text = format!("e{}", "\u{301}".repeat(700));
        assert_eq!(truncate(&text, 600).chars().count(), 600);
    }

    #[test]
    fn blanks_at_the_end_of_a_sentence_are_not_counted() {
        assert_eq!(truncate("One. Two.   ", 9), "One. Two.");
    }

    proptest! {
        #[test]
        fn the_result_is_a_beginning_that_fits(text in "\\PC{0,60}", most in 1usize..40) {
            let cut = truncate(&text, most);
            prop_assert!(text.starts_with(cut));
            prop_assert!(cut.trim_end().chars().count() <= most);
            prop_assert!(!cut.is_empty() || text.is_empty());
        }
    }
}
