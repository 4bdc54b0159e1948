//! Folders on web servers, and what else is fetched with plain requests.

use std::{error::Error, fmt::Write};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};

use super::{
    origin::{Fault, Opened, Origin},
    secret::Secret,
};

/// A folder below an address.
pub(super) struct Web {
    client: Client,
    base: Url,
    access: Access,
    /// What messages call the folder, instead of its address.
    title: Option<String>,
}

/// What is sent with every request.
#[derive(Clone)]
pub(super) enum Access {
    Open,
    Token(String),
    Login(String, String),
}

impl Access {
    pub(super) fn of(secret: &Secret) -> Self {
        if let Some(token) = secret.get("token") {
            return Self::Token(token.to_owned());
        }
        secret.login().map_or(Self::Open, |(user, password)| Self::Login(user, password))
    }

    pub(super) fn grant(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Open => request,
            Self::Token(token) => request.bearer_auth(token),
            Self::Login(user, password) => request.basic_auth(user, Some(password)),
        }
    }
}

impl Web {
    pub(super) fn new(client: Client, uri: &str, secret: &Secret) -> Option<Self> {
        let base = Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(Self { client, base, access: Access::of(secret), title: None })
    }

    /// The same under another name in messages.
    pub(super) fn titled(client: Client, base: Url, access: Access, title: String) -> Self {
        Self { client, base, access, title: Some(title) }
    }
}

impl Origin for Web {
    fn title(&self, path: &str) -> String {
        self.title
            .as_ref()
            .map_or_else(|| shown(&address(&self.base, path)), |title| format!("{title}/{path}"))
    }

    fn open<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        async move {
            let request = self.client.get(address(&self.base, path));
            opened(send(from(self.access.grant(request), offset)).await?)
        }
        .boxed()
    }
}

/// Asks for what comes after `offset` bytes.
pub(super) fn from(request: RequestBuilder, offset: u64) -> RequestBuilder {
    if offset == 0 { request } else { request.header(header::RANGE, format!("bytes={offset}-")) }
}

/// Sends a request and wants success.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Fault> {
    let response = request.send().await.map_err(|error| broken(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(refused(status))
}

/// Why a server's status is not what was hoped for.
pub(super) fn refused(status: StatusCode) -> Fault {
    let mut reason = format!("the server answered {status}");
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // Writing to a String cannot fail.
        _ = write!(reason, "; look at the Secret named in source.secretRef");
    }
    Fault { reason, transient: is_passing(status) }
}

/// Whether asking again may get another answer.
pub(super) fn is_passing(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || passing.contains(&status)
}

/// What a response brings: a whole file, or the rest of one.
pub(super) fn opened(response: Response) -> Result<Opened, Fault> {
    let (start, total) = if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let unusable = || Fault::passing("the server sent a part without saying which");
        range.and_then(content_range).ok_or_else(unusable)?
    } else {
        (0, response.content_length())
    };
    let bytes = response.bytes_stream().map(|piece| piece.map_err(|error| broken(&error))).boxed();
    Ok(Opened { start, total, sha256: None, bytes })
}

/// `bytes 5-9/10`: where it begins, and how long the whole is.
fn content_range(range: &str) -> Option<(u64, Option<u64>)> {
    let (part, total) = range.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = part.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Why a connection gave no answer, or only half of it.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Fault {
    let chain = || std::iter::successors(Some(error), |&error| error.source());
    let http = |wanted: fn(&reqwest::Error) -> bool| {
        chain().filter_map(|error| error.downcast_ref::<reqwest::Error>()).any(wanted)
    };
    if http(reqwest::Error::is_timeout) {
        return Fault::passing("the server did not answer in time");
    }
    let reason = chain().last().map(ToString::to_string).unwrap_or_default();
    // What is refused here stays refused; all else may pass.
    let refused = http(reqwest::Error::is_redirect) || chain().any(is_untrusted);
    Fault { reason, transient: !refused }
}

/// Whether a certificate was not trusted: an I/O error keeps that to itself.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return is_untrusted(inner);
    }
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}

/// An address without credentials and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Where it is allowed at all, taking these out cannot fail.
    _ = url.set_username("");
    _ = url.set_password(None);
    url.set_query(None);
    url.into()
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
        assert_eq!(shown(&Url::parse("https://me:secret@h/m?token=secret").unwrap()), "https://h/m");
    }

    #[test]
    fn a_part_says_where_it_begins() {
        assert_eq!(content_range("bytes 4-9/10"), Some((4, Some(10))));
        assert_eq!(content_range("bytes 4-9/*"), Some((4, None)));
        for wrong in ["4-9/10", "bytes 4/10", "bytes */10", "bytes -4-9/10"] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
