//! Texts that the judge has spoken itself.

use crate::normalise::Script;

const ENGLISH: &str = include_str!("prompts/en.txt");
const CHINESE: &str = include_str!("prompts/zh.txt");

/// How much faster or slower than usual a text is spoken that has been spoken
/// before, at least and at most.
const LEAST_CHANGE: f64 = 0.03;
const MOST_CHANGE: f64 = 0.1;
/// Of its multiples the parts after the point lie as evenly as any number's, and
/// none comes twice.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// One text to speak.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// How it is said, where its letters do not tell.
    pub said: Option<String>,
    /// How fast; none as the model likes it.
    pub speed: Option<f32>,
}

/// A text, and how it is said where its letters do not tell.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    text: String,
    said: Option<String>,
}

/// Texts in a circle.
#[derive(Debug, Clone)]
pub struct Prompts {
    lines: Vec<Line>,
    heard: bool,
    spoken: usize,
}

impl Prompts {
    /// Those that were given, each perhaps followed by a tab and how it is said.
    /// There must be at least one. Where the recogniser hears some of them, only
    /// they are spoken.
    pub fn given(texts: &[String], hears: impl Fn(Script) -> bool) -> Self {
        let all: Vec<Line> = texts.iter().map(|text| Line::read(text)).collect();
        let heard: Vec<Line> = all.iter().filter(|line| hears(Script::of(line.meant()))).cloned().collect();
        if heard.is_empty() {
            Self { lines: all, heard: false, spoken: 0 }
        } else {
            Self { lines: heard, heard: true, spoken: 0 }
        }
    }

    /// The built-in ones in languages (BCP 47 tags) that a model speaks; none
    /// if there are none. Where the recogniser hears some of these languages,
    /// only they are spoken.
    pub fn built_in(languages: &[String], hears: impl Fn(Script) -> bool) -> Option<Self> {
        let sets = [("en", Script::Latin, ENGLISH), ("zh", Script::Han, CHINESE)];
        let mut spoken: Vec<_> = sets.into_iter().filter(|(tag, ..)| speaks(languages, tag)).collect();
        let heard = spoken.iter().any(|(_, script, _)| hears(*script));
        if heard {
            spoken.retain(|(_, script, _)| hears(*script));
        }
        let lines = in_turn(spoken.iter().map(|(.., texts)| texts.lines().collect()).collect());
        (!lines.is_empty()).then_some(Self { lines, heard, spoken: 0 })
    }

    /// Whether the recogniser hears their language.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// The next one.
    pub fn next_prompt(&mut self) -> Prompt {
        let (round, index) = (self.spoken / self.lines.len(), self.spoken % self.lines.len());
        self.spoken += 1;
        let Line { text, said } = self.lines[index].clone();
        Prompt { text, said, speed: (round > 0).then(|| speed(round)) }
    }

    /// The last one was not spoken after all.
    pub fn give_back(&mut self) {
        self.spoken = self.spoken.saturating_sub(1);
    }
}

impl Line {
    fn read(line: &str) -> Self {
        let (text, said) = line.split_once('\t').map_or((line, None), |(text, said)| (text, Some(said)));
        Self { text: text.trim().to_owned(), said: said.map(|said| said.trim().to_owned()) }
    }

    fn meant(&self) -> &str {
        self.said.as_deref().unwrap_or(&self.text)
    }
}

/// The speed of a round after the first. Many models make the same audio of the
/// same text: spoken a little faster or slower it tells something new, if less
/// than a new text would. No two rounds have the same speed.
fn speed(round: usize) -> f32 {
    let place = (round as f64 * GOLDEN_RATIO).fract() * 2.0 - 1.0;
    let change = LEAST_CHANGE + (MOST_CHANGE - LEAST_CHANGE) * place.abs();
    (1.0 + change.copysign(place)) as f32
}

fn speaks(languages: &[String], tag: &str) -> bool {
    languages.iter().any(|language| {
        language.split(['-', '_']).next().is_some_and(|primary| primary.eq_ignore_ascii_case(tag))
    })
}

