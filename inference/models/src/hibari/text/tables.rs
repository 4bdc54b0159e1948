//! Reading the tables of a model folder, and packing large ones.

use std::{borrow::Cow, fmt, io::Read, marker::PhantomData};

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::{FolderError, ModelFolder};

/// No table is larger unpacked; guards against a decompression bomb.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// Says which file is unusable and why.
pub(super) fn unusable(file: &str, why: impl std::fmt::Display) -> FolderError {
    FolderError::Weights(format!("{file}: {why}"))
}

/// The content of a table, unpacked when its name ends in `.gz`.
pub(super) fn read<'f>(folder: &'f ModelFolder, file: &str) -> Result<Cow<'f, [u8]>, FolderError> {
    let bytes = folder.bytes(file)?;
    if !file.ends_with(".gz") {
        return Ok(bytes.into());
    }
    let mut unpacked = Vec::new();
    let mut limited = flate2::read::GzDecoder::new(bytes).take(MAX_TABLE_BYTES + 1);
    limited.read_to_end(&mut unpacked).map_err(|error| unusable(file, error))?;
    if unpacked.len() as u64 > MAX_TABLE_BYTES {
        return Err(unusable(file, "larger than any known table"));
    }
    Ok(unpacked.into())
}

/// Parses a JSON table.
pub(super) fn read_json<T: DeserializeOwned>(folder: &ModelFolder, file: &str) -> Result<T, FolderError> {
    serde_json::from_slice(&read(folder, file)?).map_err(|error| unusable(file, error))
}

/// Walks through a JSON object without building a map first: the tables have
/// some 300,000 keys, and freeing them again would not give the memory back.
pub(super) fn for_each_entry<'de, D, V, F>(json: D, each: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
    F: FnMut(&str, V),
{
    json.deserialize_map(Entries { each, value: PhantomData })
}

struct Entries<F, V> {
    each: F,
    value: PhantomData<V>,
}

impl<'de, F: FnMut(&str, V), V: Deserialize<'de>> Visitor<'de> for Entries<F, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = map.next_entry()? {
            (self.each)(&key, value);
        }
        Ok(())
    }
}

/// A string, borrowed from the JSON where nothing in it is escaped.
#[derive(serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(super) struct Text<'j>(#[serde(borrow)] pub(super) Cow<'j, str>);

/// A position in an arena; tables are bounded far below 4 GiB.
pub(super) fn position(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A read-only map with string keys in one allocation.
#[derive(Debug)]
pub(super) struct PackedMap<V> {
    text: String,
    /// Where each key is in `text`, and its value, in key order.
    rows: Vec<(u32, u32, V)>,
}

impl<V> PackedMap<V> {
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        let found = self.rows.binary_search_by(|(start, end, _)| slice(&self.text, *start, *end).cmp(key));
        found.ok().and_then(|at| self.rows.get(at)).map(|(.., value)| value)
    }
}

fn slice(text: &str, start: u32, end: u32) -> &str {
    text.get(start as usize..end as usize).unwrap_or_default()
}

impl<K: AsRef<str>, V> FromIterator<(K, V)> for PackedMap<V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut packer = Packer::default();
        entries.into_iter().for_each(|(key, value)| packer.push(key.as_ref(), value));
        packer.finish()
    }
}

/// A [`PackedMap`] in the making.
pub(super) struct Packer<V>(PackedMap<V>);

impl<V> Default for Packer<V> {
    fn default() -> Self {
        Self(PackedMap { text: String::new(), rows: Vec::new() })
    }
}

impl<V> Packer<V> {
    pub(super) fn push(&mut self, key: &str, value: V) {
        let start = position(self.0.text.len());
        self.0.text.push_str(key);
        self.0.rows.push((start, position(self.0.text.len()), value));
    }

    /// Of equal keys the last one counts, as in JSON objects everywhere.
    pub(super) fn finish(mut self) -> PackedMap<V> {
        let PackedMap { text, rows } = &mut self.0;
        rows.sort_by(|a, b| slice(text, a.0, a.1).cmp(slice(text, b.0, b.1)));
        rows.dedup_by(|later, earlier| {
            let same = slice(text, later.0, later.1) == slice(text, earlier.0, earlier.1);
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        rows.shrink_to_fit();
        text.shrink_to_fit();
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_map_finds_every_key_and_no_other() {
        let words = ["b", "", "abc", "日", "a", "é", "ab"];
        let map: PackedMap<usize> = words.iter().map(|word| (word, word.len())).collect();
        for word in words {
            assert_eq!(map.get(word), Some(&word.len()));
        }
        for absent in ["aa", "abcd", "c", "ê"] {
            assert_eq!(map.get(absent), None);
        }
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let map: PackedMap<u8> = [("a", 1), ("b", 2), ("a", 3), ("a", 4)].into_iter().collect();
        assert_eq!((map.get("a"), map.get("b")), (Some(&4), Some(&2)));
    }

    #[test]
    fn entries_are_walked_in_order_escapes_resolved() {
        let mut seen = Vec::new();
        let json = r#"{"b": 1, "a\u00e9": 2}"#;
        let mut parser = serde_json::Deserializer::from_str(json);
        for_each_entry(&mut parser, |key, value: u8| seen.push((key.to_owned(), value))).unwrap();
        assert_eq!(seen, [("b".to_owned(), 1), ("aé".to_owned(), 2)]);
    }
}
