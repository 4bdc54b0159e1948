//! `cargo xtask demo`: from nothing to a fleet that speaks, and to the two
//! commands that ship it a new voice.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::product::{build_images, install, speak};
use ttsfleet_e2e::progress::{Console, Progress, Step, clock};
use ttsfleet_e2e::target::{Context, Route, Target};
use ttsfleet_e2e::voices::Voices;

use crate::run::root;

/// Name of the local cluster that the demo uses.
pub(crate) const CLUSTER: &str = "demo";
const NAMESPACE: &str = "default";
const FLEET: &str = "narrator";
const READY_WITHIN: Duration = Duration::from_secs(180);
/// A voice to be swapped in, and one to be refused.
const SOUND: &str = "better";
const WORSE: &str = "noisy";

/// What `cargo xtask demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What the fleet says.
    #[arg(long, default_value = "Every request gets an answer, and every answer can be heard.")]
    text: String,
    /// Where the audio goes.
    #[arg(long, default_value = "narrator.wav")]
    out: PathBuf,
    /// Use this context of your kubeconfig instead of a local cluster; its
    /// kubectl and helm must be on the PATH.
    #[arg(long, requires = "registry")]
    context: Option<String>,
    /// Host and path of a registry that the cluster pulls from.
    #[arg(long, requires = "context")]
    registry: Option<String>,
}

/// Runs the demo.
pub(crate) fn demo(options: &Options) -> Result<()> {
    let progress = Console::default();
    let images = build_images(&progress)?;
    let target: Box<dyn Target> = match (&options.context, &options.registry) {
        (Some(name), Some(registry)) => Box::new(Context { name: name.clone(), registry: registry.clone() }),
        _ => Box::new(Cluster::up(CLUSTER, &progress)?),
    };
    progress.note("installing the chart");
    install(target.as_ref(), &images)?;
    let example = root().join("examples/narrator.yaml");
    target.kubectl(&["-n", NAMESPACE, "apply", "-f", &example.to_string_lossy()])?;
    wait_ready(target.as_ref(), &progress)?;
    let route = target.reach(NAMESPACE, FLEET)?;
    let audio = speak(&route.url, &options.text)?;
    std::fs::write(&options.out, &audio)
        .with_context(|| format!("cannot write {}", options.out.display()))?;
    report(target.as_ref(), &options.out, &audio, &route)?;
    progress.note("serving two more voices, for a second act");
    let voices = Voices::build(&[SOUND, WORSE], &progress)?;
    voices.serve(target.as_ref(), NAMESPACE)?;
    second_act(&voices, &route)
}

