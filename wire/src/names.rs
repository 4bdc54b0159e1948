//! Names that clients of OpenAI's speech API send, and what they mean here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// OpenAI's speech models, as its API reference and its pages on models name them.
pub const OPENAI_MODELS: [&str; 7] = [
    "tts-1",
    "tts-1-hd",
    "tts-1-1106",
    "tts-1-hd-1106",
    "gpt-4o-mini-tts",
    "gpt-4o-mini-tts-2025-03-20",
    "gpt-4o-mini-tts-2025-12-15",
];

/// OpenAI's voices, of which its reference lists thirteen.
pub const OPENAI_VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
];

/// Names beside those of the model that is served. A model's own names come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    /// Names for the model, whichever is served.
    pub models: BTreeSet<String>,
    /// Names of voices, and the voice meant; an empty one is the model's first.
    pub voices: BTreeMap<String, String>,
}

/// What the names of one request mean, where the model has none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// The model's name means whatever is served.
    pub served_model: bool,
    /// The voice that is meant; an empty one is the model's first.
    pub voice: Option<String>,
}

impl Aliases {
    /// OpenAI's names: the model that is served, and its first voice.
    pub fn openai() -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Self {
            models: owned(&OPENAI_MODELS).into_iter().collect(),
            voices: owned(&OPENAI_VOICES).into_iter().map(|name| (name, String::new())).collect(),
        }
    }

    /// What these names of a model and a voice mean.
    pub fn meant(&self, model: Option<&str>, voice: Option<&str>) -> Meant {
        Meant {
            served_model: model.is_some_and(|name| self.models.contains(name)),
            voice: voice.and_then(|name| self.voices.get(name)).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_names_mean_the_model_served_and_its_first_voice() {
        let meant = Aliases::openai().meant(Some("tts-1"), Some("alloy"));
        assert_eq!(meant, Meant { served_model: true, voice: Some(String::new()) });
        assert_eq!(Aliases::openai().meant(Some("hibari"), Some("heart")), Meant::default());
        assert_eq!(Aliases::default().meant(Some("tts-1"), Some("alloy")), Meant::default());
    }

    #[test]
    fn a_name_may_mean_a_voice() {
        let voices = [("alloy".to_owned(), "heart".to_owned())].into();
        let aliases = Aliases { voices, ..Aliases::default() };
        assert_eq!(aliases.meant(None, Some("alloy")).voice.as_deref(), Some("heart"));
    }
}
