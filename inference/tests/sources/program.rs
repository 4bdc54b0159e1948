//! The program itself, killed while it fetches, and sent away from encryption.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{self, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use ttsfleet_wire::model::ModelRecord;

use crate::depot::{
    Model, Pod, file,
    line::{End, Line},
    servers::serve,
};

/// The speech server, killed with the test.
struct Program(Child);

impl Program {
    fn start(pod: &Pod, record: &ModelRecord, trusted: Option<&Path>) -> Self {
        let folder = pod.folder.path();
        let (model_file, last_words) = (folder.join("model.json"), folder.join("last-words"));
        fs::write(&model_file, serde_json::to_vec(record).unwrap()).unwrap();
        fs::write(&last_words, "").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ttsfleet-inference"));
        command.args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--model-file"]);
        command.arg(model_file).arg("--store").arg(pod.store()).arg("--termination-log").arg(last_words);
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn give(
    State(model): State<Arc<Model>>,
    extract::Path(path): extract::Path<String>,
    headers: HeaderMap,
) -> Response {
    model.find(&path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |bytes| file(bytes, &headers))
}

#[tokio::test]
async fn a_server_killed_while_it_fetches_leaves_no_half_model_and_the_next_goes_on() {
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let server = serve(Router::new().route("/{*path}", get(give)).with_state(Arc::clone(&model))).await;
    let line = Line::to(server, End::Stall).await;
    line.break_after(model.size() / 2);
    let record = model.at(format!("http://{}", line.address), None);
    let mut program = Program::start(&pod, &record, None);
    let partial = format!(".partial-{}", model.name());
    let weights = pod.store().join(&partial).join("weights.bin");
    let there = || fs::metadata(&weights).map_or(0, |about| about.len());
    until("half of it is there", || line.breaks() == 1 && there() > model.size() / 2 - (64 << 10)).await;
    program.kill();
    assert_eq!(pod.stored(), [partial], "nothing that looks like a model");
    let (sent, had) = (line.sent(), there());
    line.mend();
    let _next = Program::start(&pod, &record, None);
    until("the model is in the store", || pod.stored() == [model.name()]).await;
    let again = line.sent() - sent;
    assert!(again < model.size() - had + (64 << 10), "{again} bytes again, though {had} were there");
}

/// Answers every request over TLS with a redirect, and gives its certificate.
fn redirect_all(to: &str) -> (SocketAddr, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (socket, config) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(config));
    let address = socket.local_addr().unwrap();
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            _ = answer_one(stream.unwrap(), Arc::clone(&config), &answer);
        }
    });
    (address, cert.pem())
}

fn answer_one(stream: TcpStream, config: Arc<ServerConfig>, answer: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
    }
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[tokio::test]
async fn a_redirect_that_gives_up_encryption_is_refused() {
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let plain = serve(Router::new().route("/{*path}", get(give)).with_state(Arc::clone(&model))).await;
    let (secure, certificate) = redirect_all(&format!("http://{plain}/model.json"));
    let trusted = pod.folder.path().join("trusted.pem");
    fs::write(&trusted, certificate).unwrap();
    let record = model.at(format!("https://localhost:{}", secure.port()), None);
    let _program = Program::start(&pod, &record, Some(&trusted));
    let last_words = || fs::read_to_string(pod.folder.path().join("last-words")).unwrap();
    until("it has said why", || !last_words().is_empty()).await;
    assert!(last_words().contains("a redirect from https to http is not followed"), "{}", last_words());
    assert!(pod.stored().is_empty());
}
