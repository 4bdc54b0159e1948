//! Cutting a text that is too long, where a listener would pause.

use unicode_segmentation::UnicodeSegmentation;

/// The longest beginning of `text` within `most` characters that ends with a
/// sentence; failing that, with a word; failing that, with a whole character as
/// a reader sees it. Sentences and words are those of Unicode's annex 29, which
/// knows the full stops of Chinese as well as those of English.
pub fn truncate(text: &str, most: usize) -> &str {
    let by_sentence = within(text, most, text.split_sentence_bound_indices());
    if has_words(by_sentence) {
        return by_sentence.trim_end();
    }
    let by_word = within(text, most, text.split_word_bound_indices());
    if has_words(by_word) {
        return by_word.trim_end();
    }
    within(text, most, text.grapheme_indices(true))
}

/// As many pieces as fit.
fn within<'a>(text: &'a str, most: usize, pieces: impl Iterator<Item = (usize, &'a str)>) -> &'a str {
    let mut chars = 0;
    let mut end = 0;
    for (start, piece) in pieces {
        chars += piece.chars().count();
        // A space after the last sentence is not spoken.
        let spoken = chars - (piece.chars().count() - piece.trim_end().chars().count());
        if spoken > most {
            break;
        }
        end = start + piece.len();
        if chars > most {
            break;
        }
    }
    &text[..end]
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_result_is_a_beginning_that_fits(text in "\\PC{0,60}", most in 1usize..40) {
            let cut = truncate(&text, most);
            prop_assert!(text.starts_with(cut));
            prop_assert!(cut.trim_end().chars().count() <= most);
        }
    }
}
