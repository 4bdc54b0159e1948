//! The program itself: what it writes, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use common::{JSON, exchange, get, post, until};
use serde_json::json;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

struct Program {
    child: Child,
    events: BufReader<std::process::ChildStderr>,
    speech: SocketAddr,
    health: SocketAddr,
}

impl Program {
    fn start(log_format: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ttsfleet-inference"))
            .args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--log-format", log_format])
            .env("NVIDIA_VISIBLE_DEVICES", "GPU-7")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut events = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert_ne!(events.read_line(&mut line).unwrap(), 0, "it has ended");
        }
        let address = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap();
            rest.split([' ', '"', ',', '\n']).find(|part| !part.is_empty()).unwrap().parse().unwrap()
        };
        let (speech, health) = match log_format {
            "json" => (address(r#""address":"#), address(r#""health":"#)),
            _ => (address("address="), address("health=")),
        };
        Self { child, events, speech, health }
    }

    /// Stops it, and answers what it has written on each stream.
    fn stop(&mut self) -> (String, String) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        let (mut requests, mut events) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut requests).unwrap();
        self.events.read_to_string(&mut events).unwrap();
        (requests, events)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

async fn speak(program: &Program, input: &str) -> u16 {
    let headers = format!("{JSON}traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n");
    let body = json!({"input": input, "response_format": "wav"}).to_string();
    exchange(program.speech, &post(body, &headers)).await.status
}

#[tokio::test]
async fn each_request_leaves_one_line_with_seven_fields_and_no_text() {
    let mut program = Program::start("template");
    until("it is ready", async || get(program.health, "/readyz").await.status == 200).await;
    assert_eq!(speak(&program, "Secret words.").await, 200);
    assert_eq!(speak(&program, "СЕКРЕТ secret").await, 200);
    let (requests, events) = program.stop();
    assert!(!(requests.clone() + &events).to_lowercase().contains("secret"), "{requests}{events}");
    let lines: Vec<Vec<&str>> = requests.lines().map(|line| line.split(" | ").collect()).collect();
    let [whole, skipped] = &lines[..] else { panic!("{requests}") };
    for (line, unspoken) in [(whole, "-"), (skipped, "skipped_chars=6")] {
        let [time, trace, outcome, cost, length, gpu, stack] = line[..] else { panic!("{requests}") };
        assert!(time.len() == "2026-02-25T06:13:20.007Z".len() && time.ends_with('Z'), "{time}");
        assert_eq!((trace, outcome, length, gpu, stack), (TRACE, "OK", "13", "GPU-7", unspoken));
        assert!(cost.strip_suffix("ms").unwrap().parse::<u64>().is_ok(), "{cost}");
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let mut program = Program::start("json");
    // A pipe takes 64 KiB; each of these leaves 100 lines of 200 bytes and more.
    until("it is ready", async || get(program.health, "/readyz").await.status == 200).await;
    let (bad_json, bad_field, undeclared) = (post("{", JSON), post("{}", JSON), post("{}", ""));
    for _ in 0..100 {
        assert_eq!(get(program.speech, "/v1/nothing").await.status, 404);
        assert_eq!(get(program.speech, "/v1/audio/speech").await.status, 405);
        for (request, status) in [(&bad_json, 400), (&bad_field, 400), (&undeclared, 415)] {
            assert_eq!(exchange(program.speech, request).await.status, status);
        }
    }
    assert_eq!(get(program.health, "/healthz").await.status, 200);
    let metrics = String::from_utf8(get(program.health, "/metrics").await.body).unwrap();
    assert!(metrics.contains("ttsfleet_log_lines_dropped_total 0\n"), "{metrics}");
    let killed = Command::new("kill").arg(program.child.id().to_string()).status().unwrap();
    assert!(killed.success() && program.child.wait().unwrap().success(), "it ends all the same");
}

#[tokio::test]
async fn lines_are_json_where_asked() {
    let mut program = Program::start("json");
    assert_eq!(get(program.speech, "/v1/secret").await.status, 404);
    let (requests, events) = program.stop();
    let line: serde_json::Value = serde_json::from_str(&requests).unwrap();
    assert_eq!((&line["error_code"], &line["gpu_id"]), (&json!("NotFound"), &json!("GPU-7")));
    for event in events.lines() {
        serde_json::from_str::<serde_json::Value>(event).unwrap();
    }
}
