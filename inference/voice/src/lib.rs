//! The default voice, compiled into the binary: hibari 0.2.1, American
//! English, licensed under Apache-2.0 (its LICENSE and NOTICE are in
//! [`FILES`]).

use std::{fs, io, path::Path};

/// The model folder's files: path inside the folder, and content.
pub const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Writes the model folder to `dir`, which is created where needed: the same
/// model as files, to serve from a disk or over HTTP.
///
/// # Errors
/// Whatever the file system says.
pub fn write_to(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    FILES.iter().try_for_each(|(name, bytes)| fs::write(dir.join(name), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_on_disk_has_the_same_files() {
        let dir = tempfile::tempdir().unwrap();
        write_to(dir.path()).unwrap();
        for (name, bytes) in FILES {
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), *bytes, "{name}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), FILES.len());
    }

    #[test]
    fn licence_and_notice_travel_with_the_weights() {
        let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        for needed in ["LICENSE", "NOTICE", "hibari.safetensors", "oov.safetensors", "model.json"] {
            assert!(names.contains(&needed), "{needed} is missing from {names:?}");
        }
    }
}
