//! Where readers of markup leave what they find.

use std::time::Duration;

use super::{ALL_PAUSES, LONGEST_PAUSE, Marked, Part, STAND_INS, entries::Entries, pauses};

/// Marks that belong to the words before them, whatever stands between.
const TRAILING: &str = ".,;:!?…";
/// What ends a sentence, or leads on to the next one.
const ENDS: &str = ".!?…:;,—";
const CLOSING: &str = "\"”’')]";

/// Gathers words, pauses and given phonemes.
#[derive(Debug)]
pub(super) struct Writer {
    marked: Marked,
    words: String,
    /// Where in the words those begin among which entries have not been looked for.
    unsaid: usize,
    entries: Entries,
    rate: f32,
    gap: Gap,
}

/// What has to come before the next words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    Nothing,
    /// They are another cell of a row.
    Cell,
    /// They are another paragraph.
    Paragraph,
    /// They are another sentence, whether or not the one before has a full stop.
    Sentence,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new(Entries::default())
    }
}

impl Writer {
    /// One that says the words of the entries as they say.
    pub(super) fn new(entries: Entries) -> Self {
        let (marked, words) = Default::default();
        Self { marked, words, unsaid: 0, entries, rate: 1.0, gap: Gap::Nothing }
    }

    /// Words as they stand in the text.
    pub(super) fn words(&mut self, words: &str) {
        if self.gap != Gap::Nothing && !words.trim_start().is_empty() {
            self.close_gap();
            self.words.push_str(words.trim_start());
        } else {
            self.words.push_str(words);
        }
    }

    /// Words that are said already as they are to be said, whatever the entries say.
    pub(super) fn said(&mut self, words: &str) {
        self.say();
        self.words(words);
        self.unsaid = self.words.len();
    }

    /// The next words are another cell of a row.
    pub(super) fn end_cell(&mut self) {
        self.gap = self.gap.max(Gap::Cell);
    }

    /// The next words are another paragraph.
    pub(super) fn end_paragraph(&mut self) {
        self.gap = self.gap.max(Gap::Paragraph);
    }

    /// The next words are another sentence.
    pub(super) fn end_sentence(&mut self) {
        self.gap = self.gap.max(Gap::Sentence);
    }

    /// Silence.
    pub(super) fn pause(&mut self, length: Duration) {
        if !length.is_zero() {
            self.flush();
            self.marked.parts.push(Part::Pause(length));
        }
    }

    /// Phonemes; false if there have been too many already.
    pub(super) fn given(&mut self, phonemes: &str) -> bool {
        let Some(stand_in) = give(&mut self.marked.given, phonemes) else { return false };
        self.words(stand_in.encode_utf8(&mut [0; 4]));
        true
    }

    /// From here on, words are spoken so many times as fast as the whole text.
    pub(super) fn set_rate(&mut self, rate: f32) {
        if rate != self.rate {
            self.flush();
            self.rate = rate;
        }
    }

