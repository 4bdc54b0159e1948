//! Reading the tables of a model folder, and packing large ones.

use std::{collections::BTreeMap, io::Read};

use serde::de::DeserializeOwned;

use crate::{FolderError, ModelFolder};

/// No table is larger unpacked; guards against a decompression bomb.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// Says which file is unusable and why.
pub(super) fn unusable(file: &str, why: impl std::fmt::Display) -> FolderError {
    FolderError::Weights(format!("{file}: {why}"))
}

/// Parses a JSON table, unpacking it first when its name ends in `.gz`.
pub(super) fn read_json<T: DeserializeOwned>(folder: &ModelFolder, file: &str) -> Result<T, FolderError> {
    let bytes = folder.bytes(file)?;
    let parsed = if file.ends_with(".gz") {
        let mut unpacked = Vec::new();
        let mut limited = flate2::read::GzDecoder::new(bytes).take(MAX_TABLE_BYTES + 1);
        limited.read_to_end(&mut unpacked).map_err(|error| unusable(file, error))?;
        if unpacked.len() as u64 > MAX_TABLE_BYTES {
            return Err(unusable(file, "larger than any known table"));
        }
        serde_json::from_slice(&unpacked)
    } else {
        serde_json::from_slice(bytes)
    };
    parsed.map_err(|error| unusable(file, error))
}

/// A read-only map with string keys in one allocation: the tables have some
/// 300,000 keys, whose separate allocations would take several times the room.
#[derive(Debug)]
pub(super) struct PackedMap<V> {
    text: String,
    /// End of each key in `text`, in key order.
    ends: Vec<u32>,
    values: Vec<V>,
}

impl<V> PackedMap<V> {
    /// Packs a map; its keys together are below 4 GiB since tables are bounded.
    pub(super) fn new(map: BTreeMap<String, V>) -> Self {
        let mut packed = Self {
            text: String::with_capacity(map.keys().map(String::len).sum()),
            ends: Vec::with_capacity(map.len()),
            values: Vec::with_capacity(map.len()),
        };
        for (key, value) in map {
            packed.text.push_str(&key);
            packed.ends.push(u32::try_from(packed.text.len()).unwrap_or(u32::MAX));
            packed.values.push(value);
        }
        packed
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Equal => return self.values.get(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn key(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_map_finds_every_key_and_no_other() {
        let words = ["", "a", "ab", "abc", "b", "é", "日"];
        let map = PackedMap::new(words.iter().map(|word| ((*word).to_owned(), word.len())).collect());
        for word in words {
            assert_eq!(map.get(word), Some(&word.len()));
        }
        for absent in ["aa", "abcd", "c", "ê"] {
            assert_eq!(map.get(absent), None);
        }
    }

    #[test]
    fn an_empty_map_has_nothing() {
        assert_eq!(PackedMap::<u8>::new(BTreeMap::new()).get("a"), None);
    }
}
