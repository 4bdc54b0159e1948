//! Parts of speech by an averaged perceptron: words with one usual tag come
//! from a dictionary, all others from weighted features of the neighbourhood.

use std::collections::BTreeMap;

use serde::{Deserialize, de::Error};
use serde_json::value::RawValue;

use super::tables::{PackedMap, Packer, Text, for_each_entry, position, read, unusable};
use crate::{FolderError, ModelFolder};

const FILE: &str = "tagger.json.gz";
const BEFORE: [&str; 2] = ["-START2-", "-START-"];
const AFTER: [&str; 2] = ["-END-", "-END2-"];

#[derive(Deserialize)]
struct Model<'j> {
    tags: Vec<String>,
    #[serde(borrow)]
    tagdict: &'j RawValue,
    vocab: Option<Vec<Text<'j>>>,
    #[serde(borrow)]
    weights: &'j RawValue,
}

/// Tags the tokens of a sentence.
#[derive(Debug)]
pub(super) struct Tagger {
    tags: Vec<String>,
    usual: PackedMap<u8>,
    /// Words frequent enough to be features; the others count by their shape.
    frequent: Option<PackedMap<()>>,
    /// Where each feature's weights begin and end in `weights`.
    features: PackedMap<(u32, u32)>,
    weights: Vec<(u8, f64)>,
}

impl Tagger {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let json = read(folder, FILE)?;
        Self::parse(&json).map_err(|error| unusable(FILE, error))
    }

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let Model { mut tags, tagdict, vocab, weights: by_feature } = serde_json::from_slice(json)?;
        // The last of several equally likely tags wins, by name.
        tags.sort_unstable();
        let mut unknown = false;
        let mut number = |tag: &str| {
            let found = tags.binary_search_by(|known| known.as_str().cmp(tag)).ok();
            let number = found.and_then(|at| u8::try_from(at).ok());
            unknown |= number.is_none();
            number.unwrap_or_default()
        };
        let mut usual = Packer::default();
        for_each_entry(tagdict, |word, Text(tag): Text<'_>| usual.push(word, number(&tag)))?;
        let (mut weights, mut features) = (Vec::new(), Packer::default());
        for_each_entry(by_feature, |feature, by_tag: BTreeMap<Text<'_>, f64>| {
            let start = position(weights.len());
            weights.extend(by_tag.into_iter().map(|(Text(tag), weight)| (number(&tag), weight)));
            features.push(feature, (start, position(weights.len())));
        })?;
        if unknown {
            return Err(Error::custom("names a tag that is not in its list"));
        }
        weights.shrink_to_fit();
        let frequent = vocab.map(|words| words.into_iter().map(|Text(word)| (word, ())).collect());
        Ok(Self { usual: usual.finish(), frequent, features: features.finish(), weights, tags })
    }

    /// One tag for each token.
    pub(super) fn tags(&self, words: &[&str]) -> Vec<String> {
        let window = self.window(words);
        let mut tags: Vec<&str> = Vec::with_capacity(words.len());
        for (index, word) in words.iter().enumerate() {
            let usual = self.usual.get(word).and_then(|tag| self.tags.get(usize::from(*tag)));
            let tag = usual.map_or_else(|| self.likeliest(index, word, &window, &tags), String::as_str);
            tags.push(tag);
        }
        tags.into_iter().map(str::to_owned).collect()
    }

    /// Normalised words with two marks before and after.
    fn window(&self, words: &[&str]) -> Vec<String> {
        let seen = words.iter().map(|word| {
            let normal = normalized(word);
            match &self.frequent {
                Some(frequent) if frequent.get(&normal).is_none() => format!("<{}>", shape(word)),
                _ => normal,
            }
        });
        let edge = |marks: [&str; 2]| marks.map(str::to_owned);
        edge(BEFORE).into_iter().chain(seen).chain(edge(AFTER)).collect()
    }

    fn likeliest(&self, index: usize, word: &str, window: &[String], tags: &[&str]) -> &str {
        let past = |back: usize| {
            let tagged = index.checked_sub(back).and_then(|at| tags.get(at)).copied();
            tagged.unwrap_or(BEFORE[(index + 2 - back).min(1)])
        };
        let mut scores = vec![0.0; self.tags.len()];
        let mut any = false;
        for feature in features(index, word, window, past(1), past(2)) {
            let Some((start, end)) = self.features.get(&feature) else { continue };
            for (tag, weight) in &self.weights[*start as usize..*end as usize] {
                scores[usize::from(*tag)] += weight;
                any = true;
            }
        }
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let best = best.filter(|_| any).and_then(|(tag, _)| self.tags.get(tag));
        best.map_or("NN", String::as_str)
    }
}

