//! Artifacts in OCI registries, named by their digest. The files of the model
//! folder are the manifest's layers, by their titles, as `oras push` makes them.
//!
//! The protocol for reading is two addresses and a token, so it is spoken here
//! over the client that all sources use: the `oci-client` crate builds one of
//! its own, without our redirect rule, certificates and time limits.

use std::collections::HashMap;

use futures::{FutureExt, future::BoxFuture};
use http_auth::{ChallengeRef, parse_challenges};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};
use ttsfleet_models::sha256_hex;

use super::{
    origin::{Fault, Opened, Origin},
    secret::Secret,
    web::{Access, broken, from, opened, refused},
};

/// The largest manifest that is read, in bytes, as registries have it.
const MAX_MANIFEST: usize = 4 << 20;
const MAX_TOKEN: usize = 64 << 10;
const MANIFEST_TYPES: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const TITLE: &str = "org.opencontainers.image.title";
/// Set on a folder that was packed into one layer.
const PACKED: &str = "io.deis.oras.content.unpack";

/// An artifact.
pub(super) struct Registry {
    client: Client,
    /// Where the repository is: `https://registry/v2/repository/`.
    base: Url,
    /// Digest of the manifest, 64 hexadecimal digits.
    digest: String,
    title: String,
    login: Option<(String, String)>,
    /// The token in use; one from the Secret, or one that the registry gave.
    access: Mutex<Access>,
    layers: OnceCell<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
    manifests: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// Takes `registry/repository@sha256:…`; none if it is not like that.
    pub(super) fn new(client: Client, place: &str, secret: &Secret) -> Option<Self> {
        let (named, digest) = place.split_once("@sha256:")?;
        let (registry, repository) = named.split_once('/')?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_repository = repository.split('/').all(is_repository_part);
        if !is_digest || !is_repository || registry.contains(['@', '?', '#']) {
            return None;
        }
        let secure = Url::parse(&format!("https://{registry}/v2/")).ok()?;
        let plain = is_loopback(&secure) || secret.get("plainHttp") == Some("true");
        // Parsed again, as another scheme has another default port.
        let mut base = if plain { Url::parse(&format!("http://{registry}/v2/")).ok()? } else { secure };
        base.path_segments_mut().ok()?.pop_if_empty().extend(repository.split('/'));
        Some(Self {
            client,
            base,
            digest: digest.to_ascii_lowercase(),
            title: format!("oci://{registry}/{repository}"),
            login: secret.registry_login(registry),
            access: Mutex::new(secret.get("token").map_or(Access::Open, |token| Access::Token(token.into()))),
            layers: OnceCell::new(),
        })
    }

    /// The digests of the folder's files, by name.
    async fn layers(&self) -> Result<&HashMap<String, String>, Fault> {
        self.layers.get_or_try_init(|| self.fetch_layers()).await
    }

    async fn fetch_layers(&self) -> Result<HashMap<String, String>, Fault> {
        let about =
            |fault: Fault| Fault { reason: format!("the artifact's manifest: {}", fault.reason), ..fault };
        let ask = |client: &Client, url: Url| client.get(url).header(header::ACCEPT, MANIFEST_TYPES);
        let response = self.get("manifests", &self.digest, ask).await.map_err(about)?;
        let bytes = read(response, MAX_MANIFEST).await.map_err(about)?;
        let actual = sha256_hex(&bytes);
        if actual != self.digest {
            return Err(Fault::lasting(format!("the artifact's manifest has the digest sha256:{actual}")));
        }
        files(&bytes)
    }

