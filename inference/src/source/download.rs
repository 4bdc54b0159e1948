//! Fetching a model folder over HTTP. Nothing that comes is believed before
//! its digest is checked, and nothing larger than announced is read.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use ttsfleet_models::{
    FileEntry, FolderError, MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, ModelFolder, sha256_hex,
};

use super::{
    LoadError, blocking,
    store::{Store, create, failed},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Certificates trusted besides the public ones, as other programs read it.
const ENV_CERTIFICATES: &str = "SSL_CERT_FILE";

/// How often and how long to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts for one file.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles with each.
    pub first_pause: Duration,
    /// All attempts for all files together.
    pub overall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_pause, overall) = (Duration::from_millis(500), Duration::from_secs(1800));
        Self { attempts: 6, first_pause, overall }
    }
}

/// The client that models are fetched with. The public roots are built in, as
/// an image need not have any.
///
/// # Errors
/// When the certificates of `SSL_CERT_FILE` cannot be read.
pub fn client() -> Result<Client, LoadError> {
    let wrong = |reason: String| {
        let path = std::env::var(ENV_CERTIFICATES).unwrap_or_default();
        LoadError::Record { path, reason }
    };
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os(ENV_CERTIFICATES) {
        let certificates = CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))?;
        roots.add_parsable_certificates(certificates.flatten());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let built = Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(redirect::Policy::custom(follow))
        .build();
    built.map_err(|error| wrong(error.to_string()))
}

/// A few redirects, and none that gives up encryption.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else if was_secure && attempt.url().scheme() != "https" {
        attempt.error("a redirect from https to http is not followed")
    } else {
        attempt.follow()
    }
}

/// One folder on its way here.
pub(super) struct Download {
    client: Client,
    base: Url,
    pinned: Option<String>,
    store: Arc<Store>,
    patience: Patience,
}

impl Download {
    pub(super) fn new(
        client: Client,
        base: Url,
        pinned: Option<String>,
        store: Arc<Store>,
        patience: Patience,
    ) -> Self {
        Self { client, base, pinned, store, patience }
    }

    /// Takes the folder from the store, or fetches it into the store.
    pub(super) async fn run(&self) -> Result<ModelFolder, LoadError> {
        if let Some(folder) = self.find(self.pinned.clone()).await? {
            return Ok(folder);
        }
        let overall = self.patience.overall;
        tokio::time::timeout(overall, self.fetch()).await.unwrap_or_else(|_| {
            let reason = format!("it took longer than {} s", overall.as_secs());
            Err(fault(&self.base, reason, false))
        })
    }

    async fn find(&self, digest: Option<String>) -> Result<Option<ModelFolder>, LoadError> {
        let Some(digest) = digest else { return Ok(None) };
        let store = Arc::clone(&self.store);
        blocking(move || Ok(store.find(&digest))).await
    }

    async fn fetch(&self) -> Result<ModelFolder, LoadError> {
        let url = address(&self.base, MANIFEST_NAME);
        let bytes = self.retrying(|| fetch_manifest(&self.client, &url)).await?;
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        if let Some(pinned) = self.pinned.clone().filter(|pinned| !same_digest(pinned, &digest)) {
            return Err(FolderError::WrongDigest { actual: digest, pinned }.into());
        }
        let manifest = Manifest::parse(&bytes)?;
        if let Some(folder) = self.find(Some(digest.clone())).await? {
            return Ok(folder);
        }
        let incoming = self.store.incoming()?;
        for entry in &manifest.files {
            let url = address(&self.base, &entry.path);
            tracing::info!(path = entry.path, bytes = entry.size, "fetching");
            self.retrying(|| fetch_file(&self.client, &url, incoming.path(), entry)).await?;
        }
        let store = Arc::clone(&self.store);
        blocking(move || store.keep(incoming, &bytes, &digest)).await
    }

