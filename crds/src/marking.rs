//! How speech is told from recordings.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What audio says of where it comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marking {
    /// Whether every file, and every answer's headers, say that the speech is
    /// synthetic, by whom, by which model and when. Law may ask for it: in the
    /// EU the AI Act, article 50; in China GB 45438-2025.
    #[serde(default = "default_enabled")]
    pub enabled: bool,

    /// Who is named as the producer: the name or code of whoever offers the
    /// service, which GB 45438-2025 asks for. ttsfleet if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub producer: Option<String>,
}

impl Default for Marking {
    fn default() -> Self {
        Self { enabled: default_enabled(), producer: None }
    }
}

fn default_enabled() -> bool {
    true
}
