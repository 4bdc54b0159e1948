//! The speech server as a process of this machine, and its admin API.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ttsfleet_models::sha256_hex;
use ttsfleet_wire::admin::{FREE_PATH, LoadedModel, ModelStatus, STAGE_PATH, STATUS_PATH, SWAP_PATH};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

pub(crate) const SPEECH: &str = "127.0.0.1:18110";
const HEALTH: &str = "127.0.0.1:18111";
const ADMIN: &str = "127.0.0.1:18112";
const TOKEN: &str = "bench";
/// As long as the server itself waits for a model.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(10);

/// The built-in voice as files, under another version.
pub(crate) fn write_voice(folder: &Path, version: &str) -> Result<ModelRecord> {
    ttsfleet_voice::write_to(folder)?;
    let path = folder.join("model.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path)?)?;
    manifest["version"] = version.into();
    let bytes = serde_json::to_vec(&manifest)?;
    fs::write(&path, &bytes)?;
    let digest = Some(format!("sha256:{}", sha256_hex(&bytes)));
    let source = ModelSource { uri: format!("file://{}", folder.display()), digest, secret: None };
    let name = manifest["name"].as_str().unwrap_or_default().to_owned();
    Ok(ModelRecord { name, version: version.to_owned(), source: Some(source) })
}

pub(crate) struct Server {
    child: Child,
    client: reqwest::Client,
}

impl Server {
    /// Starts it with a model, and waits until it is ready.
    pub(crate) async fn start(binary: &Path, folder: &Path, first: &ModelRecord) -> Result<Self> {
        let (record, store) = (folder.join("record.json"), folder.join("store"));
        fs::write(&record, serde_json::to_vec(first)?)?;
        let mut command = Command::new(binary);
        command.args(["--listen", SPEECH, "--health-listen", HEALTH, "--admin-listen", ADMIN]);
        command.args(["--admin-token-sha256", &sha256_hex(TOKEN.as_bytes())]);
        command.arg("--model-file").arg(record).arg("--store").arg(store);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("cannot start the speech server")?;
        let server = Self { child, client: crate::load::keeping_client() };
        let begun = Instant::now();
        let ready = async || server.client.get(format!("http://{HEALTH}/readyz")).send().await;
        while !ready().await.is_ok_and(|answer| answer.status() == 200) {
            ensure!(begun.elapsed() < PATIENCE, "the speech server is not ready");
            tokio::time::sleep(LOOK).await;
        }
        Ok(server)
    }

    pub(crate) fn speech_url(&self) -> String {
        format!("http://{SPEECH}")
    }

    /// Anonymous memory that is resident, in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
        let kib: f64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        kib / 1024.0
    }

    pub(crate) async fn status(&self) -> Result<ModelStatus> {
        let asked = self.client.get(format!("http://{ADMIN}{STATUS_PATH}")).bearer_auth(TOKEN).send().await?;
        Ok(asked.error_for_status()?.json().await?)
    }

    async fn order(&self, path: &str, body: &Value) -> Result<ModelStatus> {
        let order = self.client.post(format!("http://{ADMIN}{path}")).bearer_auth(TOKEN).json(body);
        Ok(order.send().await?.error_for_status()?.json().await?)
    }

    pub(crate) async fn tell(&self, verb: &str) -> Result<ModelStatus> {
        self.order(&format!("/v1/model/{verb}"), &Value::Null).await
    }

    /// Has it serve the model, and waits for it.
    pub(crate) async fn swap(&self, record: &ModelRecord) -> Result<LoadedModel> {
        let status = self.order(SWAP_PATH, &json!({"record": record, "headroom": "Overlap"})).await?;
        let is_served =
            |status: &ModelStatus| status.serving.as_ref().is_some_and(|model| model.record == *record);
        let status = self.wait(status, is_served).await?;
        status.serving.context("nothing is served")
    }

    /// Has it free the other model, and answers the bytes that did not return.
    pub(crate) async fn free(&self) -> Result<u64> {
        let status = self.order(FREE_PATH, &Value::Null).await?;
        Ok(self.wait(status, |status| status.previous.is_none()).await?.unreturned_bytes)
    }

    /// Has it stage the model, and answers how long that took.
    pub(crate) async fn stage(&self, record: &ModelRecord) -> Result<Duration> {
        let begun = Instant::now();
        let status = self.order(STAGE_PATH, &json!({"record": record})).await?;
        self.wait(status, |status| status.staged.contains(record)).await?;
        Ok(begun.elapsed())
    }

    async fn wait(
        &self,
        mut status: ModelStatus,
        done: impl Fn(&ModelStatus) -> bool,
    ) -> Result<ModelStatus> {
        let begun = Instant::now();
        while !done(&status) {
            ensure!(status.error.is_none(), "the server failed: {:?}", status.error);
            ensure!(begun.elapsed() < PATIENCE, "waited in vain: {:?}", status.task);
            tokio::time::sleep(LOOK).await;
            status = self.status().await?;
        }
        Ok(status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
