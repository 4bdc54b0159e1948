//! Real servers of the kinds that models are fetched from.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{self, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use tempfile::TempDir;
use ttsfleet_e2e::{progress::Silent, tools::ensure_source_servers};
use ttsfleet_models::sha256_hex;

use super::{Model, file};

pub(crate) const USER: &str = "voice-reader";
pub(crate) const PASSWORD: &str = "swordfish";
/// bcrypt of [`PASSWORD`], cheap.
const PASSWORD_FILE: &str = "voice-reader:$2a$04$3LiJ22zJNEnc6jSL1srhOeMlT51ysLYKZ2hHGiw9ne6Q8HRe4GgaS\n";

/// A program that ends with the test, also when the test is killed.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Server {
    /// Waits until it listens.
    fn start(name: &str, address: SocketAddr, folder: TempDir, arguments: &[String]) -> Self {
        let program = ensure_source_servers(&Silent).unwrap().path(name);
        let log = folder.path().join("log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).unwrap())
            .stderr(fs::File::options().append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let server = Self { address, child, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(20), "{name}: {}", fs::read_to_string(&log).unwrap());
            sleep(Duration::from_millis(20));
        }
        server
    }

    /// Speaks S3, with the model at `voices/a/tones`.
    pub(crate) fn s3(model: &Model) -> Self {
        let (address, folder) = (free(), tempfile::tempdir().unwrap());
        let data = folder.path().join("data");
        model.write_to(&data.join("voices/a/tones"));
        let arguments = [
            "--quiet",
            "--port",
            &address.to_string(),
            "--access",
            USER,
            "--secret",
            PASSWORD,
            "posix",
            "--nometa",
            "--default-etag",
            "file",
            path(&data),
        ];
        Self::start("versitygw", address, folder, &arguments.map(str::to_owned))
    }

    /// Speaks as Google Cloud Storage does, with the model at `voices/a/tones`;
    /// `public` is where it is asked for.
    pub(crate) fn gcs(model: &Model, address: SocketAddr, public: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        model.write_to(&data.join("voices/a/tones"));
        let (host, port, public) = (address.ip().to_string(), address.port().to_string(), public.to_string());
        let arguments = [
            ["-scheme", "http"],
            ["-host", &host],
            ["-port", &port],
            ["-public-host", &public],
            ["-backend", "memory"],
            ["-data", path(&data)],
            ["-log-level", "warn"],
        ];
        let arguments: Vec<String> = arguments.concat().iter().map(ToString::to_string).collect();
        Self::start("fake-gcs-server", address, folder, &arguments)
    }

    /// A registry of artifacts, and how it asks for credentials.
    pub(crate) fn registry(door: &Door) -> Self {
        let (address, folder) = (free(), tempfile::tempdir().unwrap());
        let passwords = folder.path().join("passwords");
        fs::write(&passwords, PASSWORD_FILE).unwrap();
        let auth = match door {
            Door::Open => String::new(),
            Door::Password => format!("auth: {{htpasswd: {{realm: voices, path: {}}}}}", path(&passwords)),
            Door::Token(realm) => format!("auth: {{silly: {{realm: \"{realm}\", service: voices}}}}"),
        };
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n{auth}\n",
            path(&folder.path().join("data"))
        );
        fs::write(&config, text).unwrap();
        let arguments = ["serve", path(&config)].map(str::to_owned);
        Self::start("registry", address, folder, &arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// How a registry asks for credentials.
pub(crate) enum Door {
    Open,
    Password,
    /// Sends clients to this address for a token.
    Token(String),
}

/// Pushes the model as `oras push` does, and answers the artifact's digest.
pub(crate) async fn push(registry: SocketAddr, repository: &str, model: &Model) -> String {
    // Fails where another test has done it.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let base = format!("http://{registry}/v2/{repository}");
    let mut layers = Vec::new();
    for (path, bytes) in model.files.iter().chain([&("".to_owned(), b"{}".to_vec())]) {
        let digest = format!("sha256:{}", sha256_hex(bytes));
        let begun = client.post(format!("{base}/blobs/uploads/")).basic_auth(USER, Some(PASSWORD));
        let begun = begun.send().await.unwrap();
        let place = begun.headers()["location"].to_str().unwrap().to_owned();
        let put = client.put(format!("{place}&digest={digest}")).basic_auth(USER, Some(PASSWORD));
        assert_eq!(put.body(bytes.clone()).send().await.unwrap().status(), 201);
        layers.push(serde_json::json!({
            "mediaType": "application/octet-stream", "digest": digest, "size": bytes.len(),
            "annotations": {"org.opencontainers.image.title": path},
        }));
    }
    let mut config = layers.pop().unwrap();
    config.as_object_mut().unwrap().remove("annotations");
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.ttsfleet.model",
        "config": config, "layers": layers,
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let digest = format!("sha256:{}", sha256_hex(&manifest));
    let put = client.put(format!("{base}/manifests/{digest}")).header("content-type", media_type);
    let put = put.basic_auth(USER, Some(PASSWORD)).body(manifest).send().await.unwrap();
    assert_eq!(put.status(), 201, "{}", put.text().await.unwrap());
    digest
}

/// Serves routes of a test's own.
pub(crate) async fn serve(routes: Router) -> SocketAddr {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async { axum::serve(socket, routes).await });
    address
}

/// Serves the model's files to everyone.
pub(crate) async fn host(model: &Arc<Model>) -> SocketAddr {
    serve(Router::new().route("/{*path}", get(give)).with_state(Arc::clone(model))).await
}

async fn give(
    State(model): State<Arc<Model>>,
    extract::Path(path): extract::Path<String>,
    headers: HeaderMap,
) -> Response {
    model.find(&path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |bytes| file(bytes, &headers))
}

/// An address that nobody listens on.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
