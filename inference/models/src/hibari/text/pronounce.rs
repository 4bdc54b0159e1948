//! Tokens to phonemes: sub-words, context from right to left, fallbacks, and
//! the balance of stress inside a compound.

use fancy_regex::Regex;

use super::{
    lexicon::{Context, Lexicon, with_s},
    markup::stand_in,
    numerals,
    oov::Guesser,
    stress::{PRIMARY, Stress, is_consonant, is_vowel, restress, weight},
    tagger::Tagger,
    tokenizer::Tokenizer,
    tokens::{Token, join_phonemes, merge},
};
use crate::{FolderError, ModelFolder, SpeechError};

/// Parts of a token: "iPhone7" is "i", "Phone" and "7".
const PIECE: &str = concat!(
    r"^['‘’]+|[A-ZÀ-ÖØ-Þ](?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|(?:^-)?(?:\d?[,.]?\d)+|[-_]+|['‘’]{2,}",
    r"|[^\W\d_]*?(?:['‘’][^\W\d_])*?[a-zß-öø-ÿ](?=[A-ZÀ-ÖØ-Þ])|[^\W\d_]+(?:['‘’][^\W\d_])*",
    r"|[^\w\-'‘’]|['‘’]+$",
);
/// Letters, a number or signs in a word that the lexicon cannot read.
const FALLBACK_PIECE: &str = r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[,.]\d+)*|[^\w\s]+";
/// No entry of the lexicon has more pieces; bounds the time for endless words.
const MAX_TOGETHER: usize = 24;
const SILENT: &str = "',-._‘’/";
const PAUSES: &str = ";:,.!?—…";
const PUNCTUATION: &str = ";:,.!?—…\"“”";
const PUNCTUATION_TAGS: [&str; 11] = [".", ",", "-LRB-", "-RRB-", "``", "\"\"", "''", ":", "$", "#", "NFP"];

/// Everything that turns one normalised sentence into phonemes.
pub(super) struct Pronouncer {
    tokenizer: Tokenizer,
    tagger: Tagger,
    lexicon: Lexicon,
    guesser: Guesser,
    piece: Regex,
    fallback_piece: Regex,
}

/// A written word: one piece, or several that are read together.
struct Word {
    pieces: Vec<Token>,
    /// Whether the next piece may still belong to it.
    open: bool,
}

