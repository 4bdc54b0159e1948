//! Orders for a server's models, and what has come of them.

use serde_json::{Value, json};
use ttsfleet_wire::model::ModelRecord;

use super::{Running, admin, status, until};

pub(crate) async fn first(server: &Running) -> ModelRecord {
    status(server).await.serving.unwrap().record
}

pub(crate) async fn stage(server: &Running, record: &ModelRecord) -> u16 {
    admin(server, "POST /v1/model/stage", json!({"record": record})).await.status
}

pub(crate) async fn swap(server: &Running, record: &ModelRecord, headroom: &str) -> u16 {
    let order = json!({"record": record, "headroom": headroom});
    admin(server, "POST /v1/model/swap", order).await.status
}

pub(crate) async fn tell(server: &Running, verb: &str) -> u16 {
    admin(server, &format!("POST /v1/model/{verb}"), Value::Null).await.status
}

pub(crate) async fn serving(server: &Running) -> String {
    status(server).await.serving.map_or_else(String::new, |loaded| loaded.version)
}

pub(crate) async fn serves(server: &Running, version: &str) {
    until("it serves", async || serving(server).await == version).await;
}

/// Waits until nothing is being done.
pub(crate) async fn rests(server: &Running) {
    until("all is done", async || status(server).await.task.is_none()).await;
}
