//! Whisper, which hears what it was trained for.

use std::path::{Component, Path, PathBuf};

use ttsfleet_ears::{Clip, whisper::Whisper};
use ttsfleet_models::ModelFolder;
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use super::{Recogniser, RecogniserError};
use crate::normalise::Script;

/// Folder with a folder for each PersistentVolumeClaim.
#[derive(Debug, Clone)]
pub struct Claims(pub PathBuf);

/// Reads the model folder that a record names. It has to be on a volume of the
/// pod already: the judge fetches nothing.
///
/// # Errors
/// [`RecogniserError::Folder`].
pub fn load(record: &ModelRecord, claims: &Claims) -> Result<Box<dyn Recogniser>, RecogniserError> {
    let refused = |what: String| RecogniserError::Folder(what);
    let source = record.source.as_ref().ok_or_else(|| refused("it has no address".to_owned()))?;
    let path = path(source, &claims.0).ok_or_else(|| {
        refused(format!("{} is not on a volume of the pod; give it as pvc://claim/folder", source.uri))
    })?;
    let folder = ModelFolder::open(&path).map_err(|error| refused(error.to_string()))?;
    if let Some(digest) = source.digest.as_deref().filter(|digest| *digest != folder.digest()) {
        return Err(refused(format!("its digest is {}, but {digest} is pinned", folder.digest())));
    }
    let whisper = Whisper::load(&folder).map_err(|error| refused(error.to_string()))?;
    Ok(Box::new(Listening(whisper)))
}

fn path(source: &ModelSource, claims: &Path) -> Option<PathBuf> {
    if let Some(path) = source.uri.strip_prefix("file://") {
        return Some(PathBuf::from(path));
    }
    let inside = PathBuf::from(source.uri.strip_prefix("pvc://")?);
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| claims.join(inside))
}

struct Listening(Whisper);

impl Recogniser for Listening {
    fn hears(&self, _: Script) -> bool {
        true
    }

    fn transcribe(&mut self, clip: &Clip) -> Result<String, RecogniserError> {
        self.0.transcribe(clip).map_err(|error| RecogniserError::Inference(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("file:///models/whisper", Some("/models/whisper"))]
    #[case("pvc://models/whisper", Some("/claims/models/whisper"))]
    #[case("pvc://models/../../etc", None)]
    #[case("https://example.com/whisper", None)]
    fn a_folder_is_found_on_a_volume_only(#[case] uri: &str, #[case] expected: Option<&str>) {
        let source = ModelSource { uri: uri.to_owned(), digest: None, secret: None };
        assert_eq!(path(&source, Path::new("/claims")), expected.map(PathBuf::from));
    }
}
