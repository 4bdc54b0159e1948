//! Text to phonemes: the English frontend of the hibari voice.
//!
//! A text passes through these steps, each a module:
//! [`markup`] finds words, pauses and rates in Markdown, HTML and SSML, and those
//! words that the caller says how to say,
//! [`characters`] leaves out what cannot be spoken,
//! [`split`] cuts sentences, [`ttsfleet_reading`] writes out what is not words
//! (times, dates, units, money, addresses), [`tokenizer`] and [`tagger`] find words and their
//! part of speech, and [`pronounce`] looks them up in the [`lexicon`], reads
//! [`numerals`] and asks the [`oov`] network about unknown words.

mod characters;
mod dictionary;
mod frontend;
mod lexicon;
mod markup;
mod numerals;
mod oov;
mod pronounce;
mod split;
mod stress;
mod tables;
mod tagger;
mod tokenizer;
mod tokens;

pub use frontend::{Frontend, Part, Reading, Sentence};
