//! Folders on PersistentVolumeClaims, read where they lie.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use ttsfleet_models::{MANIFEST_NAME, ModelFolder};

use super::{LoadError, secret::is_object_name};

/// Opens `claim/folder` below the folder of claims. Nothing outside the claim
/// is read, whatever links lie in it.
pub(super) fn open(claims: Option<&PathBuf>, place: &str) -> Result<ModelFolder, LoadError> {
    let (claim, folder) = place.split_once('/').unwrap_or((place, ""));
    let failed = |reason: String| LoadError::Claim { claim: claim.to_owned(), reason };
    let folder = Path::new(folder.trim_start_matches('/'));
    let plain = folder.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_object_name(claim) || !plain {
        return Err(failed("write pvc://claim/folder, without . or .. in it".to_owned()));
    }
    let claims = claims.ok_or_else(|| failed("no folder of claims is given".to_owned()))?;
    let root = claims.join(claim).canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("it is not mounted".to_owned()),
        _ => failed(error.to_string()),
    })?;
    let inside = |path: &Path| match fs::canonicalize(path) {
        Ok(real) if real.starts_with(&root) => Ok(real),
        Ok(_) => Err(failed(format!("{} leads out of it", path.display()))),
        Err(error) => Err(failed(format!("{}: {error}", path.display()))),
    };
    let path = inside(&root.join(folder))?;
    let opened = ModelFolder::open(&path)?;
    let files = opened.manifest().files.iter().map(|entry| entry.path.as_str());
    for file in files.chain([MANIFEST_NAME]) {
        inside(&path.join(file))?;
    }
    Ok(opened)
}
