//! Which characters can be spoken: Latin letters, digits, punctuation and some
//! signs stay, some have names, other signs go, and letters of other scripts are
//! left out and counted.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::markup::stand_in;

/// Signs that later steps read or that shape the melody.
const KEPT: &str = "…“”‘’—–°¢£€¥₹₩§¶±×÷™®©•→←½¼¾²³µ";
/// Zeros of other scripts, each followed by the other digits.
const ZEROS: [char; 6] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{1040}'];
/// Words longer than this are cut: no later step may take time that grows with
/// the square of what a stranger sends.
const MAX_WORD: usize = 120;
/// Repeated punctuation says no more after this.
const MAX_REPEAT: usize = 3;

/// Text with only what the voice can read, one space or line break at a time.
#[derive(Debug, PartialEq)]
pub(super) struct Cleaned {
    pub(super) text: String,
    /// Letters that were left out.
    pub(super) skipped: usize,
}

/// Leaves out what the voice cannot read.
pub(super) fn clean(text: &str) -> Cleaned {
    let folded: Vec<char> = text.nfc().flat_map(fold).collect();
    let mut cleaned = Bounded::default();
    let mut skipped = 0;
    for (index, c) in folded.iter().copied().enumerate() {
        let near = [index.checked_sub(1), Some(index + 1)];
        let alone = !near.iter().flatten().filter_map(|at| folded.get(*at)).any(|c| c.is_alphabetic());
        match kind(c) {
            Kind::Spoken => cleaned.push(c),
            Kind::Gone => {}
            Kind::Sign => cleaned.push(' '),
            Kind::Foreign => match greek_name(c).filter(|_| alone) {
                Some(name) => format!(" {name} ").chars().for_each(|c| cleaned.push(c)),
                None => {
                    skipped += 1;
                    // The words around it stay apart.
                    cleaned.push(' ');
                }
            },
        }
    }
    Cleaned { text: cleaned.text, skipped }
}

/// Letters without their accents: "é" is "e".
pub(super) fn without_accents(letters: &str) -> String {
    let plain = letters.nfkd().map(|letter| match letter {
        'ß' => "ss".to_owned(),
        'æ' | 'Æ' => "ae".to_owned(),
        'œ' | 'Œ' => "oe".to_owned(),
        'ø' | 'Ø' => "o".to_owned(),
        'đ' | 'Đ' | 'ð' | 'Ð' => "d".to_owned(),
        'ł' | 'Ł' => "l".to_owned(),
        'þ' | 'Þ' => "th".to_owned(),
        'ı' => "i".to_owned(),
        _ if letter.is_ascii_alphabetic() => letter.to_string(),
        _ => String::new(),
    });
    plain.collect()
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// Goes on to the next step.
    Spoken,
    /// Leaves nothing behind.
    Gone,
    /// Leaves a space behind.
    Sign,
    /// Belongs to a script that the voice cannot read.
    Foreign,
}

fn kind(c: char) -> Kind {
    match c {
        '\n' | ' '..='~' => Kind::Spoken,
        _ if KEPT.contains(c) || stand_in(c).is_some() => Kind::Spoken,
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => Kind::Gone,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Kind::Gone,
        // Letters in boxes are signs, although Unicode counts them as letters.
        '\u{1f100}'..='\u{1f1ff}' => Kind::Sign,
        _ if is_combining_mark(c) => Kind::Gone,
        _ if is_latin(c) => Kind::Spoken,
        _ if c.is_alphanumeric() => Kind::Foreign,
        _ => Kind::Sign,
    }
}

fn is_latin(c: char) -> bool {
    c.is_alphabetic()
        && matches!(c, '\u{aa}'..='\u{2af}' | '\u{1d00}'..='\u{1dbf}' | '\u{1e00}'..='\u{1eff}'
            | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab6f}')
}

