use std::net::Ipv4Addr;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Asks a server with these routes.
async fn asked(router: Router, method: Method, path: &str) -> Result<ModelStatus, TalkError> {
    let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let address = SocketAddr::new(HERE, port);
    let answer = Network::default().ask(address, Some("secret"), method, path, Bytes::new()).await;
    server.abort();
    answer
}

#[tokio::test]
async fn a_pod_is_asked_with_the_fleets_token() {
    let status = get(|headers: HeaderMap| async move {
        assert_eq!(headers[AUTHORIZATION], "Bearer secret");
        r#"{"serving":null,"previous":null,"staged":[],"task":null,"error":null,"swaps":3,"failedLoads":0,
            "unreturnedBytes":0}"#
    });
    let answer = asked(Router::new().route(STATUS_PATH, status), Method::GET, STATUS_PATH).await;
    assert_eq!(answer.map(|status| status.swaps), Ok(3));
}

#[tokio::test]
async fn what_a_pod_says_against_an_order_is_kept() {
    let refusing =
        Router::new().route(FREE_PATH, post(|| async { (axum::http::StatusCode::CONFLICT, "busy") }));
    let answer = asked(refusing, Method::POST, FREE_PATH).await;
    assert_eq!(answer, Err(TalkError::Refused(409, "busy".to_owned())));
}

#[tokio::test]
async fn a_pod_that_keeps_silent_or_never_ends_holds_nobody_up() {
    let silent = Router::new().route(STATUS_PATH, get(std::future::pending::<&'static str>));
    let answer = asked(silent, Method::GET, STATUS_PATH).await;
    assert!(matches!(answer, Err(TalkError::Silent(_))), "{answer:?}");
    let endless = Router::new().route(STATUS_PATH, get(|| async { vec![b' '; MOST_BYTES + 1] }));
    let answer = asked(endless, Method::GET, STATUS_PATH).await;
    assert!(matches!(answer, Err(TalkError::Silent(_))), "{answer:?}");
}

#[tokio::test]
async fn no_pod_is_asked_to_delete_itself() {
    let pod = Target { address: HERE, token: "secret".to_owned() };
    let answer = Network::default().tell(&pod, &Verb::Recycle(String::new())).await;
    assert!(matches!(answer, Err(TalkError::Refused(..))), "{answer:?}");
}
