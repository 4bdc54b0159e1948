//! Words to phonemes by dictionary, part of speech and suffix rules.

use super::{
    dictionary::{Dictionary, Entry, capitalized},
    numerals,
    stress::{PRIMARY, SECONDARY, Stress, restress},
    tokens::Token,
};
use crate::{FolderError, ModelFolder};

/// Consonants and vowels after which American English turns t into a flap.
const FLAPPING: &str = "AIOWYiuæɑəɛɪɹʊʌ";
/// Signs that are read as words.
const SYMBOLS: [(&str, &str); 4] = [("%", "percent"), ("&", "and"), ("+", "plus"), ("@", "at")];

/// What follows a word, for those that sound different by it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    /// Whether the next sound is a vowel; `None` at a pause.
    pub(super) vowel_next: Option<bool>,
    /// Whether the next word is "to".
    pub(super) to_next: bool,
}

/// How a word is to be read where it stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    /// Part-of-speech tag, if known.
    pub(super) tag: Option<&'a str>,
    /// Change of stress.
    pub(super) stress: Option<Stress>,
    /// What follows, if that matters.
    pub(super) context: Option<Context>,
}

/// The two dictionaries: `gold` was checked by people, `silver` was not.
#[derive(Debug)]
pub(super) struct Lexicon {
    gold: Dictionary,
    silver: Dictionary,
}

