//! What the tests of rollouts share: a fleet that voices are shipped to, and
//! callers who hear what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::target::Target;
use ttsfleet_e2e::tools::cache_dir;
use ttsfleet_e2e::voices::Voices;
use ttsfleet_e2e::waiting::eventually;

use crate::support::{Namespace, cluster};

/// Every voice that is shipped here.
const VERSIONS: [&str; 19] = [
    "equal",
    "better",
    "noisy",
    "wrong-melody",
    "monotone",
    "wrong-pitch",
    "fast",
    "dropped-phonemes",
    "silent",
    "failing",
    "unloadable",
    "altered",
    "truncated",
    "late-start",
    "slow",
    "crashing",
    "hanging",
    "out-of-memory",
    "large",
];

/// Short texts, each of which counts once; those in the second half have the
/// sound that a failing voice cannot make.
const PROMPTS: &str = "\
Please call me back tomorrow morning.
The weather will be sunny today.
We need three more chairs.
The train leaves from the second platform.
He bought a loaf of bread.
Thank you for your help.
My brother lives by the sea.
The soup is too hot to eat.
Put the keys on the table.
She sings in the evening.
Our garden is full of flowers.
The door was left open.
I forgot my umbrella.
They walked along the river.
The baker gets up before dawn.
Nobody answered the phone.
The blue car is ours.
Turn right at the bridge.
It will snow in the hills.
The students asked good questions.
We usually meet on Monday.
It was a pleasure to see you.
The decision is final.
They measure it every year.
The television was very loud.
She has a clear vision of it.
The usual price is ten dollars.
He has no leisure at all.
There was a collision at noon.
The garage is locked at night.
They found the treasure in a cave.
Her confusion was easy to see.
The explosion woke the whole town.
On this occasion we will wait.
Division is harder than addition.
The beige coat is on the chair.
His conclusion was wrong.
They watch from the rear, as usual.
The erosion of the coast goes on.
I treasure this old photograph.
";

/// What a whole rollout takes at most, on two cores.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(240);
const FLEET: &str = "narrator";

/// A fleet that voices are shipped to.
pub(crate) struct Stage {
    pub(crate) space: Namespace,
}

impl Stage {
    /// A fleet of two pods with the built-in voice, ready, in a namespace with
    /// all voices at hand. `rollout` is its spec.rollout, in flow style.
    pub(crate) fn set(name: &str, rollout: &str) -> Self {
        Self::with(name, rollout, "memory: 512Mi, cpu: 400m")
    }

    /// The same with other resources for each pod.
    pub(crate) fn with(name: &str, rollout: &str, resources: &str) -> Self {
        let space = Namespace::fresh(name);
        voices().serve(cluster(), &space.name).unwrap();
        let prompts = format!("--from-literal=prompts.txt={PROMPTS}");
        space.kubectl(&["create", "configmap", "prompts", &prompts]).unwrap();
        // Beside four pods and two operators neither node has a whole core left for sure.
        let rollout = rollout.replacen('{', "{judge: {resources: {cpu: 800m}}, ", 1);
        let spec = format!(
            "{{replicas: 2, gateway: {{replicas: 1, resources: {{cpu: 100m}}}}, rollout: {rollout}, \
             pools: [{{name: main, capacity: {{workers: 2}}, resources: {{{resources}}}}}]}}"
        );
        space.fleet(FLEET, &spec);
        space.wait_ready(FLEET);
        Self { space }
    }

    /// Names a voice in the spec.
    pub(crate) fn ship(&self, version: &str) {
        self.ship_model(&voices().model(version, &self.space.name).unwrap());
    }

    /// Names a model in the spec.
    pub(crate) fn ship_model(&self, model: &Value) {
        self.patch(&json!([{"op": "add", "path": "/spec/pools/0/model", "value": model}]));
    }

    /// Changes the fleet.
    pub(crate) fn patch(&self, operations: &Value) {
        self.space.kubectl(&["patch", "ttsd", FLEET, "--type=json", "-p", &operations.to_string()]).unwrap();
    }

    /// The pool as the status has it.
    pub(crate) fn pool(&self) -> Value {
        self.space.get(&["ttsd", FLEET])["status"]["pools"][0].clone()
    }

    /// The rollout's phase; Stable where there is none.
    pub(crate) fn phase(&self) -> String {
        self.pool()["rollout"]["phase"].as_str().unwrap_or("Stable").to_owned()
    }

