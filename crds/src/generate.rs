//! The custom resource definitions as YAML.

use kube::CustomResourceExt;

use crate::TtsDeployment;

/// A file of `crds/generated/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Name of the file in the folder.
    pub name: &'static str,
    /// All of its text.
    pub text: String,
}

/// Everything that `crds/generated/` holds. The same source gives the same
/// bytes.
pub fn generate() -> Result<Vec<GeneratedFile>, serde_yaml::Error> {
    let text = serde_yaml::to_string(&TtsDeployment::crd())?;
    let header = "# Written by `cargo xtask generate` from crds/src. Do not edit.\n";
    Ok(vec![GeneratedFile { name: "ttsdeployments.yaml", text: format!("{header}{text}") }])
}