impl Lexicon {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        Ok(Self {
            gold: Dictionary::load(folder, "lexicon_us_gold.json.gz")?,
            silver: Dictionary::load(folder, "lexicon_us_silver.json.gz")?,
        })
    }

    /// Phonemes of a token, unless the word is unknown.
    pub(super) fn pronounce(&self, token: &Token, context: Context) -> Option<String> {
        let word = token.alias.unwrap_or(&token.text).replace(['‘', '’'], "'");
        let stress = match &word {
            _ if word == word.to_lowercase() => None,
            _ if word == word.to_uppercase() => Some(Stress::Primary),
            _ => Some(Stress::AtLeastSecondary),
        };
        let place = Place { tag: Some(&token.tag), stress, context: Some(context) };
        if let Some(phonemes) = self.word(&word, place) {
            return Some(phonemes);
        }
        if numerals::is_number(&word, token.is_head) {
            return numerals::pronounce(self, &word, token.is_head);
        }
        None
    }

    fn word(&self, word: &str, place: Place<'_>) -> Option<String> {
        if let Some(phonemes) = self.special(word, place) {
            return Some(phonemes);
        }
        let lower = word.to_lowercase();
        let word = if self.is_shouted(word, &lower, place) { &lower } else { word };
        if self.is_known(word) {
            return self.look_up(word, place);
        }
        let owner = word.strip_suffix("s'").map(|stem| format!("{stem}'s"));
        if let Some(owner) = owner.filter(|owner| self.is_known(owner)) {
            return self.look_up(&owner, place);
        }
        if let Some(stem) = word.strip_suffix('\'').filter(|stem| self.is_known(stem)) {
            return self.look_up(stem, place);
        }
        self.suffixed(word, place)
    }

    /// Whether capitals are only emphasis, so that the word is to be looked up
    /// in lower case.
    fn is_shouted(&self, word: &str, lower: &str, place: Place<'_>) -> bool {
        let length = word.chars().count();
        let letters = word.chars().all(|c| c == '\'' || c.is_alphabetic());
        let uniform = word == word.to_uppercase() || word == capitalized(lower);
        length > 1
            && letters
            && uniform
            && word != lower
            && (place.tag != Some("NNP") || length > 7)
            && !self.listed(word)
            && (self.listed(lower) || self.suffixed_at(lower, place, place.stress).is_some())
    }

    fn listed(&self, word: &str) -> bool {
        self.gold.contains(word) || self.silver.contains(word)
    }

    /// Words whose sound hangs on their neighbours, and abbreviations.
    fn special(&self, word: &str, place: Place<'_>) -> Option<String> {
        let tag = place.tag.unwrap_or_default();
        let vowel_next = place.context.unwrap_or_default().vowel_next;
        let gold = |word| self.gold.plain(word).map(str::to_owned);
        if let Some(named) = SYMBOLS.iter().find(|(sign, _)| *sign == word) {
            return self.look_up(named.1, Place { tag: None, stress: None, ..place });
        }
        if is_dotted(word) {
            return self.spelled(word);
        }
        match word {
            "a" | "A" => Some(if tag == "DT" { "ɐ" } else { "ˈA" }.to_owned()),
            "am" | "Am" | "AM" if tag.starts_with("NN") => self.spelled(word),
            "am" if vowel_next.is_some() && place.stress.is_none() => Some("ɐm".to_owned()),
            "am" | "Am" | "AM" => gold("am"),
            "AN" if tag.starts_with("NN") => self.spelled(word),
            "an" | "An" | "AN" => Some("ɐn".to_owned()),
            "I" if tag == "PRP" => Some(format!("{SECONDARY}I")),
            "by" | "By" | "BY" if parent(tag) == "ADV" => Some("bˈI".to_owned()),
            "to" | "To" => self.to(vowel_next),
            "TO" if matches!(tag, "TO" | "IN") => self.to(vowel_next),
            "IN" if tag == "NNP" => None,
            "in" | "In" | "IN" if vowel_next.is_none() || tag != "IN" => Some("ˈɪn".to_owned()),
            "in" | "In" | "IN" => Some("ɪn".to_owned()),
            "THE" if tag != "DT" => None,
            "the" | "The" | "THE" => Some(if vowel_next == Some(true) { "ði" } else { "ðə" }.to_owned()),
            "used" | "Used" | "USED" => self.used(tag, place.context.is_some_and(|context| context.to_next)),
            _ if tag == "IN" && matches!(word.to_ascii_lowercase().as_str(), "vs" | "vs.") => {
                self.look_up("versus", Place { tag: None, stress: None, ..place })
            }
            _ => None,
        }
    }

    fn to(&self, vowel_next: Option<bool>) -> Option<String> {
        match vowel_next {
            None => self.gold.plain("to").map(str::to_owned),
            Some(false) => Some("tə".to_owned()),
            Some(true) => Some("tʊ".to_owned()),
        }
    }

    /// "used to" against "used".
    fn used(&self, tag: &str, to_next: bool) -> Option<String> {
        let Some(Entry::ByTag(readings)) = self.gold.get("used") else { return None };
        let habit =
            if matches!(tag, "VBD" | "JJ") && to_next { readings.tagged("VBD").flatten() } else { None };
        habit.or_else(|| readings.default()).map(str::to_owned)
    }

    /// Letter by letter, the last stressed: "HTTP".
    pub(super) fn spelled(&self, word: &str) -> Option<String> {
        let letters = word.chars().filter(|c| c.is_alphabetic());
        let names: Option<String> =
            letters.map(|letter| self.gold.plain(letter.to_uppercase().to_string().as_str())).collect();
        let level = restress(&names?, Stress::Secondary);
        Some(match level.rsplit_once(SECONDARY) {
            Some((head, last)) => format!("{head}{PRIMARY}{last}"),
            None => level,
        })
    }

    /// Whether looking the word up will give something.
    fn is_known(&self, word: &str) -> bool {
        if self.listed(word) || SYMBOLS.iter().any(|(sign, _)| *sign == word) {
            return true;
        }
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return false;
        }
        let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        word.len() == 1 || (upper(word) && self.gold.contains(&word.to_lowercase())) || upper(&word[1..])
    }

    /// Dictionary phonemes, or the letters' names for what is an acronym.
    pub(super) fn look_up(&self, word: &str, place: Place<'_>) -> Option<String> {
        let lowered = (word == word.to_uppercase() && !self.gold.contains(word)).then(|| word.to_lowercase());
        let name = lowered.is_some() && place.tag == Some("NNP");
        let word = lowered.as_deref().unwrap_or(word);
        let entry = self.gold.get(word).or_else(|| if name { None } else { self.silver.get(word) });
        let phonemes = match entry {
            Some(Entry::One(phonemes)) => Some(phonemes),
            Some(Entry::ByTag(readings)) => {
                let at_pause = place.context.is_some_and(|context| context.vowel_next.is_none());
                let pause = if at_pause { readings.tagged("None") } else { None };
                let tag = place.tag.unwrap_or_default();
                let tagged = pause.or_else(|| readings.tagged(tag)).or_else(|| readings.tagged(parent(tag)));
                tagged.unwrap_or_else(|| readings.default())
            }
            None => None,
        };
        match phonemes {
            Some(phonemes) if !name || phonemes.contains(PRIMARY) => {
                Some(place.stress.map_or_else(|| phonemes.to_owned(), |change| restress(phonemes, change)))
            }
            _ => self.spelled(word),
        }
    }

    fn suffixed(&self, word: &str, place: Place<'_>) -> Option<String> {
        self.suffixed_at(word, place, place.stress.or(Some(Stress::AtLeastSecondary)))
    }

    /// Tries -s, -ed and -ing; the last keeps some stress in its stem.
    fn suffixed_at(&self, word: &str, place: Place<'_>, ing_stress: Option<Stress>) -> Option<String> {
        let said = |stem: String, place| self.look_up(&stem, place).filter(|phonemes| !phonemes.is_empty());
        let s = self.stem_of_s(word).and_then(|stem| said(stem, place)).map(|stem| with_s(&stem));
        let ed = || self.stem_of_ed(word).and_then(|stem| said(stem, place)).map(|stem| with_ed(&stem));
        let ing_place = Place { stress: ing_stress, ..place };
        let ing =
            || self.stem_of_ing(word).and_then(|stem| said(stem, ing_place)).map(|stem| with_ing(&stem));
        s.or_else(ed).or_else(ing)
    }

    fn known(&self, stem: String) -> Option<String> {
        self.is_known(&stem).then_some(stem)
    }

    fn stem_of_s(&self, word: &str) -> Option<String> {
        let length = word.chars().count();
        let cut = word.strip_suffix('s').filter(|_| length > 2)?;
        let plain = if cut.ends_with('s') { None } else { self.known(cut.to_owned()) };
        let possessive = || self.known(cut.strip_suffix('\'')?.to_owned());
        let es = || {
            self.known(cut.strip_suffix('e').filter(|stem| length > 4 && !stem.ends_with('i'))?.to_owned())
        };
        let ies = || self.known(format!("{}y", cut.strip_suffix("ie").filter(|_| length > 4)?));
        plain.or_else(possessive).or_else(es).or_else(ies)
    }

    fn stem_of_ed(&self, word: &str) -> Option<String> {
        let length = word.chars().count();
        let cut = word.strip_suffix('d').filter(|_| length > 3)?;
        let plain = if cut.ends_with('d') { None } else { self.known(cut.to_owned()) };
        let ed = || {
            self.known(cut.strip_suffix('e').filter(|stem| length > 4 && !stem.ends_with('e'))?.to_owned())
        };
        plain.or_else(ed)
    }

    fn stem_of_ing(&self, word: &str) -> Option<String> {
        let length = word.chars().count();
        let cut = word.strip_suffix("ing").filter(|_| length > 4)?;
        let plain = if length > 5 { self.known(cut.to_owned()) } else { None };
        let silent_e = || self.known(format!("{cut}e"));
        let doubled = || {
            let mut ends = cut.chars().rev();
            let (last, before) = (ends.next()?, ends.next()?);
            let doubles =
                (last == before && "bcdgklmnprstvxz".contains(last)) || (before == 'c' && last == 'k');
            let stem: String = cut.strip_suffix(last)?.to_owned();
            if length > 5 && doubles { self.known(stem) } else { None }
        };
        plain.or_else(silent_e).or_else(doubled)
    }
}