    /// Waits for the end of a voice's rollout: its line in the history.
    pub(crate) fn ending(&self, version: &str) -> Value {
        let model = format!("hibari@{version}");
        let last = || self.pool()["history"][0].clone();
        let begun = Instant::now();
        while last()["model"] != model.as_str() {
            if begun.elapsed() > ROLLOUT {
                let told = self.space.kubectl(&["describe", "ttsd,pods"]).unwrap_or_default();
                panic!("{model} has come to no end: {:#}\n{told}", self.pool());
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        eventually("the rollout is over", Duration::from_secs(20), || self.phase() == "Stable");
        last()
    }

    /// Waits until the rollout is in one of these phases.
    pub(crate) fn wait_phase(&self, phases: &[&str]) {
        eventually(&format!("a phase among {phases:?}"), ROLLOUT, || phases.contains(&self.phase().as_str()));
    }

    /// Restarts of the pool's pods, by uid.
    pub(crate) fn pods(&self) -> BTreeMap<String, i64> {
        let pods = self.space.get(&["pods", "-l", "app.kubernetes.io/component=inference"]);
        let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap();
        let pods = pods["items"].as_array().unwrap().iter();
        pods.map(|pod| (pod["metadata"]["uid"].as_str().unwrap().to_owned(), restarts(pod))).collect()
    }

    /// The name of a pod of a part of the fleet, once there is one that runs.
    pub(crate) fn pod_of(&self, component: &str) -> String {
        let selector = format!("app.kubernetes.io/component={component}");
        let mut name = String::new();
        eventually(&format!("a {component} pod runs"), ROLLOUT, || {
            let pods = self.space.get(&["pods", "-l", &selector]);
            let pods = pods["items"].as_array().cloned().unwrap_or_default();
            let running = pods.iter().find(|pod| pod["status"]["phase"] == "Running");
            name = running.map_or(String::new(), |pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
            !name.is_empty()
        });
        name
    }

    /// Runs kubectl's plugin.
    pub(crate) fn plugin(&self, arguments: &[&str]) -> (bool, String) {
        let mut plugin = Command::new(cache_dir().unwrap().join("bin/kubectl-ttsfleet"));
        plugin.args(arguments).args(["--namespace", &self.space.name]);
        let output = plugin.env("KUBECONFIG", cluster().kubeconfig()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Has callers ask without a pause while `act` runs, and for a moment after.
    pub(crate) fn heard(&self, act: impl FnOnce()) -> Vec<Answer> {
        let url = cluster().reach(&self.space.name, FLEET).unwrap().url.clone();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let callers = scope.spawn(|| listen(&url, &done));
            // Dropped when `act` is over, or has panicked: the callers must end.
            let ended = Ended(&done);
            act();
            std::thread::sleep(Duration::from_secs(2));
            drop(ended);
            callers.join().unwrap()
        })
    }
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every voice, packed once.
pub(crate) fn voices() -> &'static Voices {
    static VOICES: OnceLock<Voices> = OnceLock::new();
    VOICES.get_or_init(|| Voices::build(&VERSIONS, &Console::default()).unwrap())
}

/// Digest of a voice.
pub(crate) fn digest(version: &str) -> &'static str {
    &voices().variants.iter().find(|variant| variant.version == version).unwrap().digest
}

/// Digest of the model that spoke first.
pub(crate) fn first_digest(answers: &[Answer]) -> &str {
    &answers.iter().find(|answer| answer.fault.is_none()).unwrap().digest
}

/// What a caller got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200, and audio to its end that is not degraded; what else otherwise.
    pub(crate) fault: Option<String>,
    /// The model that spoke, as the header says.
    pub(crate) digest: String,
    /// sha256 of the audio.
    pub(crate) audio: String,
}

/// Asks for the same text some times a second until told to stop, whether or
/// not those before are answered.
fn listen(url: &str, done: &AtomicBool) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = crate::load::client();
    runtime.block_on(async {
        let mut asked = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(400));
        while !done.load(Ordering::Relaxed) {
            ticks.tick().await;
            asked.push(tokio::spawn(ask(client.clone(), format!("{url}/v1/audio/speech"))));
        }
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    })
}

async fn ask(client: reqwest::Client, url: String) -> Answer {
    let body = json!({"input": "Good morning.", "response_format": "pcm"});
    let failed = |fault: String| Answer { fault: Some(fault), digest: String::new(), audio: String::new() };
    let response = match client.post(url).json(&body).send().await {
        Ok(response) => response,
        Err(error) => return failed(error.to_string()),
    };
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (status, digest, degraded) = (response.status(), header("x-tts-digest"), header("x-tts-degraded"));
    match response.bytes().await {
        Ok(audio) if status == 200 && degraded.is_empty() => {
            Answer { fault: None, digest, audio: hex::encode(Sha256::digest(&audio)) }
        }
        Ok(body) => {
            failed(format!("{status} {degraded} {}", String::from_utf8_lossy(&body[..body.len().min(200)])))
        }
        Err(error) => failed(format!("{status} {error}")),
    }
}

/// Every answer is audio, each of one of these models, and the same text from
/// the same model is always the same audio: no answer is partly of another.
pub(crate) fn assert_whole(answers: &[Answer], models: &[&str]) {
    let faults: Vec<_> = answers.iter().filter_map(|answer| answer.fault.as_ref()).collect();
    assert!(faults.is_empty(), "{} of {}: {faults:?}", faults.len(), answers.len());
    let mut audios: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for answer in answers {
        audios.entry(&answer.digest).or_default().insert(&answer.audio);
    }
    let heard: Vec<_> = audios.keys().copied().collect();
    assert!(heard.iter().all(|digest| models.contains(digest)), "heard {heard:?}, of {models:?}");
    assert!(
        audios.values().all(|audios| audios.len() == 1),
        "one text, one model, several audios: {audios:?}"
    );
}
