//! A subset of the Speech Synthesis Markup Language 1.1: `speak`, `p`, `s`,
//! `break`, `sub`, `say-as`, `phoneme`, and the rate of `prosody`. Of other
//! elements the content is spoken.

mod say_as;

use super::{
    ipa, pauses,
    script::Writer,
    tags::{self, Kind, Tag, Token},
};
use say_as::SayAs;
use std::time::Duration;

/// Elements within each other; of those further in the content alone counts.
const DEEPEST: usize = 64;
/// How much all rates around a word change it together.
const RATES: std::ops::RangeInclusive<f32> = 0.1..=10.0;
/// Elements whose content is not for listeners.
const MUTE: [&str; 6] = ["desc", "lexicon", "meta", "metadata", "script", "style"];
const MEDIUM_BREAK: Duration = Duration::from_millis(750);

/// The text from its root element on, if it is SSML.
pub(super) fn document(text: &str) -> Option<&str> {
    const ROOT: &str = "<speak";
    let mut text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with("<?xml") {
        text = text.split_once("?>")?.1.trim_start();
    }
    let root = text.get(..ROOT.len())?.eq_ignore_ascii_case(ROOT);
    let named = !text[ROOT.len()..].starts_with(|c: char| c.is_alphanumeric() || "-_:.".contains(c));
    (root && named).then_some(text)
}

/// Writes what a document says. It need not be well-formed: whatever is open at
/// its end is closed, and an end tag that closes nothing closes nothing.
pub(super) fn write(document: &str, writer: &mut Writer) {
    let mut reader = Reader { writer, open: Vec::new(), deeper: 0 };
    for token in tags::tokens(document) {
        match token {
            Token::Text(text) => reader.text(&tags::decoded(text)),
            Token::Raw(text) => reader.text(text),
            Token::Tag(tag) => reader.tag(&tag),
        }
    }
    while reader.close_last() {}
}

struct Reader<'w> {
    writer: &'w mut Writer,
    open: Vec<Element>,
    /// Elements that are open beyond the deepest.
    deeper: usize,
}

struct Element {
    name: String,
    content: Content,
}

/// What becomes of an element's content.
enum Content {
    Spoken,
    Mute,
    /// It is a sentence or more by itself.
    Apart,
    /// It is spoken at another rate than this one, which comes back afterwards.
    Paced(f32),
    /// It is gathered to be read in a certain way.
    Gathered(SayAs, String),
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        self.put(text, Writer::words);
    }

    /// Words that are no running text.
    fn said(&mut self, words: &str) {
        self.put(words, Writer::said);
    }

    fn put(&mut self, text: &str, write: fn(&mut Writer, &str)) {
        if self.is_mute() {
            return;
        }
        let text = text.replace(['\n', '\r'], " ");
        let gathered = self.open.iter_mut().find_map(|element| match &mut element.content {
            Content::Gathered(_, gathered) => Some(gathered),
            _ => None,
        });
        match gathered {
            Some(gathered) => gathered.push_str(&text),
            None => write(self.writer, &text),
        }
    }

    fn is_mute(&self) -> bool {
        self.open.iter().any(|element| matches!(element.content, Content::Mute))
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        match (tag.kind, tag.name.as_str()) {
            (Kind::Closes, name) => self.close(name),
            (_, "break") if !self.is_mute() => self.writer.pause(break_length(tag)),
            (_, "break") => {}
            (Kind::Empty, _) => {
                self.open(tag);
                self.close(&tag.name);
            }
            (Kind::Opens, _) => self.open(tag),
        }
    }

    fn open(&mut self, tag: &Tag<'_>) {
        if self.open.len() == DEEPEST {
            self.deeper += 1;
            return;
        }
        let content = if self.is_mute() { Content::Spoken } else { self.begin(tag) };
        self.open.push(Element { name: tag.name.clone(), content });
    }

    fn begin(&mut self, tag: &Tag<'_>) -> Content {
        match tag.name.as_str() {
            "p" | "s" => {
                self.writer.end_sentence();
                Content::Apart
            }
            "sub" => match tag.attribute("alias") {
                Some(alias) => {
                    self.said(&alias);
                    Content::Mute
                }
                None => Content::Spoken,
            },
            "phoneme" if self.phonemes(tag) => Content::Mute,
            "prosody" => match tag.attribute("rate").and_then(|rate| rate_factor(&rate)) {
                Some(factor) => {
                    let before = self.writer.rate();
                    self.writer.set_rate((before * factor).clamp(*RATES.start(), *RATES.end()));
                    Content::Paced(before)
                }
                None => Content::Spoken,
            },
            "say-as" => match tag
                .attribute("interpret-as")
                .and_then(|how| SayAs::new(&how, &tag.attribute("format").unwrap_or_default()))
            {
                Some(how) => Content::Gathered(how, String::new()),
                None => Content::Spoken,
            },
            name if MUTE.contains(&name) => Content::Mute,
            _ => Content::Spoken,
        }
    }

    /// Speaks an element's phonemes, if the voice has them.
    fn phonemes(&mut self, tag: &Tag<'_>) -> bool {
        let is_ipa = tag.attribute("alphabet").is_none_or(|alphabet| alphabet.eq_ignore_ascii_case("ipa"));
        let phonemes = tag.attribute("ph").filter(|_| is_ipa).and_then(|ipa| ipa::phonemes(&ipa));
        phonemes.is_some_and(|phonemes| self.writer.given(&phonemes))
    }

    /// Closes the innermost element of that name, and those within it.
    fn close(&mut self, name: &str) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(at) = self.open.iter().rposition(|element| element.name == name) {
            while self.open.len() > at {
                self.close_last();
            }
        }
    }

    /// Closes the innermost element; false if there is none.
    fn close_last(&mut self) -> bool {
        let Some(element) = self.open.pop() else { return false };
        match element.content {
            Content::Spoken | Content::Mute => {}
            Content::Apart => self.writer.end_sentence(),
            Content::Paced(before) => self.writer.set_rate(before),
            Content::Gathered(how, gathered) => self.said(&how.words(&gathered)),
        }
        true
    }
}

