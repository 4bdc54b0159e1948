//! Texts and transcripts in one form, so that only what is said differs.

use std::sync::LazyLock;

use ttsfleet_reading::{Normalizer, Words, Written, chinese, plain_signs};
use unicode_normalization::UnicodeNormalization;

/// Writes out what is not words in English texts; none if its tables were
/// unusable, which a test rules out.
static ENGLISH: LazyLock<Option<Normalizer>> = LazyLock::new(|| Normalizer::new(Words::common()).ok());

/// How a text is written, and so how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Words between spaces, as in English.
    Latin,
    /// Characters without spaces, as in Chinese.
    Han,
    /// Letters of another kind.
    Other,
}

impl Script {
    /// That of most letters of a text.
    pub fn of(text: &str) -> Self {
        let (mut latin, mut han, mut other) = (0_usize, 0, 0);
        for letter in text.nfkc().filter(|letter| letter.is_alphabetic()) {
            match letter {
                _ if is_latin(letter) => latin += 1,
                _ if is_han(letter) => han += 1,
                _ => other += 1,
            }
        }
        // A Chinese character says about as much as three letters.
        match (han * 3, latin, other) {
            (han, latin, other) if han > latin && han >= other => Self::Han,
            (_, latin, other) if latin >= other => Self::Latin,
            _ => Self::Other,
        }
    }
}

/// A text without what a voice does not say: case, punctuation, ways to write
/// the same number. `script` is that of the text meant, also for a transcript.
pub fn normalise(text: &str, script: Script) -> String {
    let text: String = if script == Script::Latin { written_out(text) } else { text.nfkc().collect() };
    let text = text.to_lowercase();
    let said = match script {
        Script::Latin => words(&text, |number| number.in_english()).join(" "),
        Script::Han => words(&text, |number| vec![chinese::number(number)]).concat(),
        Script::Other => words(&text, |number| vec![number.digits.to_owned()]).join(" "),
    };
    // Marks that punctuation held apart may now belong together.
    said.nfkc().collect()
}

/// As the voice reads it, but for plain numbers.
fn written_out(text: &str) -> String {
    let plain: String = plain_signs(text).nfkc().collect();
    ENGLISH.as_ref().map_or_else(|| plain.clone(), |english| english.normalize(&plain))
}

fn words(text: &str, spoken: impl Fn(&Written<'_>) -> Vec<String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    let mut currency = None;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(number) = Written::at_start(rest) {
            words.extend(spoken(&number));
            words.extend(currency.take());
            number.length
        } else if first.is_alphabetic() {
            let end = rest.find(|letter: char| !in_word(letter)).unwrap_or(rest.len());
            words.push(rest[..end].chars().filter(|letter| !is_apostrophe(*letter)).collect());
            end
        } else {
            match symbol(first) {
                Symbol::Said(word) => words.push(word.to_owned()),
                Symbol::SaidAfterNumber(word) => currency = Some(word.to_owned()),
                Symbol::Silent => {}
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

enum Symbol {
    Said(&'static str),
    SaidAfterNumber(&'static str),
    Silent,
}

fn symbol(symbol: char) -> Symbol {
    match symbol {
        '&' => Symbol::Said("and"),
        '%' => Symbol::Said("percent"),
        '+' => Symbol::Said("plus"),
        '=' => Symbol::Said("equals"),
        '@' => Symbol::Said("at"),
        '$' => Symbol::SaidAfterNumber("dollars"),
        '€' => Symbol::SaidAfterNumber("euros"),
        '£' => Symbol::SaidAfterNumber("pounds"),
        _ => Symbol::Silent,
    }
}

fn in_word(letter: char) -> bool {
    letter.is_alphabetic() || is_apostrophe(letter) || unicode_normalization::char::is_combining_mark(letter)
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’' | 'ʼ')
}

fn is_latin(letter: char) -> bool {
    matches!(letter, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}')
}

fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::case_and_punctuation("Well, \"YES\" – I don't!", "well yes i dont")]
    #[case::curly_apostrophe("don’t", "dont")]
    #[case::hyphens("a well-known fact", "a well known fact")]
    #[case::spaces("  a \t b\n c ", "a b c")]
    #[case::wide_letters("Ｈｅｌｌｏ ﬁne", "hello fine")]
    #[case::numbers("42 cats and 3.5 dogs", "forty two cats and three point five dogs")]
    #[case::ordinals("the 21st of May", "the twenty first of may")]
    #[case::cents("$5.5 or €5,50", "five dollars and fifty cents or five euros and fifty cents")]
    #[case::titles("Dr. Lee vs. Mr. Day", "doctor lee versus mister day")]
    #[case::times("at 3:45pm", "at three forty five p m")]
    #[case::money("$1,250 or 3% & more", "one thousand two hundred fifty dollars or three percent and more")]
    #[case::mixed("mp3s", "mp three s")]
    #[case::nothing("… ?!", "")]
    fn english_is_brought_to_words(#[case] text: &str, #[case] words: &str) {
        assert_eq!(normalise(text, Script::Latin), words);
    }

    #[rstest]
    #[case::punctuation("你好，世界！", "你好世界")]
    #[case::spaces("今天 天气\u{3000}很 好。", "今天天气很好")]
    #[case::numbers("我有25本书", "我有二十五本书")]
    #[case::wide_digits("２０個", "二十個")]
    #[case::latin_inside("我用 App 听歌", "我用app听歌")]
    fn chinese_is_brought_to_characters(#[case] text: &str, #[case] characters: &str) {
        assert_eq!(normalise(text, Script::Han), characters);
    }

    #[rstest]
    #[case("Good morning", Script::Latin)]
    #[case("Çà et là", Script::Latin)]
    #[case("今天天气很好", Script::Han)]
    #[case("我用 App 听歌", Script::Han)]
    #[case("Say 你好 to everybody in the room", Script::Latin)]
    #[case("Доброе утро", Script::Other)]
    #[case("おはようございます", Script::Other)]
    #[case("42", Script::Latin)]
    fn the_script_is_that_of_most_letters(#[case] text: &str, #[case] script: Script) {
        assert_eq!(Script::of(text), script);
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_so(text in "\\PC{0,60}") {
            for script in [Script::Latin, Script::Han] {
                let once = normalise(&text, script);
                prop_assert_eq!(&normalise(&once, script), &once);
            }
        }
    }
}
