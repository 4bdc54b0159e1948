//! Over TLS, with a certificate that nobody but us trusts.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

use crate::depot::{Model, Pod, servers::host};

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
    let plain = host(&model).await;
    let (secure, certificate) = redirect_all(&format!("http://{plain}/model.json"));
    let endpoint = format!("https://localhost:{}", secure.port());
    pod.secret("trust", &[("ca.crt", &certificate), ("AWS_ENDPOINT_URL", &endpoint)]);
    pod.secret("no-trust", &[("AWS_ENDPOINT_URL", &endpoint)]);
    pod.secret("empty", &[("ca.crt", "nothing")]);
    let stage = async |uri: &str, secret| {
        let error = pod.stage(&model.at(uri, secret)).await.unwrap_err();
        assert!(!error.is_transient(), "trying again does not help: {error}");
        error.to_string()
    };
    let empty = stage(&endpoint, Some("empty")).await;
    assert_eq!(empty, "cannot use the Secret \"empty\": ca.crt holds no certificate in PEM form");
    for (uri, without) in [(endpoint.as_str(), None), ("s3://voices/a", Some("no-trust"))] {
        let untrusted = stage(uri, without).await;
        assert!(untrusted.contains("invalid peer certificate"), "{untrusted}");
        let refused = stage(uri, Some("trust")).await;
        assert!(refused.contains("a redirect from https to http is not followed"), "{refused}");
    }
    assert!(pod.stored().is_empty());
}
