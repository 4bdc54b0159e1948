//! The frontend against the Python package it stands in for, over a corpus
//! that `phonemes/generate.py` makes.
//!
//! The rate was 0.15 % when measured. What is left is deliberate, and tested by
//! name in `text_readings.rs` and `readings.rs`:
//!
//! - abbreviations before a number do not end a sentence ("Apt. 5");
//! - a version's zero is said ("Version 2.0"), and house numbers are read in two
//!   parts ("450 Water Street");
//! - "x < y" is "x is less than y";
//! - numbers that the tagger takes for punctuation are read ("-18");
//! - brackets after the end of a sentence are kept, double spaces are not.
//!
//! Other deliberate differences are outside this corpus.

use std::{collections::BTreeSet, io::Read};

use flate2::read::GzDecoder;
use ttsfleet_models::{ModelFolder, hibari::text::Frontend};

const REFERENCE: &[u8] = include_bytes!("phonemes/reference.tsv.gz");
/// What the package makes of "King Charles III": "King the zeroth Charles". Such
/// lines are wrong, and left out.
const ZEROTH: &str = "ɪɹOθ";
/// Errors for each phoneme, stress marks and spaces included.
const MAX_ERROR_RATE: f64 = 0.002;

#[test]
fn phonemes_agree_with_the_python_package() {
    let folder = ModelFolder::embedded(ttsfleet_voice::FILES).unwrap();
    let frontend = Frontend::load(&folder).unwrap();
    let mut reference = String::new();
    GzDecoder::new(REFERENCE).read_to_string(&mut reference).unwrap();

    let (mut errors, mut phonemes, mut different) = (0, 0, BTreeSet::new());
    for line in reference.lines().filter(|line| !line.contains(ZEROTH)) {
        let (text, expected) = line.split_once('\t').unwrap();
        let reading = frontend.read(text, &[]).unwrap();
        let sentences: Vec<_> = reading.sentences().map(|sentence| sentence.phonemes.as_str()).collect();
        let actual = sentences.join(" ");
        let distance = edit_distance(&actual, expected);
        errors += distance;
        phonemes += expected.chars().count();
        if distance > 0 {
            different.insert(format!("{distance:3} {text}\n    we   {actual}\n    they {expected}"));
        }
    }
    let sentences = reference.lines().filter(|line| !line.contains(ZEROTH)).count();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let rate = errors as f64 / phonemes as f64;
    for line in &different {
        eprintln!("{line}");
    }
    eprintln!(
        "phoneme error rate {:.4} %: {errors} of {phonemes}, in {} of {sentences} sentences",
        100.0 * rate,
        different.len()
    );
    assert!(sentences >= 2000);
    assert!(rate <= MAX_ERROR_RATE, "phoneme error rate {rate}");
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

#[test]
fn the_measure_counts_insertions_deletions_and_replacements() {
    assert_eq!(edit_distance("kitten", "sitting"), 3);
    assert_eq!(edit_distance("", "abc"), 3);
    assert_eq!(edit_distance("same", "same"), 0);
}