/// "U.S.", "e.g.": short runs of letters between full stops.
fn is_dotted(word: &str) -> bool {
    word.trim_matches('.').contains('.')
        && word.chars().all(|c| c == '.' || c.is_alphabetic())
        && word.split('.').all(|part| part.chars().count() < 3)
}

/// The word class that a tag belongs to.
fn parent(tag: &str) -> &str {
    match tag {
        _ if tag.starts_with("VB") => "VERB",
        _ if tag.starts_with("NN") => "NOUN",
        _ if tag.starts_with("ADV") || tag.starts_with("RB") => "ADV",
        _ if tag.starts_with("ADJ") || tag.starts_with("JJ") => "ADJ",
        _ => tag,
    }
}

/// Plural, possessive or third person.
pub(super) fn with_s(stem: &str) -> String {
    match stem.chars().last() {
        Some('p' | 't' | 'k' | 'f' | 'θ') => format!("{stem}s"),
        Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => format!("{stem}ᵻz"),
        _ => format!("{stem}z"),
    }
}

/// Past tense.
pub(super) fn with_ed(stem: &str) -> String {
    match stem.chars().last() {
        Some('p' | 'k' | 'f' | 'θ' | 'ʃ' | 's' | 'ʧ') => format!("{stem}t"),
        Some('d') => format!("{stem}ᵻd"),
        Some('t') => match flapped(stem) {
            Some(cut) => format!("{cut}ɾᵻd"),
            None if stem == "t" => format!("{stem}ɪd"),
            None => format!("{stem}ᵻd"),
        },
        _ => format!("{stem}d"),
    }
}

/// Present participle.
pub(super) fn with_ing(stem: &str) -> String {
    flapped(stem).map_or_else(|| format!("{stem}ɪŋ"), |cut| format!("{cut}ɾɪŋ"))
}

/// The stem without its final t, where that becomes a flap before a vowel.
fn flapped(stem: &str) -> Option<&str> {
    let cut = stem.strip_suffix('t')?;
    cut.chars().last().filter(|before| FLAPPING.contains(*before)).map(|_| cut)
}