impl Pronouncer {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let compile = |pattern| Regex::new(pattern).map_err(|error| FolderError::Weights(error.to_string()));
        Ok(Self {
            tokenizer: Tokenizer::load(folder)?,
            tagger: Tagger::load(folder)?,
            lexicon: Lexicon::load(folder)?,
            guesser: Guesser::load(folder)?,
            piece: compile(PIECE)?,
            fallback_piece: compile(FALLBACK_PIECE)?,
        })
    }

    /// Phonemes of one line of normalised text; `given` are those that its
    /// stand-ins stand for.
    pub(super) fn phonemes(&self, text: &str, given: &[String]) -> Result<String, SpeechError> {
        let mut words = self.words(self.tokens(text), given);
        let mut context = Context::default();
        for word in words.iter_mut().rev() {
            match word.pieces.as_mut_slice() {
                [only] => context = self.single(only, context)?,
                pieces => context = self.compound(pieces, context)?,
            }
        }
        let mut line = String::new();
        for word in &words {
            line.push_str(&join_phonemes(&word.pieces));
            if word.pieces.last().is_some_and(|piece| piece.spaced) {
                line.push(' ');
            }
        }
        Ok(line.replace('ɾ', "T").replace('ʔ', "t"))
    }

    fn tokens(&self, text: &str) -> Vec<Token> {
        let found = self.tokenizer.tokens(text);
        let words: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
        let tags = self.tagger.tags(&words);
        let tagged = found.into_iter().zip(tags);
        tagged
            .map(|((text, spaced), tag)| Token { text, tag, spaced, is_head: true, ..Token::default() })
            .collect()
    }

    /// Splits tokens into pieces and gathers pieces without space between them.
    fn words(&self, tokens: Vec<Token>, given: &[String]) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        for token in tokens {
            let mut pieces = match s_of_given(&words, &token) {
                Some(sound) => vec![Token { phonemes: Some(sound), ..token }],
                None => self.pieces(&token),
            };
            decide(&mut pieces);
            give(&mut pieces, given);
            pieces.into_iter().for_each(|piece| append(&mut words, piece));
        }
        words
    }

    fn pieces(&self, token: &Token) -> Vec<Token> {
        let found = self.piece.find_iter(&token.text).map_while(Result::ok);
        let piece = |text: &str| Token { text: text.to_owned(), spaced: false, ..token.clone() };
        let mut pieces: Vec<Token> = found.map(|found| piece(found.as_str())).collect();
        if let Some(last) = pieces.last_mut() {
            last.spaced = token.spaced;
        }
        pieces
    }

    fn single(&self, token: &mut Token, context: Context) -> Result<Context, SpeechError> {
        if token.phonemes.is_none() {
            token.phonemes = self.lexicon.pronounce(token, context);
        }
        let phonemes = match token.phonemes.take() {
            Some(phonemes) => phonemes,
            None => self.fallback(&token.text)?,
        };
        let context = context_before(context, &phonemes, token);
        token.phonemes = Some(phonemes);
        Ok(context)
    }

    /// Reads the longest stretches the lexicon knows, from the right.
    fn compound(&self, pieces: &mut [Token], mut context: Context) -> Result<Context, SpeechError> {
        let (mut left, mut right) = (0, pieces.len());
        while left < right {
            left = left.max(right.saturating_sub(MAX_TOGETHER));
            let stretch = &pieces[left..right];
            let whole = stretch.iter().all(Token::is_open).then(|| merge(stretch));
            let known = whole.and_then(|whole| Some((self.lexicon.pronounce(&whole, context)?, whole)));
            if let Some((phonemes, whole)) = known {
                context = context_before(context, &phonemes, &whole);
                say_together(&mut pieces[left..right], phonemes);
                (left, right) = (0, left);
            } else if left + 1 < right {
                left += 1;
            } else {
                right -= 1;
                let piece = &mut pieces[right];
                if piece.phonemes.is_none() {
                    if !piece.text.chars().all(|c| SILENT.contains(c)) {
                        let phonemes = self.fallback(&merge(pieces).text)?;
                        say_together(pieces, phonemes);
                        return Ok(context);
                    }
                    piece.phonemes = Some(String::new());
                }
                left = 0;
            }
        }
        balance(pieces);
        Ok(context)
    }

    /// Reads a word the lexicon does not know: letters are guessed or spelled,
    /// digits are a number, signs have names.
    fn fallback(&self, word: &str) -> Result<String, SpeechError> {
        let mut said = Vec::new();
        for piece in self.fallback_piece.find_iter(word).map_while(Result::ok) {
            let piece = piece.as_str();
            let phonemes = if piece.starts_with(|c: char| c.is_ascii_digit()) {
                numerals::pronounce(&self.lexicon, piece, false).unwrap_or_default()
            } else if piece.starts_with(char::is_alphabetic) {
                self.guess(piece)?
            } else {
                piece.chars().map(sign_name).collect()
            };
            said.extend((!phonemes.is_empty()).then_some(phonemes));
        }
        Ok(said.join(" "))
    }

    fn guess(&self, letters: &str) -> Result<String, SpeechError> {
        let guessed =
            self.guesser.guess(letters).map_err(|error| SpeechError::Inference(error.to_string()))?;
        if guessed.chars().any(|phoneme| is_vowel(phoneme) || is_consonant(phoneme)) {
            return Ok(guessed);
        }
        let plain = super::characters::without_accents(letters);
        Ok(self.lexicon.spelled(&plain).unwrap_or_default())
    }
}

/// Settles punctuation and "2" between letters.
fn decide(pieces: &mut [Token]) {
    let ends: Vec<_> =
        pieces.iter().map(|piece| (piece.text.chars().next(), piece.text.chars().last())).collect();
    let count = pieces.len();
    for (index, piece) in pieces.iter_mut().enumerate() {
        let tag = piece.tag.as_str();
        let dash = matches!(piece.text.as_str(), "-" | "–");
        if tag == ":" && dash {
            piece.phonemes = Some("—".to_owned());
        } else if is_punctuation(tag, &piece.text) {
            piece.phonemes = Some(punctuation(tag, &piece.text));
        } else if piece.text == "2" && index > 0 && index + 1 < count {
            let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
            if letter(ends[index - 1].1) && letter(ends[index + 1].0) {
                piece.alias = Some("to");
            }
        }
    }
}

/// Settles what stands for given phonemes.
fn give(pieces: &mut [Token], given: &[String]) {
    for piece in pieces {
        if let Some(phonemes) =
            piece.text.chars().next().and_then(stand_in).and_then(|index| given.get(index))
        {
            piece.phonemes = Some(phonemes.clone());
        }
    }
}

/// What "'s" sounds like behind given phonemes: no dictionary has the two together.
fn s_of_given(words: &[Word], token: &Token) -> Option<String> {
    let before = words.last()?.pieces.last().filter(|before| !before.spaced)?;
    let given = before.phonemes.as_ref().filter(|_| before.text.chars().any(|c| stand_in(c).is_some()))?;
    let is_s = matches!(token.text.as_str(), "'s" | "'S" | "’s" | "’S");
    is_s.then(|| with_s(given).split_off(given.len()))
}

