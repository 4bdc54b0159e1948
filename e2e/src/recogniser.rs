//! A real speech recogniser (Debian's pocketsphinx, English), for tests that
//! check what was said.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, tool};
use crate::packages::{self, RECOGNISER};
use crate::progress::Progress;

/// The recogniser, installed.
#[derive(Debug)]
pub struct Recogniser(());

impl Recogniser {
    /// Installs it on first use.
    pub fn ensure(progress: &dyn Progress) -> Result<Self> {
        packages::ensure(&RECOGNISER, progress)?;
        Ok(Self(()))
    }

    /// What it hears in a WAV file, in small letters.
    pub fn transcribe(&self, wav: &Path) -> Result<String> {
        let resampled = wav.with_extension("16k.wav");
        let (from, to) = (wav.to_string_lossy(), resampled.to_string_lossy());
        tool(&["sox", &from, "-r", "16000", "-b", "16", "-c", "1", &to])?;
        let mut recognise = Command::new("pocketsphinx_continuous");
        recognise.args(["-logfn", "/dev/null", "-infile", &to]);
        let heard = run(&mut recognise);
        std::fs::remove_file(&resampled).context("cannot remove the resampled file")?;
        Ok(heard?.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Edits (insertions, deletions, substitutions) between the letters of what was
/// meant and what was heard, as a share of those meant. Case, punctuation and
/// spaces do not count: the recogniser writes none of the first two, and a
/// compound may be written either way.
pub fn character_error_rate(meant: &str, heard: &str) -> f64 {
    let letters = |text: &str| -> String {
        text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (meant, heard) = (letters(meant), letters(heard));
    strsim::levenshtein(&meant, &heard) as f64 / meant.chars().count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_count_and_punctuation_does_not() {
        assert_eq!(character_error_rate("Ice-cream, please!", "ice cream please"), 0.0);
        assert!((character_error_rate("abcd", "abxd") - 0.25).abs() < 1e-9);
        assert_eq!(character_error_rate("abc", ""), 1.0);
    }
}