    pub(super) fn rate(&self) -> f32 {
        self.rate
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Marked {
        self.flush();
        let mut left = ALL_PAUSES;
        let mut parts: Vec<Part> = Vec::new();
        for part in self.marked.parts.into_iter().flat_map(with_pauses) {
            match part {
                Part::Pause(length) => {
                    let length = length.min(LONGEST_PAUSE).min(left);
                    left -= length;
                    if !length.is_zero() {
                        parts.push(Part::Pause(length));
                    }
                }
                Part::Words { text, rate } => add_words(&mut parts, &text, rate),
            }
        }
        Marked { parts, given: self.marked.given }
    }

    fn close_gap(&mut self) {
        let written = self.words.trim_end().len();
        self.unsaid = self.unsaid.min(written);
        match std::mem::replace(&mut self.gap, Gap::Nothing) {
            _ if written == 0 => {}
            Gap::Nothing => {}
            Gap::Cell => {
                self.words.truncate(written);
                self.words.push_str(", ");
            }
            Gap::Paragraph => self.words.push_str("\n\n"),
            Gap::Sentence => {
                self.words.truncate(written);
                if !self.words.trim_end_matches(|c| CLOSING.contains(c)).ends_with(|c| ENDS.contains(c)) {
                    self.words.push('.');
                }
                self.words.push_str("\n\n");
            }
        }
    }

    /// Has the words so far said as the entries say, but for the marks of pauses.
    fn say(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let unsaid = self.words.split_off(self.unsaid);
        let mut from = 0;
        for (mark, _) in pauses::marks(&unsaid) {
            self.say_these(&unsaid[from..mark.start]);
            self.words.push_str(&unsaid[mark.clone()]);
            from = mark.end;
        }
        self.say_these(&unsaid[from..]);
        self.unsaid = self.words.len();
    }

    fn say_these(&mut self, words: &str) {
        let given = &mut self.marked.given;
        let said = self.entries.say(words, |phonemes| give(given, phonemes));
        self.words.push_str(&said);
    }

    fn flush(&mut self) {
        self.say();
        self.unsaid = 0;
        // Whatever comes next is apart from these words anyhow.
        self.gap = Gap::Nothing;
        let text = std::mem::take(&mut self.words);
        if !text.is_empty() {
            self.marked.parts.push(Part::Words { text, rate: self.rate });
        }
    }
}

/// What stands for these phonemes from now on, if anything is left for it.
fn give(given: &mut Vec<String>, phonemes: &str) -> Option<char> {
    let next = u32::try_from(given.len()).ok().and_then(|index| {
        char::from_u32(*STAND_INS.start() as u32 + index).filter(|c| STAND_INS.contains(c))
    });
    given.extend(next.map(|_| phonemes.to_owned()));
    next
}

/// Words as they are and the pauses that stand among them.
fn with_pauses(part: Part) -> Vec<Part> {
    match part {
        Part::Words { text, rate } => pauses::split(&text, rate),
        pause @ Part::Pause(_) => vec![pause],
    }
}

/// Adds words; what only ends the words before goes to these.
fn add_words(parts: &mut Vec<Part>, text: &str, rate: f32) {
    let mut rest = text;
    if !parts.is_empty() {
        let trimmed = text.trim_start();
        let trailing = trimmed.len() - trimmed.trim_start_matches(|c| TRAILING.contains(c)).len();
        let before = parts.iter_mut().rev().find_map(|part| match part {
            Part::Words { text, .. } => Some(text),
            Part::Pause(_) => None,
        });
        // ".5" begins a number.
        let number = trimmed[trailing..].starts_with(|c: char| c.is_ascii_digit());
        if let (Some(before), 1.., false) = (before, trailing, number) {
            before.truncate(before.trim_end().len());
            before.push_str(&trimmed[..trailing]);
            rest = &trimmed[trailing..];
        }
    }
    if !rest.trim().is_empty() {
        parts.push(Part::Words { text: rest.to_owned(), rate });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Said};

    fn words(text: &str, rate: f32) -> Part {
        Part::Words { text: text.to_owned(), rate }
    }

    #[test]
    fn gaps_are_closed_only_before_more_words() {
        let mut writer = Writer::default();
        writer.words("Title");
        writer.end_sentence();
        writer.end_paragraph();
        writer.words(" Body");
        writer.end_cell();
        assert_eq!(writer.finish().parts, [words("Title.\n\nBody", 1.0)]);
    }

    #[test]
    fn what_ends_a_sentence_already_is_not_ended_again() {
        for (ended, expected) in [("Why?", "Why?"), ("“Yes.”", "“Yes.”"), ("So:", "So:"), ("(b)", "(b).")]
        {
            let mut writer = Writer::default();
            writer.words(ended);
            writer.end_sentence();
            writer.words("x");
            assert_eq!(writer.finish().parts, [words(&format!("{expected}\n\nx"), 1.0)]);
        }
    }

    #[test]
    fn punctuation_stays_with_the_words_before_a_pause_or_another_rate() {
        let mut writer = Writer::default();
        writer.words("Very ");
        writer.set_rate(0.5);
        writer.words("slow");
        writer.set_rate(1.0);
        writer.pause(Duration::from_secs(1));
        writer.words(". Or not");
        let expected = [
            words("Very ", 1.0),
            words("slow.", 0.5),
            Part::Pause(Duration::from_secs(1)),
            words(" Or not", 1.0),
        ];
        assert_eq!(writer.finish().parts, expected);
    }

    #[test]
    fn pauses_are_bounded_each_and_together() {
        let mut writer = Writer::default();
        (0..100).for_each(|_| writer.pause(Duration::from_secs(3600)));
        let parts = writer.finish().parts;
        assert!(parts.iter().all(|part| *part == Part::Pause(LONGEST_PAUSE)));
        assert_eq!(parts.len(), 6);
    }

    fn saying(words: [(&str, &str); 3]) -> Writer {
        let entry = |(word, said): (&str, &str)| Entry {
            word: word.to_owned(),
            said: match said.strip_prefix('/') {
                Some(phonemes) => Said::Ipa(phonemes.to_owned()),
                None => Said::Like(said.to_owned()),
            },
        };
        Writer::new(Entries::new(&words.map(entry)))
    }

    #[test]
    fn entries_are_said_in_running_words_and_nowhere_else() {
        let mut writer = saying([("kubectl", "cube control"), ("1s", "one S"), ("gif", "/dʒɪf")]);
        writer.words("kube");
        writer.words("ctl [pause:1s] 1s ");
        writer.said("kubectl gif ");
        writer.end_sentence();
        writer.words("a gif");
        let expected = [
            words("cube control ", 1.0),
            Part::Pause(Duration::from_secs(1)),
            words(" one S kubectl gif.\n\na \u{e000}", 1.0),
        ];
        assert_eq!(writer.finish(), Marked { parts: expected.into(), given: vec!["ʤɪf".to_owned()] });
    }

    #[test]
    fn what_is_said_already_may_end_in_any_blank() {
        let mut writer = saying([("a", "ay"), ("b", "bee"), ("c", "see")]);
        writer.said("a\u{2003}");
        writer.end_sentence();
        writer.words("a");
        assert_eq!(writer.finish().parts, [words("a.\n\nay", 1.0)]);
    }

    #[test]
    fn stand_ins_run_out() {
        let mut writer = Writer::default();
        let taken = (0..1000).filter(|_| writer.given("a")).count();
        assert_eq!((taken, writer.finish().given.len()), (256, 256));
    }
}
