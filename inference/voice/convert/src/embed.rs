//! Hands files to the library that is being built.

use std::{fmt::Write as _, fs, path::Path};

/// A path inside the folder and its content.
pub type File = (String, Vec<u8>);

/// Writes the files to `out/folder`, and to `out/files.rs` the list of them
/// that the library includes.
///
/// # Errors
/// Whatever the file system says.
pub fn write(out: &Path, folder: &str, files: &[File]) -> anyhow::Result<()> {
    let dir = out.join(folder);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir(&dir)?;
    let mut list = String::from("&[\n");
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes)?;
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    list.push(']');
    fs::write(out.join("files.rs"), list)?;
    Ok(())
}

/// Hexadecimal digits of a digest.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