/// Punctuation by its tag. The tagger takes some numbers ("-18", ".5") for
/// punctuation too; those are not to be lost.
fn is_punctuation(tag: &str, text: &str) -> bool {
    let spoken = |c: char| c.is_numeric() || (c.is_alphabetic() && tag != "$");
    PUNCTUATION_TAGS.contains(&tag) && !text.contains(spoken)
}

fn punctuation(tag: &str, text: &str) -> String {
    match tag {
        "-LRB-" => "(".to_owned(),
        "-RRB-" => ")".to_owned(),
        "``" => "“".to_owned(),
        "\"\"" | "''" => "”".to_owned(),
        _ => text.chars().filter(|c| PUNCTUATION.contains(*c)).collect(),
    }
}

fn append(words: &mut Vec<Word>, mut piece: Token) {
    if !piece.is_open() {
        words.push(Word { pieces: vec![piece], open: false });
        return;
    }
    let spaced = piece.spaced;
    match words.last_mut().filter(|word| word.open) {
        Some(word) => {
            piece.is_head = false;
            word.pieces.push(piece);
            word.open = !spaced;
        }
        None => words.push(Word { pieces: vec![piece], open: !spaced }),
    }
}

/// Gives the first piece the sound of all.
fn say_together(pieces: &mut [Token], phonemes: String) {
    let mut phonemes = Some(phonemes);
    for piece in pieces {
        piece.phonemes = Some(phonemes.take().unwrap_or_default());
    }
}

/// What the word before this one needs to know of it.
fn context_before(context: Context, phonemes: &str, token: &Token) -> Context {
    let telling = phonemes.chars().find(|c| is_vowel(*c) || is_consonant(*c) || PAUSES.contains(*c));
    let vowel_next = match telling {
        Some(pause) if PAUSES.contains(pause) => None,
        Some(sound) => Some(is_vowel(sound)),
        None => context.vowel_next,
    };
    let to_next = match token.text.as_str() {
        "to" | "To" => true,
        "TO" => matches!(token.tag.as_str(), "TO" | "IN"),
        _ => false,
    };
    Context { vowel_next, to_next }
}

/// Puts gaps between unlike pieces; like pieces share one main stress.
fn balance(pieces: &mut [Token]) {
    let apart = are_apart(&merge(pieces).text);
    let count = pieces.len();
    for (index, piece) in pieces.iter_mut().enumerate() {
        if piece.phonemes.is_some() {
            piece.gap_before = if index > 0 { apart } else { piece.gap_before };
        } else {
            let pause = index + 1 == count && piece.text.chars().all(|c| PAUSES.contains(c));
            piece.phonemes = Some(if pause { piece.text.clone() } else { String::new() });
        }
    }
    if apart {
        return;
    }
    let voiced = pieces.iter().enumerate().filter_map(|(index, piece)| {
        let phonemes = piece.phonemes.as_deref().filter(|phonemes| !phonemes.is_empty())?;
        Some((phonemes.contains(PRIMARY), weight(phonemes), index))
    });
    let mut voiced: Vec<_> = voiced.collect();
    let weaken = |piece: &mut Token| {
        piece.phonemes = piece.phonemes.as_deref().map(|phonemes| restress(phonemes, Stress::Weaker));
    };
    if let [first, second] = voiced[..]
        && pieces[first.2].text.chars().count() == 1
    {
        weaken(&mut pieces[second.2]);
        return;
    }
    let stressed = voiced.iter().filter(|(primary, ..)| *primary).count();
    if voiced.len() < 2 || stressed <= voiced.len().div_ceil(2) {
        return;
    }
    voiced.sort_unstable();
    for (_, _, index) in &voiced[..voiced.len() / 2] {
        weaken(&mut pieces[*index]);
    }
}

/// Whether a compound mixes letters, digits and signs, or has a slash.
fn are_apart(text: &str) -> bool {
    let kind = |c: char| match c {
        _ if c.is_alphabetic() => 0,
        _ if c.is_ascii_digit() => 1,
        _ => 2,
    };
    let mut kinds = text.chars().filter(|c| !SILENT.contains(*c)).map(kind);
    let first = kinds.next();
    text.contains([' ', '/']) || kinds.any(|kind| Some(kind) != first)
}

/// How a sign inside an unknown word is read.
fn sign_name(sign: char) -> &'static str {
    match sign {
        '/' => "slˈæʃ",
        '=' => "ˈikwᵊlz",
        '+' => "plˈʌs",
        '&' => "ænd",
        '@' => "æt",
        '%' => "pəɹsˈɛnt",
        '#' => "hˈæʃ",
        '*' => "ˈæstəɹˌɪsk",
        '~' => "tˈɪldə",
        '^' => "kˈɛɹət",
        '<' => "lˈɛs ðən",
        '>' => "ɡɹˈATəɹ ðən",
        '—' => "—",
        _ => "",
    }
}
