//! Words and how they are said.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::ConfigMapRef;

/// Words and how they are said, whoever asks. A change reaches the gateways within
/// ten seconds, and restarts nothing. Entries that cannot be used are left out, and
/// named in the condition LexiconApplied. A request may have entries of its own,
/// which come first.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lexicon {
    /// A word, or several that are one, and how it is said: like other words
    /// (kubectl: cube control), or in the International Phonetic Alphabet between
    /// slashes (GIF: /dʒɪf/). Words are found whole, in any case. These entries come
    /// before those of the ConfigMap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 500))]
    #[x_kube(validation = Rule::new(
        "self.all(word, word.size() >= 1 && word.size() <= 64 && self[word].size() >= 1 && self[word].size() <= 256)"
    ).message(
        "lexicon.entries takes words of 1 to 64 characters, each with a pronunciation of 1 to 256, such as kubectl: \
         cube control"
    ))]
    pub entries: BTreeMap<String, String>,

    /// A ConfigMap with more of them. Each of its keys is a file of lines
    /// `word = pronunciation`; a line that begins with # is a comment. At most 2000
    /// entries, or 200 KiB, are used of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
}