    /// Asks for something of the repository, and for a token if it takes one.
    async fn get(
        &self,
        kind: &str,
        digest: &str,
        ask: impl Fn(&Client, Url) -> RequestBuilder,
    ) -> Result<Response, Fault> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([kind, &format!("sha256:{digest}")]);
        }
        let mut access = self.access.lock().await;
        let send = |access: &Access| access.grant(ask(&self.client, url.clone())).send();
        let mut response = send(&access).await.map_err(|error| broken(&error))?;
        // Blobs may lie elsewhere; only the registry itself is shown the login.
        let is_registry = response.url().origin() == url.origin();
        if response.status() == StatusCode::UNAUTHORIZED && is_registry {
            *access = self.authenticate(&response).await?;
            response = send(&access).await.map_err(|error| broken(&error))?;
        }
        if response.status().is_success() { Ok(response) } else { Err(refused(response.status())) }
    }

    /// What the registry wants to be shown.
    async fn authenticate(&self, response: &Response) -> Result<Access, Fault> {
        let wanted = response.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenges = wanted.and_then(|value| parse_challenges(value).ok()).unwrap_or_default();
        let of = |scheme: &str| challenges.iter().find(|wanted| wanted.scheme.eq_ignore_ascii_case(scheme));
        if let Some(bearer) = of("bearer") {
            return self.token(bearer).await.map(Access::Token);
        }
        match (of("basic"), &self.login) {
            (Some(_), Some((user, password))) => Ok(Access::Login(user.clone(), password.clone())),
            _ => Err(refused(StatusCode::UNAUTHORIZED)),
        }
    }

    async fn token(&self, challenge: &ChallengeRef<'_>) -> Result<String, Fault> {
        let part = |name: &str| {
            let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = part("realm").and_then(|realm| Url::parse(&realm).ok());
        let mut realm =
            realm.ok_or_else(|| Fault::lasting("the registry does not say where tokens are had"))?;
        if realm.scheme() != "https" && self.base.scheme() == "https" {
            return Err(Fault::lasting(
                "the registry gives its tokens without encryption, at an http:// address",
            ));
        }
        for name in ["service", "scope"] {
            if let Some(value) = part(name) {
                realm.query_pairs_mut().append_pair(name, &value);
            }
        }
        let access = match &self.login {
            Some((user, password)) => Access::Login(user.clone(), password.clone()),
            None => Access::Open,
        };
        let answer = access.grant(self.client.get(realm)).send().await.map_err(|error| broken(&error))?;
        if !answer.status().is_success() {
            let Fault { reason, transient } = refused(answer.status());
            return Err(Fault { reason: format!("no token for the registry: {reason}"), transient });
        }
        let token: Option<Token> = serde_json::from_slice(&read(answer, MAX_TOKEN).await?).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        token.ok_or_else(|| Fault::lasting("the registry's answer holds no token"))
    }
}

impl Origin for Registry {
    fn title(&self, path: &str) -> String {
        format!("{}/{path}", self.title)
    }

    fn open<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        async move {
            let digest = self.layers().await?.get(path);
            let digest = digest.ok_or_else(|| Fault::lasting("the artifact has no file of that name"))?;
            let ask = |client: &Client, url: Url| from(client.get(url), offset);
            let response = self.get("blobs", digest, ask).await?;
            Ok(Opened { sha256: Some(digest.clone()), ..opened(response)? })
        }
        .boxed()
    }
}

/// The files that a manifest lists.
fn files(manifest: &[u8]) -> Result<HashMap<String, String>, Fault> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| Fault::lasting(format!("the artifact's manifest is not understood: {error}")))?;
    if manifest.manifests.is_some() {
        return Err(Fault::lasting(
            "the digest names an index of several artifacts; name the artifact itself by its digest",
        ));
    }
    let mut files = HashMap::new();
    for layer in manifest.layers {
        let Some(title) = layer.annotations.get(TITLE) else { continue };
        if layer.annotations.get(PACKED).is_some_and(|packed| packed == "true") {
            return Err(Fault::lasting(format!(
                "the artifact holds {title:?} as a packed folder; push the model's files one by one, each under \
                 its path"
            )));
        }
        let digest = layer.digest.strip_prefix("sha256:").unwrap_or_default().to_ascii_lowercase();
        files.insert(title.clone(), digest);
    }
    Ok(files)
}

/// Reads an answer that has to be small.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| broken(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > limit {
            return Err(Fault::lasting(format!("it is larger than {limit} bytes")));
        }
    }
    Ok(bytes)
}

fn is_repository_part(part: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(letters)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn base(place: &str) -> Option<String> {
        let secret = Secret::default();
        let registry = Registry::new(crate::source::client(&secret).unwrap(), place, &secret)?;
        Some(registry.base.to_string())
    }

    #[test]
    fn an_artifact_is_named_by_registry_repository_and_digest() {
        let of = |named: &str| base(&format!("{named}@sha256:{DIGEST}"));
        assert_eq!(of("r.example/a/b").unwrap(), "https://r.example/v2/a/b");
        assert_eq!(of("r.example:5000/a").unwrap(), "https://r.example:5000/v2/a");
        assert_eq!(of("127.0.0.1:5000/a").unwrap(), "http://127.0.0.1:5000/v2/a");
        assert_eq!(of("[::1]:5000/a").unwrap(), "http://[::1]:5000/v2/a");
        assert_eq!(of("127.0.0.1.example/a").unwrap(), "https://127.0.0.1.example/v2/a");
        for wrong in ["r.example", "r.example/", "r.example/a//b", "r.example/../b", "me:pw@r.example/a"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(base("r.example/a:latest"), None);
        assert_eq!(base("r.example/a@sha256:00"), None);
    }

    #[test]
    fn what_is_no_artifact_of_single_files_is_refused_in_words() {
        let index = files(br#"{"manifests": []}"#).unwrap_err().reason;
        assert!(index.contains("index of several artifacts"), "{index}");
        let packed = files(
            br#"{"layers": [{"digest": "sha256:00", "annotations": {
                "org.opencontainers.image.title": "voice", "io.deis.oras.content.unpack": "true"}}]}"#,
        );
        assert!(packed.unwrap_err().reason.contains("packed folder"));
    }
}
