//! How much `model.json` may say: what it lists is held in memory, looked
//! through, and repeated in answers and messages.

use std::ops::RangeInclusive;

use crate::folder::{FolderError, Manifest};

const MAX_LANGUAGES: usize = 200;
const MAX_VOICES: usize = 1_000;
const MAX_FILES: usize = 10_000;
/// Samples a second, which those who resample them make filters for.
const RATES: RangeInclusive<u32> = 8_000..=192_000;
/// The longest name, in bytes.
const MAX_NAME: usize = 256;
/// The longest path, in bytes; and the longest licence, which may be an
/// expression of several.
const MAX_PATH: usize = 1_024;

/// Refuses what no model needs.
pub(crate) fn check(manifest: &Manifest) -> Result<(), FolderError> {
    let Manifest { family, name, version, sample_rate, languages, voices, licence, files } = manifest;
    for (what, found, most) in [
        ("languages", languages.len(), MAX_LANGUAGES),
        ("voices", voices.len(), MAX_VOICES),
        ("files", files.len(), MAX_FILES),
    ] {
        if found > most {
            return Err(FolderError::Unbounded(format!("lists {found} {what}; at most {most} are read")));
        }
    }
    if !RATES.contains(sample_rate) {
        let (least, most) = RATES.into_inner();
        let message = format!("names {sample_rate} samples a second; {least} to {most} can be sent");
        return Err(FolderError::Unbounded(message));
    }
    all_fit("family", [family], MAX_NAME)?;
    all_fit("name", [name], MAX_NAME)?;
    all_fit("version", [version], MAX_NAME)?;
    all_fit("licence", [licence], MAX_PATH)?;
    all_fit("language", languages, MAX_NAME)?;
    all_fit("voice", voices, MAX_NAME)?;
    all_fit("path", files.iter().map(|entry| &entry.path), MAX_PATH)?;
    all_fit("sha256", files.iter().map(|entry| &entry.sha256), MAX_NAME)
}

fn all_fit<'a>(
    what: &str,
    words: impl IntoIterator<Item = &'a String>,
    most: usize,
) -> Result<(), FolderError> {
    let too_long = words.into_iter().map(String::len).find(|length| *length > most);
    too_long.map_or(Ok(()), |length| {
        Err(FolderError::Unbounded(format!("has a {what} of {length} bytes; at most {most} are read")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file(path: String) -> Value {
        json!({"path": path, "size": 1, "sha256": "00"})
    }

    /// What comes of a manifest with one thing changed.
    fn parsed(field: &str, value: Value) -> Result<Manifest, FolderError> {
        let mut manifest = json!({
            "family": "f", "name": "n", "version": "1", "sampleRate": 24_000, "languages": [], "voices": [],
            "licence": "", "files": []
        });
        manifest[field] = value;
        Manifest::parse(manifest.to_string().as_bytes())
    }

    #[test]
    fn no_more_is_listed_than_any_model_has() {
        for (field, most) in [("languages", MAX_LANGUAGES), ("voices", MAX_VOICES), ("files", MAX_FILES)] {
            let item = |number: usize| match field {
                "files" => file(number.to_string()),
                _ => json!("a"),
            };
            let list = |count: usize| Value::Array((0..count).map(item).collect());
            assert!(parsed(field, list(most)).is_ok(), "{field}");
            let refusal = parsed(field, list(most + 1)).unwrap_err().to_string();
            assert_eq!(
                refusal,
                format!("model.json lists {} {field}; at most {most} are read", most + 1),
                "{field}"
            );
        }
    }

    #[test]
    fn a_rate_is_one_of_sound() {
        for (rate, fits) in [(0, false), (7_999, false), (8_000, true), (192_000, true), (u32::MAX, false)] {
            assert_eq!(parsed("sampleRate", json!(rate)).is_ok(), fits, "{rate}");
        }
    }

    #[test]
    fn no_word_is_longer_than_it_has_to_be() {
        let word = |length: usize| "ä".repeat(length / 2);
        for (field, what, most) in [
            ("family", "family", MAX_NAME),
            ("name", "name", MAX_NAME),
            ("version", "version", MAX_NAME),
            ("licence", "licence", MAX_PATH),
            ("languages", "language", MAX_NAME),
            ("voices", "voice", MAX_NAME),
            ("files", "path", MAX_PATH),
        ] {
            let value = |length: usize| match field {
                "languages" | "voices" => json!([word(length)]),
                "files" => json!([file(word(length))]),
                _ => json!(word(length)),
            };
            assert!(parsed(field, value(most)).is_ok(), "{field}");
            let refusal = parsed(field, value(most + 2)).unwrap_err().to_string();
            assert!(refusal.contains(&format!("has a {what} of {} bytes", most + 2)), "{field}: {refusal}");
        }
    }
}
