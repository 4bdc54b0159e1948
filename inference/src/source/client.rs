//! The HTTP client that models are fetched with.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{LoadError, secret::Secret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Certificates trusted besides the public ones, as other programs read it.
const ENV_CERTIFICATES: &str = "SSL_CERT_FILE";

/// The key of a Secret with certificates for this source.
const CERTIFICATES_KEY: &str = "ca.crt";

/// The client that models are fetched with. The public roots are built in, as
/// an image need not have any. Fails when other certificates cannot be read.
pub(super) fn client(secret: &Secret) -> Result<Client, LoadError> {
    let wrong = |reason: String| {
        let path = std::env::var(ENV_CERTIFICATES).unwrap_or_default();
        LoadError::Certificates { path, reason }
    };
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os(ENV_CERTIFICATES) {
        let certificates = CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))?;
        roots.add_parsable_certificates(certificates.flatten());
    }
    if let Some(text) = secret.get(CERTIFICATES_KEY) {
        let added =
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(text.as_bytes()).flatten());
        if added.0 == 0 {
            return Err(secret.unusable(&format!("{CERTIFICATES_KEY} holds no certificate in PEM form")));
        }
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
        // The query of an address may be a signature, which is a credential.
        .referer(false)
        .build();
    built.map_err(|error| wrong(error.to_string()))
}

/// A few redirects, and none that gives up encryption. Credentials are not
/// taken along to another host.
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
