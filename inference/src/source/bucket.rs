//! Folders in object stores: S3 and what speaks like it, Google Cloud Storage,
//! Azure Blob Storage.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering::Relaxed},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
    gcp::{GcpCredential, GoogleCloudStorageBuilder},
    path::Path,
};
use reqwest::{Client, StatusCode};

use super::{
    origin::{Fault, Opened, Origin},
    secret::Secret,
    web::{broken, refused},
};

/// How much of an answer that is no file is read, in bytes.
const MAX_COMPLAINT: usize = 16 << 10;

/// A folder in a bucket or container.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// Of the last answer; 0 if there was none.
    status: Arc<AtomicU16>,
    scheme: String,
    name: String,
    folder: String,
}

/// Opens `bucket/folder`; none if it is not like that.
pub(super) fn open(
    client: Client,
    scheme: &str,
    place: &str,
    secret: &Secret,
) -> Option<Result<Bucket, Fault>> {
    let (name, folder) = place.split_once('/').unwrap_or((place, ""));
    if name.is_empty() || name.contains(['@', ':', '?', '#']) {
        return None;
    }
    let status = Arc::new(AtomicU16::new(0));
    let line = Line { client, status: Arc::clone(&status) };
    let store = match scheme {
        "s3" => amazon(name, secret, line),
        "gs" => google(name, secret, line),
        _ => azure(name, secret, line),
    };
    let folder = folder.trim_matches('/').to_owned();
    let open = |store| Bucket { store, status, scheme: scheme.to_owned(), name: name.to_owned(), folder };
    Some(store.map(open))
}

/// Fetching is tried again by the one who asks.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn amazon(bucket: &str, secret: &Secret, line: Line) -> Result<Arc<dyn ObjectStore>, Fault> {
    use AmazonS3ConfigKey as Key;
    let mut builder =
        AmazonS3Builder::new().with_bucket_name(bucket).with_http_connector(line).with_retry(once());
    for (key, setting) in [
        ("AWS_ACCESS_KEY_ID", Key::AccessKeyId),
        ("AWS_SECRET_ACCESS_KEY", Key::SecretAccessKey),
        ("AWS_SESSION_TOKEN", Key::Token),
        ("AWS_REGION", Key::Region),
        ("AWS_ENDPOINT_URL", Key::Endpoint),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", Key::VirtualHostedStyleRequest),
    ] {
        if let Some(value) = secret.get(key) {
            builder = builder.with_config(setting, value);
        }
    }
    let open = secret.get("AWS_ACCESS_KEY_ID").is_none();
    let built = builder.with_skip_signature(open).build();
    built.map(|store| Arc::new(store) as _).map_err(|error| unusable(&error))
}

fn google(bucket: &str, secret: &Secret, line: Line) -> Result<Arc<dyn ObjectStore>, Fault> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_http_connector(line)
        .with_retry(once());
    if let Some(address) = secret.get("GOOGLE_BASE_URL") {
        builder = builder.with_base_url(address.trim_end_matches('/'));
    }
    if let Some(key) = secret.get("GOOGLE_SERVICE_ACCOUNT_KEY") {
        builder = builder.with_service_account_key(key);
    } else {
        // Given even where it is empty: else the machine is asked for one.
        let bearer = secret.get("token").unwrap_or_default().to_owned();
        let open = bearer.is_empty();
        let credentials = Arc::new(StaticCredentialProvider::new(GcpCredential { bearer }));
        builder = builder.with_credentials(credentials).with_skip_signature(open);
    }
    builder.build().map(|store| Arc::new(store) as _).map_err(|error| unusable(&error))
}

fn azure(container: &str, secret: &Secret, line: Line) -> Result<Arc<dyn ObjectStore>, Fault> {
    use AzureConfigKey as Key;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_http_connector(line)
        .with_retry(once());
    for (key, setting) in [
        ("AZURE_STORAGE_ACCOUNT_NAME", Key::AccountName),
        ("AZURE_STORAGE_ACCOUNT_KEY", Key::AccessKey),
        ("AZURE_STORAGE_SAS_KEY", Key::SasKey),
        ("AZURE_STORAGE_CLIENT_ID", Key::ClientId),
        ("AZURE_STORAGE_CLIENT_SECRET", Key::ClientSecret),
        ("AZURE_STORAGE_TENANT_ID", Key::AuthorityId),
        ("AZURE_STORAGE_ENDPOINT", Key::Endpoint),
    ] {
        if let Some(value) = secret.get(key) {
            builder = builder.with_config(setting, value);
        }
    }
    let keys = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_CLIENT_SECRET"];
    let open = keys.iter().all(|key| secret.get(key).is_none());
    let built = builder.with_skip_signature(open).build();
    built.map(|store| Arc::new(store) as _).map_err(|error| unusable(&error))
}

fn unusable(error: &object_store::Error) -> Fault {
    Fault::lasting(format!("the source's settings cannot be used: {error}"))
}

impl Bucket {
    fn key(&self, path: &str) -> String {
        if self.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", self.folder) }
    }

    /// In our own words where the server has answered; it would repeat keys.
    fn fault(&self, error: &object_store::Error) -> Fault {
        let status = StatusCode::from_u16(self.status.load(Relaxed)).ok();
        match status.filter(|status| !status.is_success()) {
            Some(status) => refused(status),
            None => broken(error),
        }
    }
}

impl Origin for Bucket {
    fn title(&self, path: &str) -> String {
        format!("{}://{}/{}", self.scheme, self.name, self.key(path))
    }

    fn open<'a>(&'a self, path: &'a str, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        async move {
            let key = Path::parse(self.key(path)).map_err(|error| Fault::lasting(error.to_string()))?;
            let range = (offset > 0).then_some(GetRange::Offset(offset));
            self.status.store(0, Relaxed);
            let options = GetOptions { range, ..GetOptions::default() };
            let got = self.store.get_opts(&key, options).await.map_err(|error| self.fault(&error))?;
            let (start, total) = (got.range.start, Some(got.meta.size));
            let bytes = got.into_stream().map(|piece| piece.map_err(|error| broken(&error))).boxed();
            Ok(Opened { start, total, sha256: None, bytes })
        }
        .boxed()
    }
}

/// Our own client beneath theirs: its trust, its limits, its redirects.
#[derive(Debug, Clone)]
struct Line {
    client: Client,
    status: Arc<AtomicU16>,
}

impl HttpConnector for Line {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Line {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = HttpService::call(&self.client, request).await?;
        self.status.store(answer.status().as_u16(), Relaxed);
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        Ok(HttpResponse::from_parts(parts, complaint(body).await.into()))
    }
}

/// The beginning of what a server says in place of a file.
async fn complaint(body: HttpResponseBody) -> Bytes {
    let mut said = Vec::new();
    let mut pieces = body.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        let room = MAX_COMPLAINT - said.len();
        said.extend_from_slice(&piece[..piece.len().min(room)]);
        if said.len() == MAX_COMPLAINT {
            break;
        }
    }
    said.into()
}