/// One of each set, as long as there are some.
fn in_turn(sets: Vec<Vec<&str>>) -> Vec<Line> {
    let longest = sets.iter().map(Vec::len).max().unwrap_or(0);
    let of_each = |index| sets.iter().filter_map(move |set: &Vec<&str>| set.get(index).copied());
    (0..longest).flat_map(of_each).map(Line::read).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use ttsfleet_wire::judge::Quantity;

    use super::*;
    use crate::{
        cer::character_error_rate,
        normalise::normalise,
        stats::Design,
        tally::{Sample, Tally},
    };

    fn built_in(languages: &[&str], hears: impl Fn(Script) -> bool) -> Option<Prompts> {
        let languages: Vec<String> = languages.iter().map(|&language| language.to_owned()).collect();
        Prompts::built_in(&languages, hears)
    }

    /// Texts and what is heard of them, all different.
    fn read(lines: &str) -> Vec<Line> {
        let lines: Vec<Line> = lines.lines().map(Line::read).collect();
        let heard: BTreeSet<String> =
            lines.iter().map(|line| normalise(line.meant(), Script::of(line.meant()))).collect();
        assert_eq!(heard.len(), lines.len());
        lines
    }

    #[test]
    fn there_are_english_ones_for_every_comparison_that_is_not_told_otherwise() {
        let lines = read(ENGLISH);
        // `shadow.minSamples`, and some more.
        assert!(lines.len() >= 350, "{}", lines.len());
        let words = |line: &Line| line.meant().split_whitespace().count();
        assert!(lines.iter().filter(|line| words(line) <= 3).count() >= 15);
        assert!(lines.iter().filter(|line| words(line) >= 25).count() >= 4);
        assert!(lines.iter().all(|line| words(line) <= 40));
        for line in &lines {
            let plain = |letter: char| letter.is_ascii_alphabetic() || " ,.?!'".contains(letter);
            let written = |letter: char| letter.is_ascii_digit() || "$%/:°".contains(letter) || plain(letter);
            assert!(line.text.chars().all(written), "{}", line.text);
            assert!(line.said.iter().all(|said| said.chars().all(plain)), "{}", line.text);
        }
    }

    /// Of what a table or a rule makes words of, many texts hold enough for a
    /// wrong one to be noticed.
    #[rstest]
    #[case::dates(&["January ", "March ", "May ", "July ", "October "], 15)]
    #[case::dollars(&["USD "], 10)]
    #[case::distances(&[" km"], 15)]
    #[case::doctors(&["Dr. "], 12)]
    #[case::money(&["$"], 8)]
    #[case::times(&[":"], 9)]
    #[case::questions(&["?"], 20)]
    fn they_hold_more_than_words(#[case] parts: &[&str], #[case] least: usize) {
        let holds = |line: &Line| parts.iter().any(|part| line.text.contains(part));
        let lines = read(ENGLISH);
        assert!(lines.iter().filter(|line| holds(line)).count() >= least);
        // From the start: a comparison may take few of them.
        assert!(lines.iter().take(80).any(holds));
    }

    #[test]
    fn the_chinese_ones_hold_numbers_and_dates_too() {
        let lines = read(CHINESE);
        assert!(lines.len() >= 100, "{}", lines.len());
        for line in lines {
            let characters = line.text.chars().count();
            assert!((3..=50).contains(&characters), "{characters} characters: {}", line.text);
            let plain = |letter: char| {
                Script::of(&letter.to_string()) == Script::Han || "，。？！、.%℃".contains(letter)
            };
            assert!(
                line.text.chars().all(|letter| letter.is_ascii_digit() || plain(letter)),
                "{}",
                line.text
            );
            assert!(line.said.iter().all(|said| said.chars().all(plain)), "{}", line.text);
        }
    }

    /// A voice whose tables are wrong says other words than are meant.
    #[rstest]
    #[case::dates_too(true)]
    #[case::dates_are_right(false)]
    fn a_voice_that_reads_units_titles_and_money_wrongly_is_refused(#[case] dates: bool) {
        const MONTHS: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let wrong = |word: &str| match (word, MONTHS.iter().position(|month| *month == word)) {
            (_, Some(month)) if dates => MONTHS[(month + 1) % 12].to_owned(),
            ("kilometers", _) => "miles".to_owned(),
            ("doctor", _) => "mister".to_owned(),
            ("dollars", _) => "euros".to_owned(),
            _ => word.to_owned(),
        };
        let mut tally = Tally::new(Design::new(95, 300));
        for line in read(ENGLISH).iter().take(300) {
            let right = normalise(line.meant(), Script::Latin);
            let said: Vec<String> = right.split(' ').map(wrong).collect();
            let rate = |heard: &str| character_error_rate(line.meant(), heard).unwrap();
            let cer = Some([rate(&right), rate(&said.join(" "))]);
            tally.push(&Sample { from_prompt: true, cer, ..Sample::default() });
        }
        let cer = tally.measures().into_iter().find(|measure| measure.quantity == Quantity::Cer).unwrap();
        assert!(cer.low > 0.02, "{cer:?}");
    }

    #[test]
    fn languages_are_those_that_are_spoken_and_if_possible_heard() {
        let english = |script| script == Script::Latin;
        assert!(built_in(&["fr"], |_| true).is_none());
        assert!(built_in(&[], |_| true).is_none());
        let bilingual = built_in(&["zh-CN", "en-US"], |_| true).unwrap();
        let scripts: Vec<Script> = bilingual.lines[..4].iter().map(|line| Script::of(line.meant())).collect();
        assert_eq!(scripts, [Script::Latin, Script::Han, Script::Latin, Script::Han]);
        let heard = built_in(&["zh", "en"], english).unwrap();
        assert!(heard.heard() && heard.lines.iter().all(|line| Script::of(line.meant()) == Script::Latin));
        assert!(!built_in(&["zh"], english).unwrap().heard());
    }

    #[test]
    fn given_ones_that_are_not_heard_are_left_out_if_some_are() {
        let given = ["Good day.", "今天天气很好。"].map(str::to_owned);
        let english = |script| script == Script::Latin;
        let some = Prompts::given(&given, english);
        assert_eq!((some.heard(), some.lines.len(), &some.lines[0].text), (true, 1, &given[0]));
        let none = Prompts::given(&given[1..], english);
        assert_eq!((none.heard(), none.lines.len(), &none.lines[0].text), (false, 1, &given[1]));
        let said = Prompts::given(&["Dr. Lee \t doctor lee".to_owned()], |_| true).next_prompt();
        assert_eq!((&said.text[..], said.said.as_deref()), ("Dr. Lee", Some("doctor lee")));
    }

    #[test]
    fn no_two_rounds_have_the_same_speed_or_the_usual_one() {
        let speeds: Vec<f32> = (1..=10_000).map(speed).collect();
        for speed in &speeds {
            assert!((0.9..=0.97).contains(speed) || (1.03..=1.1).contains(speed), "{speed}");
        }
        let different: BTreeSet<u32> = speeds.iter().map(|speed| speed.to_bits()).collect();
        assert_eq!(different.len(), speeds.len());
        // Also the first few lie apart.
        let mut first = speeds[..12].to_vec();
        first.sort_by(f32::total_cmp);
        assert!(first.windows(2).all(|pair| pair[1] - pair[0] > 0.004), "{first:?}");
    }

    #[test]
    fn what_is_repeated_is_spoken_at_another_speed() {
        let mut prompts = Prompts::given(&["a", "b", "c"].map(str::to_owned), |_| true);
        let spoken: Vec<Prompt> = (0..6).map(|_| prompts.next_prompt()).collect();
        assert_eq!(spoken.iter().map(|prompt| &prompt.text[..]).collect::<String>(), "abcabc");
        assert_eq!((spoken[2].speed, spoken[3].speed), (None, Some(speed(1))));
        prompts.give_back();
        assert_eq!(prompts.next_prompt(), spoken[5]);
    }
}
