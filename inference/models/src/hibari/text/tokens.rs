//! A token on its way to phonemes.

/// A word, a piece of one, or punctuation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    /// Penn Treebank part-of-speech tag.
    pub(super) tag: String,
    /// Whether the text had space after it.
    pub(super) spaced: bool,
    /// What it sounds like; `None` until known.
    pub(super) phonemes: Option<String>,
    /// What to read instead of the text.
    pub(super) alias: Option<&'static str>,
    /// Whether it begins a written word.
    pub(super) is_head: bool,
    /// Whether a gap is spoken before it although none is written.
    pub(super) gap_before: bool,
}

impl Token {
    /// Whether nothing has been decided about how to say it.
    pub(super) fn is_open(&self) -> bool {
        self.alias.is_none() && self.phonemes.is_none()
    }
}

/// Joins the pieces of one written word, phonemes aside.
pub(super) fn merge(pieces: &[Token]) -> Token {
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        text.push_str(&piece.text);
        if piece.spaced && index + 1 < pieces.len() {
            text.push(' ');
        }
    }
    let first = pieces.first();
    Token {
        text,
        tag: heaviest(pieces).map(|piece| piece.tag.clone()).unwrap_or_default(),
        spaced: pieces.last().is_some_and(|piece| piece.spaced),
        is_head: first.is_some_and(|piece| piece.is_head),
        gap_before: first.is_some_and(|piece| piece.gap_before),
        ..Token::default()
    }
}

/// The first of the longest pieces, capitals counting twice: its tag is the
/// whole word's.
fn heaviest(pieces: &[Token]) -> Option<&Token> {
    let weight = |piece: &Token| -> usize {
        piece.text.chars().map(|c| if c.to_lowercase().eq([c]) { 1 } else { 2 }).sum()
    };
    pieces.iter().rev().max_by_key(|piece| weight(piece))
}

/// The phonemes of all pieces, with gaps where they ask for one.
pub(super) fn join_phonemes(pieces: &[Token]) -> String {
    let mut joined = String::new();
    for piece in pieces {
        let phonemes = piece.phonemes.as_deref().unwrap_or_default();
        if piece.gap_before && !joined.is_empty() && !joined.ends_with(' ') && !phonemes.is_empty() {
            joined.push(' ');
        }
        joined.push_str(phonemes);
    }
    joined
}
