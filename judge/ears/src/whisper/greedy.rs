//! From logits to words: the likeliest token each time, until the end.

use tokenizers::Tokenizer;

use super::{
    config::{Config, Suppressed},
    network::{Heard, Network, Said},
};
use crate::HearError;

/// No speech has more tokens a second; what goes on longer repeats itself.
const TOKENS_A_SECOND: f64 = 12.0;
const MOST_TOKENS: usize = 224;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

/// The tokens, and those among them that mean something else than text.
pub(super) struct Vocabulary {
    pub(super) tokenizer: Tokenizer,
    pub(super) start: u32,
    english: u32,
    chinese: u32,
    transcribe: u32,
    no_timestamps: u32,
    /// Comes after all tokens of text, and before all others.
    pub(super) end: u32,
    never: Vec<usize>,
    never_first: Vec<usize>,
}

impl Vocabulary {
    pub(super) fn read(
        tokenizer: &[u8],
        config: &Config,
        generation: Option<&[u8]>,
    ) -> Result<Self, HearError> {
        let unusable = |what: String| HearError::Weights(what);
        let tokenizer =
            Tokenizer::from_bytes(tokenizer).map_err(|error| unusable(format!("tokenizer.json: {error}")))?;
        let token = |name: &str| match tokenizer.token_to_id(name) {
            Some(token) if (token as usize) < config.vocab_size => Ok(token),
            Some(token) => {
                Err(unusable(format!("tokenizer.json: {name} is {token}, of {}", config.vocab_size)))
            }
            None => Err(unusable(format!("tokenizer.json has no {name}"))),
        };
        let newer: Suppressed = match generation {
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|error| unusable(format!("generation_config.json: {error}")))?,
            None => Suppressed::default(),
        };
        let older = &config.suppressed;
        let among = |tokens: Option<&Vec<i64>>| -> Vec<usize> {
            let tokens = tokens.into_iter().flatten().filter_map(|token| usize::try_from(*token).ok());
            tokens.filter(|token| *token < config.vocab_size).collect()
        };
        let end = token("<|endoftext|>")?;
        Ok(Self {
            start: token("<|startoftranscript|>")?,
            english: token("<|en|>")?,
            chinese: token("<|zh|>")?,
            transcribe: token("<|transcribe|>")?,
            no_timestamps: token("<|notimestamps|>")?,
            end,
            never: among(newer.suppress_tokens.as_ref().or(older.suppress_tokens.as_ref())),
            never_first: among(newer.begin_suppress_tokens.as_ref().or(older.begin_suppress_tokens.as_ref())),
            tokenizer,
        })
    }

    /// The text of tokens.
    pub(super) fn text(&self, tokens: &[u32]) -> Result<String, HearError> {
        self.tokenizer.decode(tokens, true).map_err(|error| HearError::Inference(error.to_string()))
    }

    pub(super) fn prompt(&self, language: Language) -> [u32; 4] {
        let language = match language {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        };
        [self.start, language, self.transcribe, self.no_timestamps]
    }

    /// Whether a token may come next: text, or the end.
    pub(super) fn may_follow(&self, token: usize, first: bool) -> bool {
        token <= self.end as usize
            && !self.never.contains(&token)
            && !(first && self.never_first.contains(&token))
    }
}

/// How many tokens a piece of that many seconds may have at most.
pub(super) fn most_tokens(seconds: f64) -> usize {
    ((seconds * TOKENS_A_SECOND).ceil() as usize + 8).min(MOST_TOKENS)
}

/// Which of the two languages is heard.
pub(super) fn language(
    network: &Network,
    vocabulary: &Vocabulary,
    heard: &Heard,
) -> Result<Language, HearError> {
    let logits = network.next(heard, &mut Said::default(), &[vocabulary.start])?;
    let of = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let chinese = of(vocabulary.chinese) > of(vocabulary.english);
    Ok(if chinese { Language::Chinese } else { Language::English })
}

/// The tokens of what is heard, without the end.
pub(super) fn tokens(
    network: &Network,
    vocabulary: &Vocabulary,
    heard: &Heard,
    language: Language,
    most: usize,
) -> Result<Vec<u32>, HearError> {
    let mut said = Said::default();
    let mut tokens: Vec<u32> = Vec::new();
    let prompt = vocabulary.prompt(language);
    let most = most.min(network.most_tokens().saturating_sub(prompt.len()));
    let mut logits = network.next(heard, &mut said, &prompt)?;
    while tokens.len() < most {
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(HearError::Inference("the recogniser's network gives no numbers".to_owned()));
        }
        let allowed =
            logits.iter().enumerate().filter(|(token, _)| vocabulary.may_follow(*token, tokens.is_empty()));
        let best = allowed.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(token, _)| token as u32);
        let Some(token) = best.filter(|token| *token != vocabulary.end) else { break };
        tokens.push(token);
        logits = network.next(heard, &mut said, &[token])?;
    }
    Ok(tokens)
}
