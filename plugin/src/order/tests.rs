use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use kube::{Client, Config};
use serde_json::{Value, json};
use ttsfleet_crds::PROMOTE_ANNOTATION;

use super::*;

/// What an API server keeps of the fleet narrator, in which two pools wait.
struct Kept {
    version: usize,
    promote: String,
    /// What somebody else writes just before each of the next writes.
    others: Vec<&'static str>,
    writes: usize,
}

impl Kept {
    fn fleet(&self) -> Value {
        let pool = |name: &str| {
            json!({
                "name": name, "replicas": 2, "ready": 2,
                "rollout": {
                    "phase": "Paused", "since": "2026-11-24T12:00:00Z", "samples": 3, "minSamples": 20,
                    "candidate": {"name": "hibari", "version": "new"}, "message": "no clear answer",
                },
            })
        };
        json!({
            "apiVersion": "ttsfleet.dev/v1alpha1",
            "kind": "TtsDeployment",
            "metadata": {
                "name": "narrator", "generation": 1, "resourceVersion": self.version.to_string(),
                "annotations": {PROMOTE_ANNOTATION: self.promote},
            },
            "spec": {},
            "status": {"observedGeneration": 1, "pools": [pool("main"), pool("backup")]},
        })
    }

    /// Code and answer: as Kubernetes does, it refuses what was made from an old
    /// version, and takes what names none.
    fn write(&mut self, patch: &Value) -> (u16, Value) {
        self.writes += 1;
        if let Some(words) = self.others.pop() {
            (self.version, self.promote) = (self.version + 1, words.to_owned());
        }
        let read = &patch["metadata"]["resourceVersion"];
        if !read.is_null() && *read != json!(self.version.to_string()) {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict",
                "message": "the object has been modified", "code": 409,
            });
            return (409, status);
        }
        let words = patch["metadata"]["annotations"][PROMOTE_ANNOTATION].as_str().unwrap();
        (self.version, self.promote) = (self.version + 1, words.to_owned());
        (200, self.fleet())
    }
}

fn answer(stream: &TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    // A connection may have been opened in advance and not be needed.
    let Some(request) = head.first() else { return };
    let length =
        |line: &String| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    let mut body = vec![0; head.iter().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let (code, answer) = match request.starts_with("PATCH ") {
        true => kept.lock().unwrap().write(&serde_json::from_slice(&body).unwrap()),
        false => (200, kept.lock().unwrap().fleet()),
    };
    let text = answer.to_string();
    let headers = format!("content-type: application/json\r\ncontent-length: {}", text.len());
    let reply = format!("HTTP/1.1 {code} Answer\r\n{headers}\r\nconnection: close\r\n\r\n{text}");
    let mut writer = stream;
    writer.write_all(reply.as_bytes()).unwrap();
}

/// The cluster of an API server where others write this, the last first.
fn cluster(others: &[&'static str]) -> (Cluster, Arc<Mutex<Kept>>) {
    let kept = Kept { version: 1, promote: String::new(), others: others.to_vec(), writes: 0 };
    let kept = Arc::new(Mutex::new(kept));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || answer(&stream.unwrap(), &shared));
        }
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    // No certificate is looked at, and a machine without any is no obstacle.
    config.root_cert = Some(vec![]);
    let client = Client::try_from(config).unwrap();
    (Cluster::in_namespace(client, "studio".to_owned()), kept)
}

#[tokio::test]
async fn what_others_say_meanwhile_about_another_pool_is_kept() {
    let (cluster, kept) = cluster(&["backup/hibari@new/1"]);
    let follows = give(&cluster, Verb::Promote, "narrator", Some("main")).await.unwrap();
    assert!(follows.contains("swap to hibari@new now"), "{follows}");
    let kept = kept.lock().unwrap();
    assert!(kept.promote.starts_with("backup/hibari@new/1,main/hibari@new/"), "{}", kept.promote);
    assert_eq!(kept.writes, 2);
}

#[tokio::test]
async fn a_fleet_that_others_keep_changing_is_given_up_with_an_error() {
    let (cluster, kept) = cluster(&["backup/hibari@new/1"; 2 * TRIES]);
    let error = give(&cluster, Verb::Promote, "narrator", Some("main")).await.unwrap_err().to_string();
    assert!(error.contains("nothing was written"), "{error}");
    let kept = kept.lock().unwrap();
    assert_eq!((kept.writes, kept.promote.as_str()), (TRIES, "backup/hibari@new/1"));
}