/// A character in the form that later steps know.
fn fold(c: char) -> Vec<char> {
    let known = match c {
        _ if c.is_ascii_control() && c != '\n' => " ",
        '\u{85}' | '\u{2028}' | '\u{2029}' => "\n",
        _ if c.is_ascii() || KEPT.contains(c) => return vec![c],
        'ʻ' | 'ʼ' | 'ʹ' | 'ʽ' | '′' => "'",
        '‐' | '‑' | '‒' | '−' => "-",
        '―' => "—",
        '⁄' | '∕' => "/",
        '„' | '«' | '「' | '『' | '″' | '‟' => "“",
        '»' | '」' | '』' => "”",
        '‚' | '‹' => "‘",
        '›' => "’",
        '。' => ". ",
        '、' => ", ",
        '⅓' => " one third ",
        '⅔' => " two thirds ",
        '⅛' => " one eighth ",
        '≈' => " about ",
        '≠' => " is not equal to ",
        '≤' => " less than or equal to ",
        '≥' => " greater than or equal to ",
        '∞' => " infinity ",
        '√' => " square root of ",
        '№' => " number ",
        '℃' => "°C",
        '℉' => "°F",
        '⇒' | '➔' | '➜' | '➡' => "→",
        '↔' | '⇔' => " to and from ",
        '↑' => " up ",
        '↓' => " down ",
        '∑' => " sum of ",
        '∫' => " integral of ",
        '₽' => " rubles ",
        '₺' => " lira ",
        '₪' => " shekels ",
        '₫' => " dong ",
        '₱' => " pesos ",
        '₿' => " bitcoin ",
        '฿' => " baht ",
        _ => return c.nfkc().map(digit).collect(),
    };
    known.chars().collect()
}

/// A digit of another script as ours.
fn digit(c: char) -> char {
    let value =
        ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero as u32).filter(|value| *value < 10));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
}

fn greek_name(letter: char) -> Option<&'static str> {
    const NAMES: [&str; 25] = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
        "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi",
        "omega",
    ];
    let lower = letter.to_lowercase().next()?;
    let index = (lower as usize).checked_sub('α' as usize)?;
    NAMES.get(index).copied()
}

/// Builds text whose words and runs of punctuation have bounded length.
#[derive(Default)]
struct Bounded {
    text: String,
    last: Option<char>,
    repeated: usize,
    word: usize,
}

impl Bounded {
    fn push(&mut self, c: char) {
        self.repeated = if self.last == Some(c) { self.repeated + 1 } else { 1 };
        self.last = Some(c);
        let bound = if c == ' ' { 1 } else { MAX_REPEAT };
        if self.repeated > bound && !c.is_alphanumeric() {
            return;
        }
        self.word = if c.is_whitespace() { 0 } else { self.word + 1 };
        if self.word > MAX_WORD {
            self.text.push(' ');
            self.word = 1;
        }
        self.text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        let Cleaned { text: cleaned, skipped } = clean(text);
        assert_eq!(skipped, 0, "{text}");
        cleaned
    }

    #[test]
    fn letters_of_other_scripts_are_left_out_and_counted() {
        for (text, kept, skipped) in [
            ("Hello 世界", "Hello ", 2),
            ("Hello世界there", "Hello there", 2),
            ("Привет, мир", " , ", 9),
            ("مرحبا", " ", 5),
            ("नमस्ते", " ", 4),
            ("λόγος", " ", 5),
        ] {
            assert_eq!(clean(text), Cleaned { text: kept.to_owned(), skipped }, "{text}");
        }
    }

    #[test]
    fn digits_of_other_scripts_are_digits() {
        assert_eq!(cleaned("٣ and ४२"), "3 and 42");
    }

    #[test]
    fn some_signs_have_names() {
        assert_eq!(cleaned("5 ₽ ↑"), "5 rubles up ");
    }

    #[test]
    fn latin_letters_with_accents_stay() {
        assert_eq!(cleaned("Žižek ate cre\u{301}me brûlée in Łódź"), "Žižek ate créme brûlée in Łódź");
    }

    #[test]
    fn emoji_and_ornaments_leave_a_gap() {
        assert_eq!(cleaned("I ❤️ you 👩‍👩‍👧 ★"), "I  you  ".replace("  ", " "));
    }

    #[test]
    fn single_greek_letters_are_named() {
        assert_eq!(cleaned("2π and α-helix, 5 Ω"), "2 pi and alpha -helix, 5 omega ");
    }

    #[test]
    fn look_alikes_become_plain() {
        assert_eq!(cleaned("Ｈｅｌｌｏ ﬁne 𝐛𝐨𝐥𝐝 −5 «hi»"), "Hello fine bold -5 “hi”");
    }

    #[test]
    fn words_and_punctuation_runs_are_bounded() {
        assert_eq!(cleaned("wow!!!!!!!!"), "wow!!!");
        let long = cleaned(&"a".repeat(1000));
        assert!(long.split(' ').all(|word| word.len() <= MAX_WORD));
        assert_eq!(long.matches('a').count(), 1000);
    }

    #[test]
    fn accents_fall_off_for_spelling() {
        assert_eq!(without_accents("Łódź ßæ"), "lodzssae");
    }
}
