//! Answers that break off, and pods that go on with them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Response},
};
use futures::{Stream, StreamExt, stream};
use serde_json::json;
use support::{Front, Got, pod, streamed, table};
use tokio::sync::mpsc;
use ttsfleet_wire::{
    error::ErrorCode,
    route::{OnOverflow, RouteTable},
};

const WHOLE: &[u8] = b"0123456789abcdefghij";

/// What a pod does that is asked for the first, second … time.
#[derive(Clone, Copy)]
enum Play {
    /// Speaks so many bytes and breaks off.
    Break(usize),
    /// Speaks so many bytes and no more.
    Stall(usize),
    /// Speaks these to their end, in pieces of seven.
    Speak(&'static [u8]),
}

fn pieces(play: Play) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (bytes, end): (&[u8], _) = match play {
        Play::Break(most) => (&WHOLE[..most], Some(Err(io::ErrorKind::BrokenPipe.into()))),
        Play::Stall(most) => (&WHOLE[..most], None),
        Play::Speak(all) => (all, None),
    };
    let stalls = matches!(play, Play::Stall(_));
    let pieces = stream::iter(bytes.chunks(7).map(Bytes::from_static)).then(async |piece| {
        // Each goes out by itself.
        tokio::task::yield_now().await;
        Ok(piece)
    });
    let end = stream::iter(end).then(async |broken| {
        // What was said before goes out first: an error drops what has not.
        tokio::task::yield_now().await;
        broken
    });
    let end = end.chain(stream::once(async move {
        if stalls {
            std::future::pending::<()>().await;
        }
        Ok(Bytes::new())
    }));
    pieces.chain(end)
}

/// Two pods that together play these parts, one request after the other, the last
/// of them again and again; and what they got.
async fn playing(
    content_type: &'static str,
    model: [&'static str; 2],
    plays: &'static [Play],
) -> (Vec<SocketAddr>, mpsc::UnboundedReceiver<HeaderMap>) {
    let (sender, got) = mpsc::unbounded_channel();
    let asked = Arc::new(AtomicUsize::new(0));
    let respond = move |(headers, _): Got| {
        sender.send(headers).unwrap();
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            let play = plays[number.min(plays.len() - 1)];
            let mut response: Response<_> = streamed(content_type, pieces(play));
            response.headers_mut().insert("x-tts-digest", model[number.min(1)].parse().unwrap());
            response
        }
    };
    let pods = [pod(respond.clone()).await.0, pod(respond).await.0];
    (pods.into(), got)
}

async fn front(table: RouteTable, pods: &[SocketAddr]) -> Front {
    let front = Front::start(table).await;
    front.pods("main", pods);
    front
}

/// The bytes that a caller gets, and whether they come to an end.
async fn heard(front: &Front) -> (Vec<u8>, bool) {
    let response = front.speak(&json!({"input": "Hello"})).await;
    assert_eq!(response.status(), 200);
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}

fn count(front: &Front, outcome: &str) -> bool {
    let line = format!("ttsfleet_gateway_resumed_total{{outcome=\"{outcome}\"}} 1\n");
    front.gateway.metrics_text().unwrap().contains(&line)
}

const SAME: [&str; 2] = ["sha256:00", "sha256:00"];

#[tokio::test]
async fn another_pod_goes_on_with_an_answer_that_breaks_off() {
    let (pods, mut got) = playing("audio/mpeg", SAME, &[Play::Break(9), Play::Speak(WHOLE)]).await;
    let front = front(table(), &pods).await;
    assert_eq!(heard(&front).await, (WHOLE.to_vec(), true));
    assert!(count(&front, "resumed"));
    let (first, second) = (got.recv().await.unwrap(), got.recv().await.unwrap());
    for name in ["x-request-id", "x-tts-came-at"] {
        assert_eq!(first[name], second[name], "or the bytes would differ");
    }
    assert!(!first.contains_key("x-tts-resumed"));
    assert_eq!(second["x-tts-resumed"], "true");
}

#[tokio::test]
async fn one_that_stalls_is_gone_on_with_too() {
    let (pods, _got) = playing("audio/mpeg", SAME, &[Play::Stall(14), Play::Speak(WHOLE)]).await;
    assert_eq!(heard(&front(table(), &pods).await).await, (WHOLE.to_vec(), true));
}

