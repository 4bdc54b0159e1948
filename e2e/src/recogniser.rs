//! A real speech recogniser (Debian's pocketsphinx, English): for tests that
//! check what was said, and for the judge's image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{run, tool};
use crate::image::{Content, ImageFile};
use crate::packages::{self, RECOGNISER};
use crate::progress::Progress;

/// The recogniser, installed.
#[derive(Debug)]
pub struct Recogniser(());

impl Recogniser {
    /// Installs it on first use.
    pub fn ensure(progress: &dyn Progress) -> Result<Self> {
        packages::ensure(&RECOGNISER, progress)?;
        Ok(Self(()))
    }

    /// What it hears in a WAV file, in small letters.
    pub fn transcribe(&self, wav: &Path) -> Result<String> {
        let resampled = wav.with_extension("16k.wav");
        let (from, to) = (wav.to_string_lossy(), resampled.to_string_lossy());
        tool(&["sox", &from, "-r", "16000", "-b", "16", "-c", "1", &to])?;
        let mut recognise = Command::new("pocketsphinx_continuous");
        recognise.args(["-logfn", "/dev/null", "-infile", &to]);
        let heard = run(&mut recognise);
        std::fs::remove_file(&resampled).context("cannot remove the resampled file")?;
        Ok(heard?.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// What the judge runs of it, and the package with what that reads.
const PROGRAM: &str = "/usr/bin/pocketsphinx_batch";
const LANGUAGE: &str = "pocketsphinx-en-us";

/// Every file that the recogniser needs to run where there is nothing else:
/// program, libraries, language, and the packages' copyright files.
pub(crate) fn files(progress: &dyn Progress) -> Result<Vec<ImageFile>> {
    packages::ensure(&RECOGNISER, progress)?;
    let mut files = BTreeMap::from([(PathBuf::from(PROGRAM), 0o755)]);
    files.extend(libraries(&tool(&["ldd", PROGRAM])?)?.into_iter().map(|path| (path, 0o755)));
    let listed = tool(&["dpkg-query", "--listfiles", LANGUAGE])?;
    files.extend(listed.lines().map(|path| (PathBuf::from(path), 0o644)));
    files.retain(|path, _| path.is_file());
    files.extend(copyrights(&files)?);
    let packed = files.into_iter().map(|(path, mode)| ImageFile {
        path: path.to_string_lossy().trim_start_matches('/').to_owned(),
        mode,
        content: Content::File(path),
    });
    Ok(packed.collect())
}

/// The libraries in what `ldd` prints, the loader included.
fn libraries(listing: &str) -> Result<Vec<PathBuf>> {
    if let Some(line) = listing.lines().find(|line| line.contains("not found")) {
        bail!("the recogniser lacks a library: {}", line.trim());
    }
    let paths = listing.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// The copyright files of the packages that these files are from.
fn copyrights(files: &BTreeMap<PathBuf, u32>) -> Result<BTreeMap<PathBuf, u32>> {
    let mut search = Command::new("dpkg-query");
    search.arg("--search");
    for file in files.keys() {
        let file = file.canonicalize().with_context(|| format!("there is no {}", file.display()))?;
        // `/lib` is a link to `/usr/lib`, and packages have their files under either.
        search.arg(Path::new("/").join(file.strip_prefix("/usr").unwrap_or(&file))).arg(file);
    }
    // It fails where one of all paths is not known, as the other of two is.
    let found = search.output().context("cannot run dpkg-query")?.stdout;
    let found = String::from_utf8_lossy(&found).into_owned();
    let packages = found.lines().filter_map(|line| line.split([':', ',']).next());
    Ok(packages.map(|name| (Path::new("/usr/share/doc").join(name).join("copyright"), 0o644)).collect())
}

/// Edits (insertions, deletions, substitutions) between the letters of what was
/// meant and what was heard, as a share of those meant. Case, punctuation and
/// spaces do not count: the recogniser writes none of the first two, and a
/// compound may be written either way.
pub fn character_error_rate(meant: &str, heard: &str) -> f64 {
    let letters = |text: &str| -> String {
        text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (meant, heard) = (letters(meant), letters(heard));
    strsim::levenshtein(&meant, &heard) as f64 / meant.chars().count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_every_library_is_found() {
        let listing =
            "\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/libm.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n";
        assert_eq!(libraries(listing).unwrap(), [Path::new("/lib/libm.so.6"), Path::new("/lib64/ld.so.2")]);
        assert!(libraries("\tlibm.so.6 => not found\n").is_err());
    }

    #[test]
    fn letters_count_and_punctuation_does_not() {
        assert_eq!(character_error_rate("Ice-cream, please!", "ice cream please"), 0.0);
        assert!((character_error_rate("abcd", "abxd") - 0.25).abs() < 1e-9);
        assert_eq!(character_error_rate("abc", ""), 1.0);
    }
}
