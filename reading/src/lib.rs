//! How texts are read: what stands for words in them, in words.
//!
//! The voice reads by this, and the judge compares by it what was meant with
//! what was heard, so that both mean the same by "$5.5".
//!
//! [`Normalizer`] writes out in an English text what is not words (money,
//! measures, dates, times, signs, codes); plain numbers stay digits.
//! [`english`] and [`chinese`] read those. [`Glossary`] finds the words that somebody
//! says how to read. Where a reading is not certain, what
//! is written is said rather than a number that may be wrong.

pub mod addresses;
pub mod chinese;
mod clock;
mod codes;
mod dates;
pub mod english;
mod found;
mod fractions;
mod glossary;
mod maths;
mod measures;
mod money;
mod patterns;
mod roman;
mod rules;
mod separators;
mod shorthand;
mod signs;
mod streets;
mod words;
mod written;

pub use glossary::{Found, Glossary, composed};
pub use rules::{Normalizer, RulesError};
pub use signs::plain_signs;
pub use words::Words;
pub use written::Written;
