//! What the speech API takes from its clients.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What the speech API takes from its clients, beside what it serves. A change
/// reaches the gateways within seconds, and restarts none.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// Names for the model and its voices, beside their own.
    #[serde(default)]
    pub aliases: Aliases,

    /// Refuse a request with a field that is not known or has no meaning here,
    /// such as instructions, rather than name it in the header x-tts-ignored.
    #[serde(default)]
    pub strict: bool,

    /// Answer the lists of models and voices without an API key, too.
    #[serde(default)]
    pub public_lists: bool,

    /// Pages of which origins may call from a browser.
    #[serde(default)]
    pub cors: Cors,
}

/// Names for the model and its voices, beside their own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aliases {
    /// Whether OpenAI's names are among them: tts-1, gpt-4o-mini-tts and the like
    /// for the model, alloy and the like for its first voice.
    #[serde(default = "default_openai")]
    pub openai: bool,

    /// Further names for the model, whichever is served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub models: Vec<String>,

    /// Further names of voices, and the voice meant by each; these come before
    /// OpenAI's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 128))]
    #[x_kube(validation = Rule::new("self.all(name, name.size() <= 128 && self[name].size() <= 128)").message(
        "api.aliases.voices takes names of at most 128 characters, each with the voice that it means"
    ))]
    pub voices: BTreeMap<String, String>,
}

/// Pages of which origins may call from a browser.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// Origins such as https://app.example.com, or * for all. None: no page may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rules::origins("api.cors.origins"))]
    pub origins: Vec<String>,
}

impl Default for Aliases {
    fn default() -> Self {
        Self { openai: default_openai(), models: Vec::new(), voices: BTreeMap::new() }
    }
}

fn default_openai() -> bool {
    true
}
