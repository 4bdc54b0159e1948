//! Container images made from files, as OCI layouts in one tar: one layer, no
//! base. The same files give the same digest on every machine.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Name without tag, as in `ttsfleet.local/operator`.
    pub repository: String,
    /// The files of the only layer.
    pub files: Vec<ImageFile>,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// `NAME=value` lines.
    pub env: Vec<String>,
}

/// One file of an image.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Where it lies in the image, without a leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Where it comes from.
    pub content: Content,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file on this machine.
    File(PathBuf),
    /// The bytes themselves.
    Bytes(Vec<u8>),
}

impl ImageFile {
    /// An executable from this machine.
    pub fn program(path: &str, source: &Path) -> Self {
        ImageFile { path: path.to_owned(), mode: 0o755, content: Content::File(source.to_owned()) }
    }
}

/// An image that is ready to be imported.
#[derive(Debug, Clone)]
pub struct Image {
    /// Full name. The tag follows the content, so that a changed image gets a
    /// new name and an unchanged one is pulled by nobody.
    pub reference: String,
    /// The OCI layout.
    pub tar: PathBuf,
}

/// User and group id that images run as.
pub const USER: u32 = 65532;

/// Writes the image below `folder`, unless the same one lies there already.
pub fn build(spec: &ImageSpec, folder: &Path) -> Result<Image> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let stem = spec.repository.replace('/', "_");
    let layer = folder.join(format!("{stem}.{}.layer", std::process::id()));
    let image = build_from_layer(spec, folder, &stem, &layer);
    // Only a half-way file; the image holds a copy.
    let _ = std::fs::remove_file(&layer);
    image.with_context(|| format!("cannot build the image {}", spec.repository))
}

fn build_from_layer(spec: &ImageSpec, folder: &Path, stem: &str, layer: &Path) -> Result<Image> {
    let layer_blob = write_layer(spec, layer)?;
    let config = config(spec, &layer_blob.digest).to_string();
    let config_blob = Blob::of(config.as_bytes());
    let tag = &config_blob.digest[..12];
    let image = Image {
        reference: format!("{}:{tag}", spec.repository),
        tar: folder.join(format!("{stem}-{tag}.tar")),
    };
    if image.tar.exists() {
        return Ok(image);
    }
    let manifest = manifest(&config_blob, &layer_blob).to_string();
    let manifest_blob = Blob::of(manifest.as_bytes());
    let index = index(&manifest_blob, &image.reference).to_string();

    let unfinished = layer.with_extension("unfinished");
    let mut tar = tar::Builder::new(BufWriter::new(File::create(&unfinished)?));
    append(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut tar, "index.json", 0o644, index.as_bytes())?;
    for (blob, bytes) in [(&manifest_blob, &manifest), (&config_blob, &config)] {
        append(&mut tar, &blob.path(), 0o644, bytes.as_bytes())?;
    }
    let source = BufReader::new(File::open(layer)?);
    tar.append_data(&mut header(layer_blob.size, 0o644), layer_blob.path(), source)?;
    tar.into_inner()?.flush()?;
    std::fs::rename(&unfinished, &image.tar)?;
    forget_older(folder, stem, &image.tar);
    Ok(image)
}

/// A piece of content named by its digest.
struct Blob {
    digest: String,
    size: u64,
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        Blob { digest: hex::encode(Sha256::digest(bytes)), size: bytes.len() as u64 }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.digest), "size": self.size})
    }
}

fn write_layer(spec: &ImageSpec, path: &Path) -> Result<Blob> {
    let mut files: Vec<&ImageFile> = spec.files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path)?));
    for file in files {
        match &file.content {
            Content::Bytes(bytes) => append(&mut tar, &file.path, file.mode, bytes)?,
            Content::File(source) => {
                let open = File::open(source).with_context(|| format!("cannot open {}", source.display()))?;
                let size = open.metadata()?.len();
                tar.append_data(&mut header(size, file.mode), &file.path, BufReader::new(open))?;
            }
        }
    }
    // World-writable like everywhere; programs may keep short-lived files.
    let mut temporary = header(0, 0o1777);
    temporary.set_entry_type(tar::EntryType::Directory);
    tar.append_data(&mut temporary, "tmp", std::io::empty())?;
    tar.into_inner()?.flush()?;
    hash_file(path)
}

fn hash_file(path: &Path) -> Result<Blob> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Blob { digest: hex::encode(hash.finalize()), size });
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
}

fn append(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    tar.append_data(&mut header(bytes.len() as u64, mode), path, bytes)?;
    Ok(())
}

/// No time, no owner: nothing but the content decides the digest.
fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn config(spec: &ImageSpec, layer: &str) -> Value {
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": spec.entrypoint,
            "Env": spec.env,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
    })
}

fn manifest(config: &Blob, layer: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    })
}

fn index(manifest: &Blob, reference: &str) -> Value {
    let mut entry = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] = json!({"io.containerd.image.name": reference});
    json!({"schemaVersion": 2, "manifests": [entry]})
}

/// Earlier builds of the same image, which nobody will import any more.
fn forget_older(folder: &Path, stem: &str, keep: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let tag = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".tar"));
        let is_tag =
            tag.is_some_and(|tag| tag.len() == 12 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_tag && entry.path() != keep {
            // It only takes room.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(content: &str) -> ImageSpec {
        let file = |path: &str, content: &str| ImageFile {
            path: path.to_owned(),
            mode: 0o644,
            content: Content::Bytes(content.as_bytes().to_vec()),
        };
        ImageSpec {
            repository: "ttsfleet.local/sample".to_owned(),
            files: vec![file("b", content), file("a", "first")],
            entrypoint: vec!["/b".to_owned()],
            env: vec![],
        }
    }

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ttsfleet-image-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_same_files_give_the_same_image_in_any_order() {
        let folder = folder("same");
        let first = build(&spec("x"), &folder).unwrap();
        let bytes = std::fs::read(&first.tar).unwrap();
        std::fs::remove_file(&first.tar).unwrap();
        let mut turned = spec("x");
        turned.files.reverse();
        let second = build(&turned, &folder).unwrap();
        assert_eq!(first.reference, second.reference);
        assert_eq!(bytes, std::fs::read(&second.tar).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_changed_file_changes_the_name_and_drops_the_old_tar() {
        let folder = folder("changed");
        let first = build(&spec("x"), &folder).unwrap();
        let second = build(&spec("y"), &folder).unwrap();
        assert_ne!(first.reference, second.reference);
        assert!(!first.tar.exists());
        assert!(second.tar.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_blob_lies_under_its_digest() {
        let folder = folder("digest");
        let image = build(&spec("x"), &folder).unwrap();
        let mut archive = tar::Archive::new(File::open(&image.tar).unwrap());
        let mut blobs = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            if let Ok(digest) = path.strip_prefix("blobs/sha256") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                assert_eq!(hex::encode(Sha256::digest(&bytes)), digest.to_string_lossy());
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_file_is_named() {
        let mut broken = spec("x");
        broken.files.push(ImageFile::program("c", Path::new("/no/such/file")));
        let error = format!("{:#}", build(&broken, &folder("missing")).unwrap_err());
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
