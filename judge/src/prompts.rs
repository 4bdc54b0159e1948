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
    /// How fast; none as the model likes it.
    pub speed: Option<f32>,
    /// Who speaks first: they take turns.
    pub baseline_first: bool,
}

/// Texts in a circle.
#[derive(Debug, Clone)]
pub struct Prompts {
    texts: Vec<String>,
    heard: bool,
    spoken: usize,
}

impl Prompts {
    /// Those that were given. There must be at least one. Where the recogniser
    /// hears some of them, only they are spoken.
    pub fn given(texts: &[String], hears: impl Fn(Script) -> bool) -> Self {
        let heard: Vec<String> = texts.iter().filter(|text| hears(Script::of(text))).cloned().collect();
        if heard.is_empty() {
            Self { texts: texts.to_vec(), heard: false, spoken: 0 }
        } else {
            Self { texts: heard, heard: true, spoken: 0 }
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
        let texts = in_turn(spoken.iter().map(|(.., texts)| texts.lines().collect()).collect());
        (!texts.is_empty()).then_some(Self { texts, heard, spoken: 0 })
    }

    /// Whether the recogniser hears their language.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// The next one.
    pub fn next_prompt(&mut self) -> Prompt {
        let (round, index) = (self.spoken / self.texts.len(), self.spoken % self.texts.len());
        self.spoken += 1;
        Prompt {
            text: self.texts[index].clone(),
            speed: (round > 0).then(|| speed(round)),
            baseline_first: self.spoken % 2 == 1,
        }
    }

    /// The last one was not spoken after all.
    pub fn give_back(&mut self) {
        self.spoken = self.spoken.saturating_sub(1);
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
fn in_turn(sets: Vec<Vec<&str>>) -> Vec<String> {
    let longest = sets.iter().map(Vec::len).max().unwrap_or(0);
    let of_each = |index| sets.iter().filter_map(move |set: &Vec<&str>| set.get(index).copied());
    (0..longest).flat_map(of_each).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn built_in(languages: &[&str], hears: impl Fn(Script) -> bool) -> Option<Prompts> {
        let languages: Vec<String> = languages.iter().map(|&language| language.to_owned()).collect();
        Prompts::built_in(&languages, hears)
    }

    #[test]
    fn the_english_ones_are_words_only_and_all_different() {
        let lines: Vec<&str> = ENGLISH.lines().collect();
        assert!(lines.len() >= 120, "{}", lines.len());
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len());
        for line in lines {
            let words = line.split_whitespace().count();
            assert!((6..=14).contains(&words), "{words} words: {line}");
            let plain = |letter: char| letter.is_ascii_alphabetic() || " ,.?!'".contains(letter);
            assert!(line.chars().all(plain), "{line}");
        }
    }

    #[test]
    fn the_chinese_ones_are_characters_only_and_all_different() {
        let lines: Vec<&str> = CHINESE.lines().collect();
        assert!(lines.len() >= 40, "{}", lines.len());
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len());
        for line in lines {
            let characters = line.chars().count();
            assert!((8..=30).contains(&characters), "{characters} characters: {line}");
            let plain =
                |letter: char| Script::of(&letter.to_string()) == Script::Han || "，。？！".contains(letter);
            assert!(line.chars().all(plain), "{line}");
        }
    }

    #[test]
    fn languages_are_those_that_are_spoken_and_if_possible_heard() {
        let english = |script| script == Script::Latin;
        assert!(built_in(&["fr"], |_| true).is_none());
        assert!(built_in(&[], |_| true).is_none());
        let bilingual = built_in(&["zh-CN", "en-US"], |_| true).unwrap();
        let scripts: Vec<Script> = bilingual.texts[..4].iter().map(|text| Script::of(text)).collect();
        assert_eq!(scripts, [Script::Latin, Script::Han, Script::Latin, Script::Han]);
        let heard = built_in(&["zh", "en"], english).unwrap();
        assert!(heard.heard() && heard.texts.iter().all(|text| Script::of(text) == Script::Latin));
        assert!(!built_in(&["zh"], english).unwrap().heard());
    }

    #[test]
    fn given_ones_that_are_not_heard_are_left_out_if_some_are() {
        let given = ["Good day.", "今天天气很好。"].map(str::to_owned);
        let english = |script| script == Script::Latin;
        let some = Prompts::given(&given, english);
        assert_eq!((some.heard(), &some.texts[..]), (true, &given[..1]));
        let none = Prompts::given(&given[1..], english);
        assert_eq!((none.heard(), &none.texts[..]), (false, &given[1..]));
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
    fn they_take_turns_and_what_is_repeated_is_spoken_at_another_speed() {
        let mut prompts = Prompts::given(&["a", "b", "c"].map(str::to_owned), |_| true);
        let spoken: Vec<Prompt> = (0..6).map(|_| prompts.next_prompt()).collect();
        assert_eq!(spoken.iter().map(|prompt| &prompt.text[..]).collect::<String>(), "abcabc");
        assert_eq!((spoken[2].speed, spoken[3].speed), (None, Some(speed(1))));
        assert_eq!(
            spoken.iter().map(|prompt| prompt.baseline_first).collect::<Vec<_>>(),
            [true, false, true, false, true, false]
        );
        prompts.give_back();
        assert_eq!(prompts.next_prompt(), spoken[5]);
    }
}