fn wait_ready(target: &dyn Target, progress: &dyn Progress) -> Result<()> {
    let begun = Instant::now();
    loop {
        let fleet = target.kubectl(&["-n", NAMESPACE, "get", "ttsd", FLEET, "-o", "json"])?;
        let fleet: Value = serde_json::from_str(&fleet)?;
        let (ready, why) = readiness(&fleet);
        if ready {
            progress.note(&format!("the fleet is ready after {}", clock(begun.elapsed())));
            return Ok(());
        }
        if begun.elapsed() > READY_WITHIN {
            bail!("the fleet is not ready after {}: {why}", clock(READY_WITHIN));
        }
        let typical = Some(Duration::from_secs(10));
        let what = "waiting for the fleet";
        progress.step(&Step { what, detail: &why, elapsed: begun.elapsed(), typical });
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Whether the fleet as it is now specified is ready; if not, in words why.
fn readiness(fleet: &Value) -> (bool, String) {
    let conditions = fleet["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(ready) = conditions.iter().find(|condition| condition["type"] == "Ready") else {
        return (false, "the operator has not seen it yet".to_owned());
    };
    let current = ready["observedGeneration"] == fleet["metadata"]["generation"];
    (current && ready["status"] == "True", ready["message"].as_str().unwrap_or_default().to_owned())
}

#[expect(clippy::print_stdout, reason = "the demo's result is for its user")]
fn report(target: &dyn Target, out: &Path, audio: &[u8], route: &Route) -> Result<()> {
    let running = target.kubectl(&["-n", NAMESPACE, "get", "ttsd,pods", "-o", "wide"])?;
    // A WAV of 16-bit samples at 24 kHz, after its header of 44 bytes.
    let seconds = audio.len().saturating_sub(44) as f64 / 48_000.0;
    println!("\n{running}");
    println!("{} holds {seconds:.1} s of speech.\n", out.display());
    let url = if route.lasts() {
        println!("The fleet answers at {}", route.url);
        &route.url
    } else {
        println!("Reach the fleet with: kubectl port-forward service/{FLEET} 8080:80");
        "http://localhost:8080"
    };
    println!("\nThree things to try next:");
    println!(
        "  curl -s {url}/v1/audio/speech -H 'content-type: application/json' \\\n    -d '{{\"input\": \"It is 3:45 pm.\", \"response_format\": \"wav\"}}' -o time.wav"
    );
    let (shell, removal) = if route.lasts() {
        ("eval \"$(cargo xtask env)\"; ", "cargo xtask down")
    } else {
        ("", "kubectl delete ttsd narrator; helm uninstall ttsfleet -n ttsfleet-system")
    };
    println!("  {shell}kubectl delete pod -l ttsfleet.dev/pool=main --wait=false; kubectl get ttsd -w");
    println!("  kubectl explain ttsd.spec.pools.resources\n\n`{removal}` removes everything again.\n");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the demo's result is for its user")]
fn second_act(voices: &Voices, route: &Route) -> Result<()> {
    println!(
        "\nSecond act: ship a new voice. Each takes a minute or two, and nobody is left without an answer."
    );
    if route.lasts() {
        println!("  eval \"$(cargo xtask env)\"");
    }
    println!(
        "\nOne as good as the voice that speaks now. Both say the same texts, the judge listens, every gate"
    );
    println!("passes, and the pods swap to it while they serve: the same pods, no restart.");
    println!("  {}", shipping(&voices.model(SOUND, NAMESPACE)?));
    println!(
        "\nOne with noise in it. The judge hears it in the shadow, a gate refuses it by name, and callers"
    );
    println!("never do: the fleet keeps the voice that it has.");
    println!("  {}", shipping(&voices.model(WORSE, NAMESPACE)?));
    println!("\nSee either with:");
    println!("  kubectl ttsfleet status {FLEET} --watch    (docs/PLUGIN.md)");
    println!("  kubectl describe ttsd {FLEET}");
    Ok(())
}

/// The command that has the fleet's pool serve a model. The pool's other fields
/// stay, which a merge patch of a list would not leave.
fn shipping(model: &Value) -> String {
    let patch = json!([{"op": "add", "path": "/spec/pools/0/model", "value": model}]);
    format!("kubectl -n {NAMESPACE} patch ttsd {FLEET} --type json -p '{patch}'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shell_takes_the_command_that_ships_a_voice_as_one_argument() {
        let command = shipping(&json!({"name": "hibari", "version": "better"}));
        let (before, patch) = command.split_once(" -p '").unwrap();
        assert_eq!(before, "kubectl -n default patch ttsd narrator --type json");
        let patch = patch.strip_suffix('\'').unwrap();
        assert!(!patch.contains('\''));
        let operations: Value = serde_json::from_str(patch).unwrap();
        assert_eq!(operations[0]["value"]["version"], "better");
    }

    #[test]
    fn an_answer_about_an_older_spec_is_not_readiness() {
        let fleet = |generation: u8, observed: u8| {
            json!({
                "metadata": {"generation": generation},
                "status": {"conditions": [{
                    "type": "Ready", "status": "True", "observedGeneration": observed, "message": "all pods serve",
                }]},
            })
        };
        assert!(readiness(&fleet(1, 1)).0);
        assert!(!readiness(&fleet(2, 1)).0);
        assert!(!readiness(&json!({})).0);
    }
}