/// The features of one position; their names are those of the weight table.
fn features(index: usize, word: &str, window: &[String], last: &str, before: &str) -> [String; 15] {
    let around = |offset: usize| window.get(index + offset).map_or("", String::as_str);
    let initial: String = word.chars().take(1).collect();
    [
        "b".to_owned(),
        format!("s3={}", ending(word)),
        format!("p1={initial}"),
        format!("w={}", around(2)),
        format!("sh={}", shape(word)),
        if index == 0 { "i0" } else { "i+" }.to_owned(),
        format!("t-1={last}"),
        format!("t-2={before}"),
        format!("t-12={last},{before}"),
        format!("w-1={}", around(1)),
        format!("s3-1={}", ending(around(1))),
        format!("w-2={}", around(0)),
        format!("w+1={}", around(3)),
        format!("s3+1={}", ending(around(3))),
        format!("w+2={}", around(4)),
    ]
}

/// The last three letters.
fn ending(word: &str) -> &str {
    word.char_indices().rev().nth(2).map_or(word, |(at, _)| &word[at..])
}

fn normalized(word: &str) -> String {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    match word {
        _ if word.contains('-') && !word.starts_with('-') => "!HYPHEN".to_owned(),
        _ if digits && word.len() == 4 => "!YEAR".to_owned(),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => "!DIGITS".to_owned(),
        _ => word.to_lowercase(),
    }
}

fn shape(word: &str) -> String {
    let fixed = match word {
        _ if word.chars().all(char::is_alphabetic) => {
            let mut chars = word.chars();
            let capital = chars.next().is_some_and(char::is_uppercase);
            let rest_lower = !chars.as_str().is_empty() && chars.all(char::is_lowercase);
            match word {
                _ if word.chars().all(char::is_lowercase) => "x",
                _ if word.chars().all(char::is_uppercase) => {
                    if word.chars().nth(1).is_some() {
                        "XX"
                    } else {
                        "X1"
                    }
                }
                _ if capital && rest_lower => "Xx",
                _ => "xX",
            }
        }
        _ if word.bytes().all(|byte| byte.is_ascii_digit()) => "d",
        _ => {
            let class = |c: char| match c {
                _ if c.is_numeric() => 'd',
                _ if c.is_alphabetic() => 'x',
                _ => c,
            };
            return word.chars().take(4).map(class).collect();
        }
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_tell_capitals_digits_and_mixtures_apart() {
        let shapes = ["dog", "I", "NASA", "Paris", "iPhone", "42", "3-year", "n't", "!"].map(shape);
        assert_eq!(shapes, ["x", "X1", "XX", "Xx", "xX", "d", "d-xx", "x'x", "!"]);
    }

    #[test]
    fn endings_are_three_letters_at_most() {
        assert_eq!(["", "ab", "abc", "abcd", "caféé"].map(ending), ["", "ab", "abc", "bcd", "féé"]);
    }

    #[test]
    fn past_tags_at_the_start_are_the_marks() {
        let tagger = Tagger {
            tags: vec!["A".into(), "B".into()],
            usual: PackedMap::from_iter([("", 0); 0]),
            frequent: None,
            features: [("t-12=-START-,-START2-", (0, 1))].into_iter().collect(),
            weights: vec![(1, 1.0)],
        };
        assert_eq!(tagger.tags(&["x", "y"]), ["B", "NN"]);
    }
}
