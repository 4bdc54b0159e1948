//! What a source is fetched with: a mounted Secret.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use base64::Engine;
use serde::Deserialize;

use super::LoadError;

/// The largest value that is read, in bytes.
const MAX_VALUE: u64 = 64 << 10;
/// Shorter values are not looked for in messages: `1` is no secret.
const SHORTEST_HIDDEN: usize = 4;

/// The keys and values of a Secret; empty where none is named. It cannot be
/// printed.
#[derive(Clone, Default)]
pub(super) struct Secret {
    name: String,
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secret {
    /// Reads it anew, as it may have been changed.
    pub(super) fn read(folder: Option<&PathBuf>, name: Option<&str>) -> Result<Self, LoadError> {
        let Some(name) = name else { return Ok(Self::default()) };
        let failed = |reason: String| LoadError::Secret { name: name.to_owned(), reason };
        if !is_object_name(name) {
            return Err(failed("that is no name of a Secret".to_owned()));
        }
        let folder = folder.ok_or_else(|| failed("no folder of Secrets is given".to_owned()))?.join(name);
        let values = read_values(&folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("it is not mounted".to_owned()),
            _ => failed(error.to_string()),
        })?;
        Ok(Self { name: name.to_owned(), values })
    }

    /// An error about it.
    pub(super) fn unusable(&self, reason: &str) -> LoadError {
        LoadError::Secret { name: self.name.clone(), reason: reason.to_owned() }
    }

    /// The value of a key, unless it is empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// User name and password, if there are both.
    pub(super) fn login(&self) -> Option<(String, String)> {
        Some((self.get("username")?.to_owned(), self.get("password")?.to_owned()))
    }

    /// User name and password for a registry: plain, or from the JSON that
    /// Kubernetes keeps for image pulls.
    pub(super) fn registry_login(&self, registry: &str) -> Option<(String, String)> {
        self.login().or_else(|| docker_login(self.get(".dockerconfigjson")?, registry))
    }

    /// The text without any value of this Secret: servers repeat what they
    /// were sent.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.values.values().filter(|value| value.len() >= SHORTEST_HIDDEN) {
            text = text.replace(value, "…");
        }
        text
    }
}

/// As Kubernetes names Secrets and claims.
pub(super) fn is_object_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !name.is_empty() && name.len() <= 253 && !name.starts_with('.') && name.bytes().all(letters)
}

/// Each key is a file, which may be a link to where Kubernetes has put it.
fn read_values(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = fs::metadata(entry.path())?;
        let Ok(key) = entry.file_name().into_string() else { continue };
        if !about.is_file() || about.len() > MAX_VALUE {
            continue;
        }
        // A value that is not text is no credential of ours.
        if let Ok(value) = String::from_utf8(fs::read(entry.path())?) {
            values.insert(key, value.trim_end_matches(['\n', '\r']).to_owned());
        }
    }
    Ok(values)
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, DockerLogin>,
}

#[derive(Deserialize)]
struct DockerLogin {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
}

fn docker_login(json: &str, registry: &str) -> Option<(String, String)> {
    let config: DockerConfig = serde_json::from_str(json).ok()?;
    let host = |key: &str| {
        let plain = key.trim_start_matches("https://").trim_start_matches("http://");
        plain.split('/').next().map(str::to_owned)
    };
    let (_, login) = config.auths.into_iter().find(|(key, _)| host(key).as_deref() == Some(registry))?;
    if let (Some(username), Some(password)) = (login.username, login.password) {
        return Some((username, password));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(login.auth?).ok()?;
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(values: &[(&str, &str)]) -> Secret {
        let values = values.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Secret { name: "test".to_owned(), values }
    }

    #[test]
    fn what_a_server_repeats_is_taken_out() {
        let secret = secret(&[("token", "hunter22"), ("username", "me"), ("password", "swordfish")]);
        let said = secret.hide("bad token hunter22 of me:swordfish");
        assert_eq!(said, "bad token … of me:…");
        assert!(!format!("{secret:?}").contains("hunter22"));
    }

    #[test]
    fn the_login_for_image_pulls_is_understood() {
        let json = r#"{"auths": {"https://other/v1/": {"auth": "eDp5"},
            "registry.example:5000": {"auth": "bWU6c3dvcmQ6ZmlzaA=="}}}"#;
        let secret = secret(&[(".dockerconfigjson", json)]);
        let login = secret.registry_login("registry.example:5000").unwrap();
        assert_eq!(login, ("me".to_owned(), "sword:fish".to_owned()));
        assert_eq!(secret.registry_login("registry.example"), None);
    }

    #[test]
    fn a_secret_lies_in_a_folder_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::create_dir_all(root.join("hub/..data")).unwrap();
        fs::write(root.join("hub/..data/token"), "hunter22\n").unwrap();
        std::os::unix::fs::symlink("..data/token", root.join("hub/token")).unwrap();
        let read = |name: &str| Secret::read(Some(&root), Some(name));
        assert_eq!(read("hub").unwrap().get("token"), Some("hunter22"));
        assert!(read("none").unwrap_err().to_string().contains("it is not mounted"));
        for name in ["../hub", "..", "", "a/b", "Hub"] {
            assert!(read(name).unwrap_err().to_string().contains("no name of a Secret"), "{name}");
        }
    }
}
