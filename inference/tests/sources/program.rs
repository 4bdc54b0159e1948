//! The program itself, killed while it fetches.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ttsfleet_wire::model::ModelRecord;

use crate::depot::{
    Model, Pod,
    line::{End, Line},
    servers::host,
};

/// The speech server, killed with the test.
struct Program(Child);

impl Program {
    fn start(pod: &Pod, record: &ModelRecord) -> Self {
        let model_file = pod.folder.path().join("model.json");
        fs::write(&model_file, serde_json::to_vec(record).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ttsfleet-inference"));
        command.args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--model-file"]);
        command.arg(model_file).arg("--store").arg(pod.store());
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

#[tokio::test]
async fn a_server_killed_while_it_fetches_leaves_no_half_model_and_the_next_goes_on() {
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let server = host(&model).await;
    let line = Line::to(server, End::Stall).await;
    line.break_after(model.size() / 2);
    let record = model.at(format!("http://{}", line.address), None);
    let mut program = Program::start(&pod, &record);
    let partial = format!(".partial-{}", model.name());
    let weights = pod.store().join(&partial).join("weights.bin");
    let there = || fs::metadata(&weights).map_or(0, |about| about.len());
    until("half of it is there", || line.breaks() == 1 && there() > model.size() / 2 - (64 << 10)).await;
    program.kill();
    assert_eq!(pod.stored(), [partial], "nothing that looks like a model");
    let (sent, had) = (line.sent(), there());
    line.mend();
    let _next = Program::start(&pod, &record);
    until("the model is in the store", || pod.stored() == [model.name()]).await;
    let again = line.sent() - sent;
    assert!(again < model.size() - had + (64 << 10), "{again} bytes again, though {had} were there");
}