#[tokio::test]
async fn an_answer_may_break_off_twice_and_not_more_often() {
    let (pods, _got) =
        playing("audio/mpeg", SAME, &[Play::Break(3), Play::Break(9), Play::Speak(WHOLE)]).await;
    assert_eq!(heard(&front(table(), &pods).await).await, (WHOLE.to_vec(), true));
    let (pods, _got) =
        playing("audio/mpeg", SAME, &[Play::Break(3), Play::Break(9), Play::Break(15), Play::Speak(WHOLE)])
            .await;
    assert_eq!(heard(&front(table(), &pods).await).await, (WHOLE[..15].to_vec(), false));
}

#[tokio::test]
async fn what_the_other_pod_would_say_otherwise_stays_broken() {
    let plays: [&'static [Play]; 3] = [
        &[Play::Break(9), Play::Speak(b"0123X56789abcdefghij")],
        &[Play::Break(9), Play::Speak(b"0123456")],
        &[Play::Break(9), Play::Break(5), Play::Break(5)],
    ];
    for plays in plays {
        let (pods, _got) = playing("audio/mpeg", SAME, plays).await;
        let front = front(table(), &pods).await;
        assert_eq!(heard(&front).await, (WHOLE[..9].to_vec(), false));
        assert!(count(&front, "broken"));
    }
}

#[tokio::test]
async fn another_model_does_not_go_on_with_what_the_first_began() {
    let plays = &[Play::Break(9), Play::Speak(WHOLE)];
    let (pods, _got) = playing("audio/mpeg", ["sha256:00", "sha256:01"], plays).await;
    assert_eq!(heard(&front(table(), &pods).await).await, (WHOLE[..9].to_vec(), false));
}

#[tokio::test]
async fn to_go_on_is_a_retry_and_there_must_be_some_left() {
    let (pods, mut got) = playing("audio/mpeg", SAME, &[Play::Break(9), Play::Speak(WHOLE)]).await;
    let mut table = table();
    table.retries.budget_percent = 0;
    assert_eq!(heard(&front(table, &pods).await).await, (WHOLE[..9].to_vec(), false));
    got.recv().await.unwrap();
    assert!(got.try_recv().is_err(), "nobody else is asked");
}

#[tokio::test]
async fn events_go_on_where_they_broke_off_also_within_one() {
    const EVENTS: &[u8] = b"data: {\"a\": 1}\n\ndata: {\"b\": 2}\n\ndata: {\"c\": 3}\n\n";
    let respond = {
        let asked = Arc::new(AtomicUsize::new(0));
        move |_| {
            let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let bytes = if first { &EVENTS[..21] } else { EVENTS };
                let broken = first.then(|| Err(io::ErrorKind::BrokenPipe.into()));
                let pieces = stream::iter([Ok(Bytes::from_static(bytes))].into_iter().chain(broken));
                let pieces = pieces.then(async |piece| {
                    tokio::task::yield_now().await;
                    piece
                });
                let mut response = streamed("text/event-stream", pieces);
                response.headers_mut().insert("x-tts-digest", "sha256:00".parse().unwrap());
                response
            }
        }
    };
    let pods = [pod(respond.clone()).await.0, pod(respond).await.0];
    assert_eq!(heard(&front(table(), &pods).await).await, (EVENTS.to_vec(), true));
}

#[tokio::test]
async fn a_pod_that_has_no_room_for_the_rest_of_a_long_text_is_still_asked_for_short_ones() {
    let (breaking, _got) = playing("audio/mpeg", SAME, &[Play::Break(9)]).await;
    let (busy, _) = pod(|(headers, _)| async move {
        if headers.contains_key("x-tts-long") {
            return support::error(ErrorCode::TooManyRequests);
        }
        streamed("audio/mpeg", pieces(Play::Speak(WHOLE)))
    })
    .await;
    let mut table = table();
    (table.limits.max_input_chars, table.limits.on_overflow) = (4, OnOverflow::Auto);
    let front = front(table, &[breaking[0], busy]).await;
    // It may be the busy one that is asked first, which then leaves the text to the other.
    assert_eq!(heard(&front).await, (WHOLE[..9].to_vec(), false));
    front.pods("main", &[busy]);
    let short = front.speak(&json!({"input": "Hi"})).await;
    assert_eq!((short.status().as_u16(), short.bytes().await.unwrap()), (200, WHOLE.into()));
}
