//! What is spoken of Markdown, HTML and SSML: the same as of a plain text, with
//! pauses and rates. And what hostile texts come to.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use ttsfleet_models::{
    Entry, ModelFolder, Said,
    hibari::text::{Frontend, Part, Reading},
};

static FRONTEND: LazyLock<Frontend> = LazyLock::new(|| {
    let folder = ModelFolder::embedded(ttsfleet_voice::FILES).expect("the default voice is whole");
    Frontend::load(&folder).expect("the default voice has a frontend")
});

fn read(text: &str) -> Reading {
    read_with(&[], text)
}

fn read_with(lexicon: &[Entry], text: &str) -> Reading {
    FRONTEND.read(text, lexicon).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn phonemes(text: &str) -> Vec<String> {
    phonemes_of(&read(text))
}

fn phonemes_of(reading: &Reading) -> Vec<String> {
    reading.sentences().map(|sentence| sentence.phonemes.clone()).collect()
}

#[track_caller]
fn same(text: &str, plain: &str) {
    assert_eq!(phonemes(text), phonemes(plain), "{text:?} against {plain:?}");
}

#[test]
fn markdown_sounds_like_plain_text() {
    same("## Summary\n\nIt **really** works.", "Summary.\n\nIt really works.");
    same("~~Old~~ *new* `code`", "Old new code");
    same("Buy:\n- milk\n- eggs\n* bread", "Buy:\n\nMilk.\n\neggs.\n\nbread");
    same("1. Open it.\n2. Close it", "1. Open it.\n2. Close it");
    same("| Name | Age |\n|---|---|\n| Ann | 7 |\n| Bob | 8 |", "Name, Age.\n\nAnn, 7.\n\nBob, 8");
    same("> So it is.\n\nYes.", "So it is.\n\nYes.");
    same(
        "See [the docs](https://example.com/docs) and <https://example.com>.",
        "See the docs and https://example.com.",
    );
    same("```python\nprint(1)\n```\nDone.", "Code block.\n\nDone.");
}

#[test]
fn html_sounds_like_plain_text() {
    same("This is <b>bold</b> &amp; <i class=\"x\">soft</i>.", "This is bold & soft.");
    same("<h1>Title</h1><p>One<br>two</p><!-- not this -->", "Title.\n\nOne\ntwo");
    same("&quot;Hi,&quot; he said&hellip; caf&eacute;", "\"Hi,\" he said… café");
}

#[test]
fn signs_that_may_as_well_be_marks_stay_signs() {
    for (text, words) in [
        ("a * b", "a times b"),
        ("2*3*4", "2 times 3 times 4"),
        ("snake_case here", "snake case here"),
        ("5 < 6", "5 is less than 6"),
        ("AT&T and C#", "AT&T and C sharp"),
        ("#1 of 5", "number one of five"),
        ("1. First", "1. First"),
        ("it is ~5 km", "it is about 5 km"),
    ] {
        let sounds = |text: &str| phonemes(text).concat().replace(['ˈ', 'ˌ', '.', ',', ' '], "");
        assert_eq!(sounds(text), sounds(words), "{text}");
    }
}

#[test]
fn a_document_is_spoken_as_it_says() {
    same("<speak><p>Hello there.</p><p>Bye</p></speak>", "Hello there.\n\nBye");
    same("<speak>The <sub alias=\"World Wide Web\">WWW</sub> &lt; all.</speak>", "The World Wide Web < all.");
    same("<speak><say-as interpret-as=\"characters\">NASA</say-as></speak>", "N.A.S.A");
    same("<speak>at <say-as interpret-as=\"ordinal\">3</say-as></speak>", "at third");
    same(
        "<speak>on <say-as interpret-as=\"date\" format=\"dmy\">1/2/2026</say-as>.</speak>",
        "on 2026-02-01.",
    );
    same("<speak>call <say-as interpret-as=\"telephone\">555-0100</say-as></speak>", "call 5 5 5, 0 1 0 0");
    same("<speak><audio src=\"x.mp3\"/><mstts:x y=\"z\">Hi.</mstts:x></speak>", "Hi.");
}

#[test]
fn given_phonemes_stand_in_their_sentence() {
    let text = "<speak>I say <phoneme alphabet=\"ipa\" ph=\"pɪˈkɑːn\">pecan</phoneme>, not nut.</speak>";
    let [sentence] = &phonemes(text)[..] else { panic!("not one sentence") };
    assert!(sentence.contains(" pɪkˈɑn, nˌɑt") || sentence.contains(" pɪkˈɑn, nˈɑt"), "{sentence}");
    same("<speak>a <phoneme alphabet=\"ipa\" ph=\"ǃ\">pecan</phoneme></speak>", "a pecan");
}

#[test]
fn pauses_and_rates_are_parts_of_their_own() {
    let parts = read("One.[pause:2s] <b>Two</b>.").parts;
    let [Part::Sentence(one, 1.0), Part::Pause(pause), Part::Sentence(two, 1.0)] = &parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!((&one.phonemes, *pause), (&phonemes("One.")[0], Duration::from_secs(2)));
    assert_eq!(two.phonemes, phonemes("Two.")[0]);
    let parts = read("<speak>a <prosody rate=\"fast\">b</prosody>.</speak>").parts;
    let [Part::Sentence(_, 1.0), Part::Sentence(fast, rate)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((&fast.phonemes, *rate), (&phonemes("b.")[0], 1.55));
}

fn like(word: &str, words: &str) -> Entry {
    Entry { word: word.to_owned(), said: Said::Like(words.to_owned()) }
}

fn ipa(word: &str, phonemes: &str) -> Entry {
    Entry { word: word.to_owned(), said: Said::Ipa(phonemes.to_owned()) }
}

#[test]
fn a_word_of_the_lexicon_sounds_like_the_words_it_is_said_like() {
    let lexicon = [
        like("kubectl", "cube control"),
        like("C#", "see sharp"),
        like("GPT-4o", "gee pee tee four oh"),
        like("k8s", "kates"),
        like("世界", "the world"),
        like("3.5", "three and a half"),
        like("read", "written"),
    ];
    for (text, plain) in [
        ("Kubectl runs. Use kubectl's help.", "Cube control runs. Use cube control's help."),
        ("## **kubectl**\n\n`kubectl get`, kube**ctl**", "Cube control.\n\ncube control get, cube control"),
        (
            "C#, F# and GPT\u{2011}4o on K8S: 3.5",
            "See sharp, F# and gee pee tee four oh on kates: three and a half",
        ),
        ("Hello 世界", "Hello the world"),
        ("<speak>kubectl <sub alias=\"k8s\">kubectl</sub>, k8s</speak>", "cube control k8s, kates"),
        ("```sh\nkubectl\n```\nkubectl", "Code block.\n\ncube control"),
        ("<speak><say-as interpret-as=\"characters\">read</say-as></speak>", "R.E.A.D"),
        ("kubectl.[pause:1s] k8s", "cube control.[pause:1s] kates"),
    ] {
        let reading = read_with(&lexicon, text);
        assert_eq!(phonemes_of(&reading), phonemes(plain), "{text:?} against {plain:?}");
        assert_eq!(reading.skipped_chars, 0, "{text}");
    }
}

#[test]
fn phonemes_of_the_lexicon_are_said_as_they_are_given() {
    let lexicon = [ipa("pecan", "pɪˈkɑːn"), ipa("click", "ǃ")];
    let reading = read_with(&lexicon, "I say Pecan, not nut.");
    let document = "<speak>I say <phoneme ph=\"pɪˈkɑːn\">pecan</phoneme>, not nut.</speak>";
    assert_eq!(phonemes_of(&reading), phonemes(document));
    assert_eq!(phonemes_of(&read_with(&lexicon, "a click")), phonemes("a click"));
    let wrapped = phonemes_of(&read_with(&lexicon, "I say\npecan, not nut."));
    assert_eq!(wrapped, phonemes(document), "a line's break ends no sentence");
    let [owned] = &phonemes_of(&read_with(&lexicon, "the pecan's shell"))[..] else { panic!("not one") };
    assert!(owned.contains("pɪkˈɑnz "), "{owned}");
}

/// All that is said, and how long that took.
fn timed(text: &str) -> (Reading, Duration) {
    timed_with(&[], text)
}

fn timed_with(lexicon: &[Entry], text: &str) -> (Reading, Duration) {
    LazyLock::force(&FRONTEND);
    let started = Instant::now();
    (read_with(lexicon, text), started.elapsed())
}

/// What is said of a text is at most as long again as the longest one that is taken.
#[test]
fn hostile_lexicons_come_to_little_and_take_little_time() {
    let same = |said: fn(&str, &str) -> Entry, long: &str| -> Vec<Entry> {
        (1..=64).map(|length| said(&"a ".repeat(length)[..length], long)).collect()
    };
    let long = "a".repeat(256);
    for lexicon in [
        same(like, &long),
        same(like, &"a ".repeat(128)),
        same(like, &"<speak>[pause:10s]*".repeat(13)),
        same(ipa, &"ə".repeat(100)),
        vec![like("a", "9".repeat(256).as_str())],
        vec![like("pause", "[pause:10s]"), like("10s", "<break/>"), like("a", "[pause:10s]")],
    ] {
        for unit in ["a", "a ", "a\u{301}", "a <b>a</b>", "[pause:10s]", "a[", "a \n"] {
            let text = unit.repeat(4096 / unit.chars().count());
            let (reading, spent) = timed_with(&lexicon, &text);
            assert!(spent < Duration::from_secs(10), "{unit:?} took {spent:?}");
            let silence: Duration = reading.parts.iter().map(pause).sum();
            assert!(silence <= Duration::from_secs(60), "{unit:?}: {silence:?}");
            let said: usize = reading.sentences().map(|sentence| sentence.phonemes.len()).sum();
            assert!(said <= 40 * 2 * 4096, "{unit:?}: {said}");
        }
    }
}

#[test]
fn hostile_documents_come_to_little_and_take_little_time() {
    let bomb: String =
        (1..100).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let hostile = [
        format!("<speak><!DOCTYPE l [<!ENTITY l0 \"ha\">{bomb}]>&l99;</speak>"),
        format!("<?xml version=\"1.0\"?><!DOCTYPE l [{bomb}]><speak>&l99;</speak>"),
        "<speak><!DOCTYPE f [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>&f;".to_owned(),
        format!("<speak>{}", "<prosody rate=\"200%\">".repeat(500)),
        format!("<speak>{}", "<say-as interpret-as=\"digits\">1".repeat(300)),
        format!("<speak><sub alias=\"{}", "a".repeat(10_000)),
        format!("<speak>{}", "<sub alias=\"".repeat(1000)),
        format!("<speak {}>", "a=\"b\" ".repeat(2000)),
        format!("<speak>{}", "<break time=\"10s\"/>".repeat(500)),
        format!("<speak>{}", "<!--".repeat(2500)),
        format!("<speak>{}", "<![CDATA[".repeat(1000)),
        format!("<speak>{}", "&#x41;".repeat(1500)),
        format!("<speak>{}", "&#0;&#xffffffffff;&#xd800;\0".repeat(300)),
        format!("<speak>{}", "<phoneme ph=\"a\"/>".repeat(500)),
        "<".repeat(10_000),
        "<a ".repeat(3000),
        "[".repeat(10_000),
        "[pause:".repeat(1400),
        "[pause:10s]".repeat(900),
        "*a **b ".repeat(1400),
        "> ".repeat(5000),
        "- ".repeat(5000),
        "`".repeat(10_000),
        "|a|\n|-|\n".repeat(1000),
        "![[]()".repeat(1600),
        "```md\n".repeat(1600),
        "a\n".repeat(5000) + "===",
        "&amp;".repeat(2000),
        "\0".repeat(10_000),
    ];
    for text in hostile {
        let (reading, spent) = timed(&text);
        let start: String = text.chars().take(40).collect();
        eprintln!("{start:?} {spent:?}");
        // That much of plain words takes as long.
        assert!(spent < Duration::from_secs(10), "{start} took {spent:?}");
        let silence: Duration = reading.parts.iter().map(pause).sum();
        assert!(silence <= Duration::from_secs(60), "{start}: {silence:?}");
        let said: usize = reading.sentences().map(|sentence| sentence.phonemes.len()).sum();
        assert!(said <= 40 * text.len(), "{start}: {said}");
        assert!(!reading.sentences().any(|sentence| sentence.text.contains("root:")), "{start}");
    }
}

fn pause(part: &Part) -> Duration {
    match part {
        Part::Pause(length) => *length,
        Part::Sentence(..) => Duration::ZERO,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_mix_of_marks_is_read_within_bounds(
        text in "(<speak>)?((</?(b|p|s|sub|break|prosody|say-as|phoneme|br|td|x)( (alias|time|rate|ph|interpret-as)=[\"']?[a-z0-9%.]{0,5}[\"']?)?/?>)|[a-z]{1,4} |[-*_~`#>|\\[\\]()&;:.<]|\\[pause:[0-9]{1,4}m?s\\]|&#?[a-z0-9]{1,4};|```|\n|\u{e000}){0,60}"
    ) {
        let (reading, spent) = timed(&text);
        prop_assert!(spent < Duration::from_secs(5));
        let silence: Duration = reading.parts.iter().map(pause).sum();
        prop_assert!(silence <= Duration::from_secs(60));
        for part in &reading.parts {
            match part {
                Part::Sentence(sentence, rate) => {
                    prop_assert!(!sentence.phonemes.is_empty() && (0.1..=10.0).contains(rate));
                }
                Part::Pause(length) => prop_assert!(!length.is_zero() && *length <= Duration::from_secs(10)),
            }
        }
    }

    #[test]
    fn any_lexicon_is_said_in_any_mix_of_marks_within_bounds(
        lexicon in prop::collection::vec(("[a-zÄß#.+\\[\\]:1' -]{1,6}", "[a-zÄ<>*\\[\\]:1 \u{e000}-]{0,12}", any::<bool>()), 0..6),
        text in "(<speak>)?((</?(b|p|s|sub|say-as|phoneme|br)( (alias|ph|interpret-as)=[\"']?[a-z1]{0,5}[\"']?)?/?>)|[a-zÄß]{1,3}[ #'-]|[*_`#>\\[\\]&;<]|\\[pause:1s\\]|\n|\u{e000}){0,40}"
    ) {
        let entry = |(word, said, phonemes): &(String, String, bool)| {
            if *phonemes { ipa(word, said) } else { like(word, said) }
        };
        let lexicon: Vec<Entry> = lexicon.iter().map(entry).collect();
        let (reading, spent) = timed_with(&lexicon, &text);
        prop_assert!(spent < Duration::from_secs(5));
        let silence: Duration = reading.parts.iter().map(pause).sum();
        prop_assert!(silence <= Duration::from_secs(60));
        for sentence in reading.sentences() {
            prop_assert!(!sentence.phonemes.is_empty());
            let stands_in = sentence.phonemes.contains(|c| ('\u{e000}'..='\u{f8ff}').contains(&c));
            prop_assert!(!stands_in);
        }
    }

    #[test]
    fn words_without_marks_are_read_letter_by_letter(text in "([A-Za-z]{1,8}[,.!?]? ){1,12}") {
        // Nothing of it is a mark, with or without a look at it.
        let looked_at = format!("{text}\\");
        // An abbreviation that ends a text ends a sentence, too.
        let said = |text: &str| phonemes(text).join(" ").trim_end_matches('.').to_owned();
        prop_assert_eq!(said(&text), said(&looked_at));
    }
}
