//! From `kubectl apply` to the first audio, with the image on the node.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::product::{Images, install, speak};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::target::Target;

const NAMESPACE: &str = "bench";
const FLEET: &str = "quick";
/// A gateway answers with a file of no more bytes while its fleet has no pod.
const WITHOUT_SOUND: usize = 1000;
const GIVE_UP: Duration = Duration::from_secs(120);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FirstAudio {
    /// Seconds, one a run, sorted.
    seconds: Vec<f64>,
    median: f64,
}

pub(crate) fn measure(images: &Images, runs: usize) -> Result<FirstAudio> {
    let cluster = Cluster::up("bench", &Console::default())?;
    install(&cluster, images)?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    let seconds: Result<Vec<f64>> = (0..runs).map(|_| one(&cluster)).collect();
    Cluster::down("bench", &Console::default())?;
    let mut seconds = seconds?;
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN);
    println!("\nfrom apply to first audio (1 replica, image present, {runs} runs)");
    println!("  min {:6.2} s   median {median:6.2} s   max {:6.2} s", seconds[0], seconds[seconds.len() - 1]);
    Ok(FirstAudio { seconds, median })
}

fn one(cluster: &Cluster) -> Result<f64> {
    let spec = "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: \"1\"}}]}";
    let manifest = format!(
        "{{apiVersion: ttsfleet.dev/v1alpha1, kind: TtsDeployment, metadata: {{name: {FLEET}, namespace: {NAMESPACE}}}, spec: {spec}}}"
    );
    let begun = Instant::now();
    cluster.apply(&manifest)?;
    loop {
        let spoken = cluster.reach(NAMESPACE, FLEET).and_then(|route| speak(&route.url, "Hello."));
        match spoken {
            Ok(audio) if audio.len() > WITHOUT_SOUND => break,
            spoken if begun.elapsed() > GIVE_UP => {
                bail!("no sound yet: {:?}", spoken.map(|audio| audio.len()))
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    cluster.kubectl(&["-n", NAMESPACE, "delete", "ttsd", FLEET])?;
    cluster.kubectl(&["-n", NAMESPACE, "wait", "--for=delete", "pod", "--all", "--timeout=120s"])?;
    Ok(seconds)
}