/// The strengths are as long as Azure's, as the standard leaves that open.
fn break_length(tag: &Tag<'_>) -> Duration {
    if let Some(length) = tag.attribute("time").and_then(|time| pauses::length(&time)) {
        return length;
    }
    match tag.attribute("strength").as_deref() {
        Some("none") => Duration::ZERO,
        Some("x-weak") => Duration::from_millis(250),
        Some("weak") => Duration::from_millis(500),
        Some("strong") => Duration::from_millis(1000),
        Some("x-strong") => Duration::from_millis(1250),
        _ => MEDIUM_BREAK,
    }
}

/// How many times as fast: "150%", "+20%", "1.5", or a name of the standard, which
/// leaves open how fast that is.
fn rate_factor(rate: &str) -> Option<f32> {
    let rate = rate.trim();
    let factor = match rate {
        "x-slow" => 0.5,
        "slow" => 0.64,
        "medium" | "default" => 1.0,
        "fast" => 1.55,
        "x-fast" => 2.0,
        _ => {
            let (number, unit) = rate.strip_suffix('%').map_or((rate, 1.0), |percent| (percent, 0.01));
            let value = number.parse::<f32>().ok()? * unit;
            if number.starts_with(['+', '-']) { 1.0 + value } else { value }
        }
    };
    (factor.is_finite() && factor > 0.0).then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hibari::text::markup::{Marked, Part};

    fn read(ssml: &str) -> Marked {
        let mut writer = Writer::default();
        write(document(ssml).unwrap(), &mut writer);
        writer.finish()
    }

    fn words(text: &str, rate: f32) -> Part {
        Part::Words { text: text.to_owned(), rate }
    }

    #[track_caller]
    fn says(inside: &str, expected: &str) {
        assert_eq!(read(&format!("<speak>{inside}</speak>")).parts, [words(expected, 1.0)], "{inside}");
    }

    #[test]
    fn only_what_begins_with_its_root_is_a_document() {
        for document_of in [
            "<speak>",
            " \n<speak version='1.1'>",
            "\u{feff}<?xml version='1.0'?>\n<speak/>",
            "<Speak",
            "<speak",
        ] {
            assert!(document(document_of).is_some(), "{document_of}");
        }
        for other in ["Hello <speak>", "<speaker>", "<?xml version='1.0'?><doc/>", "<?xml", "<spe", ""] {
            assert_eq!(document(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_spoken_of_elements() {
        says("a &lt; b &amp; c", "a < b & c");
        says("<p><s>One</s><s>Two</s></p><p>Three!</p>four", "One.\n\nTwo.\n\nThree!\n\nfour");
        says("the <sub alias=\"World Wide Web\">WWW</sub>.", "the World Wide Web.");
        says("<voice name='x'>a <emphasis level='strong'>b</emphasis></voice><mark name='c'/>", "a b");
        says("<audio src='x'><desc>a cat</desc>meow</audio><metadata>x</metadata>", "meow");
        says("say <say-as interpret-as='digits'>12</say-as>", "say 1 2");
        says("one\n two", "one  two");
    }

    #[test]
    fn breaks_are_pauses() {
        let pause = |milliseconds| Part::Pause(Duration::from_millis(milliseconds));
        for (tag, expected) in [
            ("<break time='1.5s'/>", pause(1500)),
            ("<break time='200ms'></break>", pause(200)),
            ("<break/>", pause(750)),
            ("<break strength='x-strong'/>", pause(1250)),
            ("<break time='soon'/>", pause(750)),
            ("<break time='99s'/>", pause(10_000)),
        ] {
            let read = read(&format!("<speak>a{tag}b</speak>"));
            assert_eq!(read.parts, [words("a", 1.0), expected, words("b", 1.0)], "{tag}");
        }
        says("a<break strength='none'/>b", "ab");
    }

    #[test]
    fn rates_hold_for_their_element_and_multiply() {
        let read = read("<speak>a<prosody rate='slow'>b<prosody rate='+100%'>c</prosody></prosody>d</speak>");
        assert_eq!(read.parts, [words("a", 1.0), words("b", 0.64), words("c", 1.28), words("d", 1.0)]);
        for (rate, factor) in [("80%", 0.8), ("-10%", 0.9), ("1.5", 1.5), ("x-fast", 2.0), (" 50% ", 0.5)] {
            assert!((rate_factor(rate).unwrap() - factor).abs() < 1e-6, "{rate}");
        }
        for nonsense in ["", "%", "0", "-100%", "inf", "NaN%", "fastest"] {
            assert_eq!(rate_factor(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn phonemes_that_the_voice_lacks_leave_the_text() {
        let read = read("<speak>a <phoneme alphabet='ipa' ph='təˈmɑːtoʊ'>tomato</phoneme></speak>");
        assert_eq!((read.parts, read.given), (vec![words("a \u{e000}", 1.0)], vec!["təmˈɑtO".to_owned()]));
        says("<phoneme alphabet='x-sampa' ph='a'>tomato</phoneme>", "tomato");
        says("<phoneme alphabet='ipa' ph='ǃ'>tomato</phoneme>", "tomato");
    }

    #[test]
    fn a_document_that_ends_early_says_what_it_has() {
        let whole = "<speak><p>One.</p><prosody rate=\"50%\">Two.</prosody></speak>";
        for end in whole.char_indices().map(|(at, _)| at).filter(|at| *at >= "<speak>".len()) {
            let text: String = read(&whole[..end])
                .parts
                .into_iter()
                .map(|part| match part {
                    Part::Words { text, .. } => text,
                    Part::Pause(_) => String::new(),
                })
                .collect();
            assert!("One.Two.".starts_with(&text.replace('\n', "")), "{end}: {text}");
        }
    }

    #[test]
    fn a_mistake_costs_the_words_up_to_the_next_tag_at_most() {
        says("a</p> b</prosody> c</speak> d", "a b c d");
        says("<sub alias=\"x>a</sub> <b>b</i> AT&T &nope; 5 < 6", " b AT&T &nope; 5 < 6");
    }

    #[test]
    fn elements_too_deep_are_spoken_without_their_meaning() {
        let deep = format!("{}a{}b", "<p>".repeat(5000), "</p>".repeat(5000));
        says(&deep, "a.\n\nb");
        let faster = "<prosody rate='200%'>".repeat(5000);
        assert_eq!(read(&format!("<speak>{faster}a")).parts, [words("a", 10.0)]);
    }

    #[test]
    fn entities_of_a_documents_own_stand_for_nothing() {
        let bomb = "<speak><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>x &b; \
                    <!ENTITY c SYSTEM \"file:///etc/passwd\"> &c;</speak>";
        assert_eq!(read(bomb).parts, [words("x &b;  &c;", 1.0)]);
    }
}
