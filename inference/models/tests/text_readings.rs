//! What the English frontend makes of whole texts, where the Python package
//! reads badly or not at all, and what it leaves out.
//!
//! Most tests say: this text sounds like that one in plain words.

use std::sync::LazyLock;

use proptest::prelude::*;
use ttsfleet_models::{
    FolderError, MANIFEST_NAME, ModelFolder,
    hibari::text::{Frontend, Reading, Sentence},
    sha256_hex,
};

const MAX_PHONEMES: usize = 400;

static FRONTEND: LazyLock<Frontend> = LazyLock::new(|| {
    let folder = ModelFolder::embedded(ttsfleet_voice::FILES).expect("the default voice is whole");
    Frontend::load(&folder).expect("the default voice has a frontend")
});

fn read(text: &str) -> Reading {
    FRONTEND.read(text, &[]).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn sentences(text: &str) -> Vec<Sentence> {
    read(text).sentences().cloned().collect()
}

fn phonemes(text: &str) -> Vec<String> {
    sentences(text).into_iter().map(|sentence| sentence.phonemes).collect()
}

/// Sounds without stress and pauses: texts that differ in punctuation or in
/// which word is heavier still say the same.
fn sounds(text: &str) -> String {
    let joined = phonemes(text).join(" ");
    let kept: String = joined.chars().filter(|c| !"ˈˌ,.;:!?—…“”()".contains(*c)).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn same(text: &str, words: &str) {
    assert_eq!(sounds(text), sounds(words), "{text:?} against {words:?}");
}

#[test]
fn a_plain_sentence_sounds_as_expected() {
    assert_eq!(phonemes("Hello there. I read the book."), ["həlˈO ðˈɛɹ.", "ˌI ɹˈɛd ðə bˈʊk."]);
}

#[test]
fn numbers_are_read_as_people_say_them() {
    same("42 cats", "forty two cats");
    same("1,234 cats", "one thousand two hundred thirty four cats");
    same("3.14 and 0.5, .5", "three point one four and zero point five, point five");
    same("the 21st of 1,000", "the twenty first of one thousand");
    same("in 1999, in 2005, in 2026", "in nineteen ninety nine, in two thousand five, in twenty twenty six");
    same("-5 degrees", "minus five degrees");
    same("It was -18°C in Kyoto", "It was minus eighteen degrees Celsius in Kyoto");
}

#[test]
fn money_and_percentages_name_their_unit() {
    same("$5.99", "five dollars and ninety nine cents");
    same("€20 or £1.50", "twenty euros or one pound and fifty pence");
    same("$3.5M", "three point five million dollars");
    same("500 USD", "five hundred dollars");
    same("-$5", "minus five dollars");
    same("£1.50 €0.99", "one pound and fifty pence ninety nine cents");
    same("$2, 3 cats", "two dollars, three cats");
    same("12.5%", "twelve point five percent");
}

#[test]
fn dates_and_times_are_read_out() {
    let date = "November twenty-second, twenty twenty six";
    same("2026-11-22", date);
    same("11/22/2026", date);
    same("Nov 22, 2026", date);
    same("3:45pm", "three forty-five P.M.");
    same("at 12:00 or 1:05", "at twelve o'clock or one oh five");
    same("2026-11-22T15:45:00Z", "November twenty-second, twenty twenty six at fifteen forty-five");
}

#[test]
fn ranges_say_both_ends() {
    same("5-10 people", "five to ten people");
    same("1.5-2.5 inches", "one point five to two point five inches");
    same("5-10%", "five to ten percent");
    same("from 3 -1.5%", "from three minus one point five percent");
    same("$5-$10", "five dollars to ten dollars");
    same("9am-5pm", "nine A.M. to five P.M.");
    same("9:00-17:00", "nine o'clock to seventeen o'clock");
}

#[test]
fn fractions_are_parts_unless_they_are_dates() {
    same("1/2 cup and 3/4", "one half cup and three quarters");
    same("1 1/2 cups", "one and one half cups");
    same("½ and ⅓", "one half and one third");
    same("open 24/7", "open twenty-four seven");
}

#[test]
fn units_are_written_out() {
    same("5km and 1 km", "five kilometers and one kilometer");
    same("10GB", "ten gigabytes");
    same("20°C", "twenty degrees Celsius");
    same("100 m and 20 m²", "one hundred meters and twenty square meters");
    same("2L of milk", "two liters of milk");
}

#[test]
fn telephone_numbers_and_codes_are_read_by_digits() {
    let number = "five five five, one two three, four five six seven";
    same("555-123-4567", number);
    same("(555) 123-4567", number);
    same("5551234567", number);
    same("+1 (555) 123-4567", &format!("plus one, {number}"));
    same("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight");
    same("agent 007", "agent zero zero seven");
    same("version 1.2.3", "version one dot two dot three");
}

#[test]
fn huge_numbers_are_spelled_rather_than_refused() {
    let grouped = format!("1{}", ",000".repeat(20));
    assert!(sounds(&grouped).contains(&sounds("zero zero zero")));
    assert!(phonemes(&"9".repeat(5000)).len() > 1);
}

#[test]
fn abbreviations_and_acronyms_are_known() {
    same("Dr. Smith vs. Mr. Brown", "Doctor Smith versus Mister Brown");
    same("on St. James St.", "on Saint James Street");
    assert_eq!(sounds("etc."), "ɛtsɛTəɹə");
    assert_eq!(sounds("e.g. this"), "iʤi ðɪs");
    assert_eq!(sounds("NASA"), "næsə");
    assert_eq!(sounds("HTTP"), "Aʧtitipi");
}

#[test]
fn web_and_mail_addresses_are_readable() {
    same("https://example.com/path?q=1", "example dot com slash path question mark q equals one");
    same("john.doe@example.org", "john dot doe at example dot org");
    same("See [the docs](https://example.com/docs).", "See the docs.");
    same("github.com/foo-bar.", "github dot com slash foo dash bar.");
}

#[test]
fn punctuation_shapes_pauses_only() {
    assert_eq!(phonemes("Well - no."), phonemes("Well — no."));
    assert_eq!(phonemes("He said ‘hello’ twice."), phonemes("He said “hello” twice."));
    same("“Stop!” (he said)… now", "Stop he said now");
    assert_eq!(phonemes("Wow!!!!!!!!"), phonemes("Wow!!!"));
}

#[test]
fn emoji_and_ornaments_are_silent() {
    same("I ❤️ this 😀 a lot 👩‍👩‍👧 ★", "I this a lot");
}

#[test]
fn letters_with_accents_are_read() {
    same("ﬁne Ｈｅｌｌｏ", "fine Hello");
    assert!(!sounds("Nguyễn Thị Žižek Łódź").is_empty());
}

#[test]
fn every_letter_of_a_long_unknown_word_counts() {
    let (short, long) =
        (sounds("zorblaxiquandrifumptious"), sounds("zorblaxiquandrifumptiouszorblaxiquandrifumptious"));
    assert!(long.chars().count() >= 2 * short.chars().count() - 2, "{short} / {long}");
}

#[test]
fn sentences_end_where_they_should() {
    let texts =
        |text: &str| -> Vec<String> { sentences(text).into_iter().map(|sentence| sentence.text).collect() };
    assert_eq!(texts("One. Two! Three? “Four.” Five"), ["One.", "Two!", "Three?", "“Four.”", "Five"]);
    assert_eq!(
        texts("Dr. J. K. Smith et al. agree, e.g. Mr. Brown vs. Ms. White."),
        ["Dr. J. K. Smith et al. agree, e.g. Mr. Brown vs. Ms. White."]
    );
    assert_eq!(
        texts("No. 5 is alive. See pp. 12 to 15, vol. 3."),
        ["No. 5 is alive.", "See pp. 12 to 15, vol. 3."]
    );
    assert_eq!(texts("A line\nthat goes on.\nAnother\n\none"), ["A line\nthat goes on.", "Another", "one"]);
}

#[test]
fn long_sentences_come_in_parts_the_network_can_take() {
    let text = "the quick brown fox, who jumps over the lazy dog, ".repeat(60);
    let sentences = sentences(&text);
    assert!(sentences.len() > 5);
    assert!(sentences.iter().all(|sentence| sentence.phonemes.chars().count() <= MAX_PHONEMES));
}

#[test]
fn a_text_without_words_has_no_parts() {
    for text in ["", " \n\t ", "...", "!?", "“”", "😀", "— —", "\u{200b}", "***", "<speak/>", "&nbsp;"]
    {
        assert_eq!(read(text), Reading::default(), "{text:?}");
    }
}

#[test]
fn other_scripts_are_left_out_and_counted() {
    for (text, skipped) in
        [("你好", 2), ("Привет мир", 9), ("مرحبا", 5), ("안녕", 2), ("こんにちは", 5), ("שלום", 4)]
    {
        assert_eq!(read(text), Reading { parts: vec![], skipped_chars: skipped }, "{text}");
        assert_eq!(phonemes(&format!("Hello {text} there.")), phonemes("Hello there."), "{text}");
    }
}

#[test]
fn long_input_takes_time_in_proportion() {
    LazyLock::force(&FRONTEND);
    for unit in [
        "a", "!", "1", "a-", "'", "1,", "word ", "3/4 ", "a.b.", "“", "1-2-", "é", "A", "‘", "[a", "1:", "- ",
    ] {
        let started = std::time::Instant::now();
        let _ = FRONTEND.read(&unit.repeat(10_000 / unit.len()), &[]);
        let elapsed = started.elapsed();
        eprintln!("{unit:?} {elapsed:?}");
        assert!(elapsed.as_secs() < 30, "{unit:?} took {elapsed:?}");
    }
}

/// Loads the default voice with one file replaced.
fn load_with(file: &str, content: &'static [u8]) -> Result<Frontend, FolderError> {
    let find = |name: &str| {
        ttsfleet_voice::FILES.iter().find(|(path, _)| *path == name).expect("a file of the voice").1
    };
    let mut manifest: serde_json::Value = serde_json::from_slice(find(MANIFEST_NAME)).expect("a manifest");
    let entries = manifest["files"].as_array_mut().expect("a list of files");
    entries.retain(|entry| entry["path"] != "hibari.safetensors");
    for entry in entries.iter_mut().filter(|entry| entry["path"] == file) {
        entry["size"] = content.len().into();
        entry["sha256"] = sha256_hex(content).into();
    }
    let manifest: &'static [u8] = manifest.to_string().into_bytes().leak();
    let files = ttsfleet_voice::FILES.iter().map(|(path, bytes)| match *path {
        MANIFEST_NAME => (MANIFEST_NAME, manifest),
        _ if *path == file => (*path, content),
        _ => (*path, *bytes),
    });
    Frontend::load(&ModelFolder::embedded(&files.collect::<Vec<_>>()).expect("a whole folder"))
}

#[test]
fn malformed_tables_are_refused_by_name() {
    let tables = [
        "lexicon_us_gold.json.gz",
        "lexicon_us_silver.json.gz",
        "normalize.json",
        "oov.json",
        "oov.safetensors",
        "tagger.json.gz",
        "tokenizer_exceptions.json",
        "vocab.json",
    ];
    for table in tables {
        for content in [&b""[..], b"[1, 2]", b"\x1f\x8b\x08\x00garbage"] {
            match load_with(table, content) {
                Err(FolderError::Weights(message)) => assert!(message.contains(table), "{message}"),
                other => panic!("{table}: {:?}", other.map(|_| "loaded")),
            }
        }
    }
}

#[test]
fn tables_that_do_not_fit_each_other_are_refused() {
    for (table, content) in [
        ("oov.json", r#"{"in": ["a"], "out": ["x"], "slots": 4, "maxlen": 24}"#),
        ("oov.json", r#"{"in": ["a"], "out": ["x"], "slots": 4, "maxlen": 0}"#),
        ("oov.json", r#"{"in": ["a"], "out": ["x"], "slots": 18446744073709551615, "maxlen": 24}"#),
    ] {
        let refused = load_with(table, content.as_bytes());
        assert!(matches!(refused, Err(FolderError::Weights(_))), "{content}");
    }
}

fn check(sentences: &[Sentence]) {
    for sentence in sentences {
        assert!(!sentence.phonemes.is_empty() && sentence.phonemes.chars().count() <= MAX_PHONEMES);
        assert!(
            sentence.phonemes.chars().any(|c| c.is_alphabetic() && !"ˈˌ".contains(c)),
            "{sentence:?} is silent"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_unicode_text_is_read(text in any::<String>()) {
        check(&sentences(&text));
    }

    #[test]
    fn any_mix_of_what_the_rules_read_is_spoken_or_empty(
        text in "[ -~éß…—–‘’“”°½²€£¥\n]{0,80}|([0-9$€£%.,:/+-]{1,8}(am|pm|km|th|%|°C| Nov| Dr\\.|@a\\.io)? ?){0,12}"
    ) {
        let sentences = sentences(&text);
        check(&sentences);
        // Between "<" and ">" there may be a tag.
        if sentences.is_empty() && !text.contains('<') {
            prop_assert!(!text.contains(|c: char| c.is_ascii_alphanumeric()), "{text}");
        }
    }
}

#[test]
fn a_text_of_nothing_but_an_article_is_spoken() {
    for text in ["A", "a", "A a"] {
        assert_eq!(sentences(text).len(), 1, "{text}");
    }
}