    async fn retrying<T, F: Future<Output = Result<T, LoadError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, LoadError> {
        let mut pause = self.patience.first_pause;
        for _ in 1..self.patience.attempts {
            match attempt().await {
                Err(error) if error.is_transient() => tracing::warn!(%error, "trying again"),
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        attempt().await
    }
}

async fn fetch_manifest(client: &Client, url: &Url) -> Result<Vec<u8>, LoadError> {
    let mut response = request(client, url).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut response, url).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(fault(url, format!("it is larger than {MAX_MANIFEST_BYTES} bytes"), false));
        }
    }
    Ok(bytes)
}

async fn fetch_file(client: &Client, url: &Url, folder: &Path, entry: &FileEntry) -> Result<(), LoadError> {
    let mut response = request(client, url).await?;
    let path = folder.join(&entry.path);
    let mut file = create(folder, entry)?;
    let mut digest = Sha256::new();
    let mut length = 0;
    while let Some(piece) = next(&mut response, url).await? {
        length += piece.len() as u64;
        if length > entry.size {
            return Err(altered(entry, format!("more than its {} bytes", entry.size)));
        }
        digest.update(&piece);
        file = write(file, piece, path.clone()).await?;
    }
    if length < entry.size {
        // As when a proxy gave up half-way.
        return Err(fault(url, format!("{length} bytes came instead of {}", entry.size), true));
    }
    let actual: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if !actual.eq_ignore_ascii_case(&entry.sha256) {
        return Err(altered(entry, format!("sha256 {actual} instead of {}", entry.sha256)));
    }
    blocking(move || file.sync_all().map_err(|source| failed(&path, source))).await
}

async fn write(mut file: File, piece: Bytes, path: PathBuf) -> Result<File, LoadError> {
    blocking(move || match file.write_all(&piece) {
        Ok(()) => Ok(file),
        Err(source) => Err(failed(&path, source)),
    })
    .await
}

async fn request(client: &Client, url: &Url) -> Result<Response, LoadError> {
    let response = client.get(url.clone()).send().await.map_err(|error| broken(url, &error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    Err(fault(url, format!("the server answered {status}"), passing || status.is_server_error()))
}

async fn next(response: &mut Response, url: &Url) -> Result<Option<Bytes>, LoadError> {
    response.chunk().await.map_err(|error| broken(url, &error))
}

/// A redirect refused stays refused; all else may pass.
fn broken(url: &Url, error: &reqwest::Error) -> LoadError {
    let mut reason = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    if error.is_timeout() {
        reason = "the server did not answer in time".to_owned();
    }
    fault(url, reason, !error.is_redirect())
}

fn fault(url: &Url, reason: impl Into<String>, transient: bool) -> LoadError {
    let mut url = url.clone();
    // Where it is allowed at all, taking these out cannot fail.
    _ = url.set_username("");
    _ = url.set_password(None);
    url.set_query(None);
    LoadError::Fetch { url: url.into(), reason: reason.into(), transient }
}

fn altered(entry: &FileEntry, what: String) -> LoadError {
    FolderError::Altered { path: entry.path.clone(), what }.into()
}

fn same_digest(pinned: &str, actual: &str) -> bool {
    let plain = |digest: &str| digest.trim_start_matches("sha256:").to_ascii_lowercase();
    plain(pinned) == plain(actual)
}

/// A file's address, below the folder's; its path was checked with the manifest.
fn address(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_below_the_folder_whatever_their_names() {
        let at = |base: &str, path| address(&Url::parse(base).unwrap(), path).to_string();
        assert_eq!(at("http://h/m", "a/b.bin"), "http://h/m/a/b.bin");
        assert_eq!(at("http://h/m/?key=1", "what?#%"), "http://h/m/what%3F%23%25?key=1");
    }

    #[test]
    fn messages_do_not_show_credentials() {
        let url = Url::parse("https://me:secret@h/m?token=secret").unwrap();
        assert_eq!(fault(&url, "gone", false).to_string(), "cannot fetch https://h/m: gone");
    }
}
