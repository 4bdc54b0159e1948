//! What every remote source does: open one file of the model folder.

use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use reqwest::Client;

use super::{LoadError, bucket, hub, registry::Registry, secret::Secret, web::Web};

/// How much of a server's own words a message repeats, in characters.
const MAX_REASON: usize = 300;

/// A folder somewhere else.
pub(super) trait Origin: Send + Sync {
    /// The address of a file, for messages: without credentials and query.
    fn title(&self, path: &str) -> String;

    /// Opens a file of the folder, at best from `offset` on. The path was
    /// checked with the manifest.
    fn open<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>>;
}

/// A file on its way here.
pub(super) struct Opened {
    /// Where the bytes begin: where they were asked for, or at 0 if the
    /// server gives nothing but whole files.
    pub(super) start: u64,
    /// Bytes of the whole file, if the server says so.
    pub(super) total: Option<u64>,
    /// Hexadecimal sha256 of the whole file, if the source vouches for one.
    pub(super) sha256: Option<String>,
    pub(super) bytes: BoxStream<'static, Result<Bytes, Fault>>,
}

/// What went wrong at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: String,
    /// Whether trying again may help.
    pub(super) transient: bool,
}

impl Fault {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: true }
    }

    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: false }
    }

    /// As an error about a file, without anything secret.
    pub(super) fn about(self, url: String, secret: &Secret) -> LoadError {
        let shown: String = secret.hide(&self.reason).chars().take(MAX_REASON).collect();
        let reason = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        LoadError::Fetch { url, reason, transient: self.transient }
    }
}

/// The source that an address names.
pub(super) fn connect(uri: &str, secret: &Secret, client: Client) -> Result<Box<dyn Origin>, LoadError> {
    let unusable = || LoadError::Address(scheme_only(uri));
    let (scheme, rest) = uri.split_once("://").ok_or_else(unusable)?;
    let failed = |fault: Fault| fault.about(scheme_only(uri), secret);
    match scheme {
        "http" | "https" => {
            let web = Web::new(client, uri, secret).ok_or_else(unusable)?;
            Ok(Box::new(web))
        }
        "hf" => Ok(Box::new(hub::open(client, rest, secret).ok_or_else(unusable)?.map_err(failed)?)),
        "oci" => Ok(Box::new(Registry::new(client, rest, secret).ok_or_else(unusable)?)),
        "s3" | "gs" | "az" => {
            let bucket = bucket::open(client, scheme, rest, secret).ok_or_else(unusable)?;
            Ok(Box::new(bucket.map_err(failed)?))
        }
        _ => Err(unusable()),
    }
}

/// An address can hold credentials; its scheme does not.
fn scheme_only(uri: &str) -> String {
    uri.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://…"))
}
