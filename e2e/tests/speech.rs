//! The fleet speaks, and a real recogniser understands it: the one of this
//! machine, and the one in the judge's image.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Namespace, cluster, images};
use ttsfleet_e2e::image::USER;
use ttsfleet_e2e::product::speak;
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::recogniser::{Recogniser, character_error_rate};
use ttsfleet_e2e::target::Target;
use ttsfleet_e2e::tools::cache_dir;
use ttsfleet_e2e::waiting::{eventually, wait_for};
use ttsfleet_models::{ModelFolder, Utterance, load};

/// Written as they are spoken, so that the recogniser's spelling can match.
const SENTENCES: [&str; 21] = [
    "Every request gets an answer, and every answer can be heard.",
    "The quick brown fox jumps over the lazy dog.",
    "Please call me back tomorrow morning before nine.",
    "The weather will be sunny with a light wind from the west.",
    "She opened the window and looked at the quiet street.",
    "We need three more chairs for the meeting this afternoon.",
    "The train to the city leaves from the second platform.",
    "He bought a loaf of bread, some butter and a bottle of milk.",
    "Children were playing football in the park behind the school.",
    "The doctor said that you should rest for a few days.",
    "My brother works in a large hospital near the river.",
    "It is never too late to learn something new.",
    "The old bridge was closed because of the heavy rain.",
    "Turn left at the traffic light and drive straight ahead.",
    "They have lived in this house for more than twenty years.",
    "The music was so loud that nobody could hear the phone.",
    "A good book can change the way you see the world.",
    "The company will open a new office next summer.",
    "I would like a cup of coffee and a glass of water.",
    "The mountain was covered with fresh white snow.",
    "Thank you for your help, and have a nice evening.",
];

/// Measured .021 on average and .158 at worst over these sentences; the
/// recogniser's own errors are part of it.
const MEAN_ERROR_LIMIT: f64 = 0.08;
const WORST_ERROR_LIMIT: f64 = 0.35;

/// Longest pause inside a sentence, in samples at 24 kHz: 0.8 s.
const LONGEST_SILENCE: usize = 19_200;

fn samples(wav: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(wav).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (24_000, 1, 16));
    reader.samples().map(Result::unwrap).collect()
}

fn longest_silence(samples: &[i16]) -> usize {
    let (mut longest, mut current) = (0, 0);
    for sample in samples {
        current = if sample.unsigned_abs() < 330 { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest
}

#[test]
fn a_recogniser_reads_back_what_the_fleet_says() {
    let recogniser = Recogniser::ensure(&Console::default()).unwrap();
    let space = Namespace::fresh("speech");
    space.fleet("narrator", "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: \"1\"}}]}");
    space.wait_ready("narrator");

    let route = cluster().reach(&space.name, "narrator").unwrap();
    let file = std::env::temp_dir().join(format!("ttsfleet-speech-{}.wav", std::process::id()));
    let mut errors = Vec::new();
    for sentence in SENTENCES {
        let audio = speak(&route.url, sentence).unwrap();
        std::fs::write(&file, audio).unwrap();
        let samples = samples(&file);
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((3_000..32_767).contains(&peak), "peak {peak}: {sentence}");
        assert!(longest_silence(&samples) < LONGEST_SILENCE, "a long silence: {sentence}");

        let heard = recogniser.transcribe(&file).unwrap();
        let error = character_error_rate(sentence, &heard);
        println!("{error:.3}  {sentence}\n       {heard}");
        errors.push(error);
    }
    std::fs::remove_file(&file).unwrap();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let worst = errors.iter().copied().fold(0.0, f64::max);
    println!("character error rate: mean {mean:.3}, worst {worst:.3} over {} sentences", errors.len());
    assert!(mean < MEAN_ERROR_LIMIT, "mean {mean}");
    assert!(worst < WORST_ERROR_LIMIT, "worst {worst}");
}

/// A fleet as small as one can be, with this lexicon.
fn small(lexicon: &str) -> String {
    format!(
        "{{replicas: 1, gateway: {{replicas: 1}}, lexicon: {lexicon}, \
         pools: [{{name: main, resources: {{memory: 512Mi, cpu: \"1\"}}}}]}}"
    )
}

#[test]
fn words_are_said_as_the_fleet_says_without_a_restart() {
    const SOON: Duration = Duration::from_secs(10);
    let space = Namespace::fresh("lexicon");
    space.fleet("narrator", &small("{}"));
    space.wait_ready("narrator");
    let pods = || -> Vec<_> {
        let pods = space.get(&["pods"])["items"].as_array().cloned().unwrap();
        pods.into_iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
    };
    let before = pods();
    let route = cluster().reach(&space.name, "narrator").unwrap();
    let said = |text: &str| speak(&route.url, text).unwrap().len();
    let [written, respelled, long] =
        ["Use kubectl.", "Use cube control.", "Use the kubernetes command line tool."].map(said);
    assert!(written != respelled && respelled < long);

    space.fleet("narrator", &small("{entries: {kubectl: cube control, GIF: /JIF/}}"));
    eventually("an entry is said", SOON, || said("Use kubectl.") == respelled);
    let condition = wait_for("the bad one is named", SOON, || {
        Some(space.condition("narrator", "LexiconApplied")).filter(|found| !found.is_null())
    });
    let message = condition["message"].as_str().unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&"False".into(), &"InvalidEntries".into()));
    assert!(message.contains("\"GIF\"") && message.contains("1 entry is used"), "{message}");

    space.fleet("narrator", &small("{configMapRef: {name: brand}}"));
    eventually("a missing ConfigMap is told", SOON, || {
        space.condition("narrator", "LexiconApplied")["reason"] == "ConfigMapUnavailable"
    });
    assert_eq!(space.condition("narrator", "Ready")["status"], "True");
    let words = "--from-literal=words.txt=kubectl = the kubernetes command line tool";
    space.kubectl(&["create", "configmap", "brand", words]).unwrap();
    eventually("an entry of the ConfigMap is said", SOON, || said("Use kubectl.") == long);
    let change = r##"{"data": {"words.txt": "# Names\nkubectl = cube control"}}"##;
    space.kubectl(&["patch", "configmap", "brand", "--type=merge", "-p", change]).unwrap();
    eventually("a changed entry is said", SOON, || said("Use kubectl.") == respelled);
    assert_eq!(pods(), before, "nothing was restarted");

    let file = std::env::temp_dir().join(format!("ttsfleet-say-{}.wav", std::process::id()));
    let entry = "kubectl=the kubernetes command line tool";
    let told =
        say(&["narrator", "Use kubectl.", "--lexicon", entry, "--out", file.to_str().unwrap()], &space);
    assert!(told.contains(" s by hibari@"), "{told}");
    let samples = samples(&file).len();
    std::fs::remove_file(&file).unwrap();
    // The file of the gateway has a header of the same kind.
    assert!(samples * 2 + 44 <= long && samples * 2 + 2048 > long, "{samples} samples, {long} bytes");
}

/// Has the plugin say something.
fn say(arguments: &[&str], space: &Namespace) -> String {
    let cluster = cluster();
    let mut plugin = Command::new(cache_dir().unwrap().join("bin/kubectl-ttsfleet"));
    plugin.arg("say").args(arguments).args(["--namespace", &space.name]);
    let output = plugin.env("KUBECONFIG", cluster.kubeconfig()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a program to its end and gives what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writes the built-in voice's audio of a text to a WAV file.
fn speak_to(file: &Path, text: &str) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    let voice = load(&ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()).unwrap();
    let utterance = Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] };
    let mut sink = |samples: &[f32]| {
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        ControlFlow::Continue(())
    };
    voice.speak(&utterance, &mut sink).unwrap();
    writer.finalize().unwrap();
}

#[test]
fn the_judges_image_holds_a_recogniser_that_needs_nothing_else() {
    Recogniser::ensure(&Console::default()).unwrap();
    let [archive, root] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (archive, root) = (archive.path().to_str().unwrap(), root.path().to_str().unwrap());
    run("tar", &["-xf", images().judge.tar.to_str().unwrap(), "-C", archive]);
    let blobs = std::fs::read_dir(format!("{archive}/blobs/sha256")).unwrap().map(Result::unwrap);
    let layer = blobs.max_by_key(|blob| blob.metadata().unwrap().len()).unwrap().path();
    run("tar", &["-xf", layer.to_str().unwrap(), "-C", root]);

    let (said, heard) = (format!("{root}/said.wav"), format!("{root}/tmp/heard.wav"));
    speak_to(Path::new(&said), SENTENCES[0]);
    run("sox", &[&said, "-r", "16000", "-b", "16", "-c", "1", "-e", "signed-integer", &heard]);
    std::fs::write(format!("{root}/tmp/list"), "heard\n").unwrap();
    let user = format!("--userspec={USER}:{USER}");
    let mut line = vec![user.as_str(), root, "/usr/bin/pocketsphinx_batch", "-logfn", "/tmp/log"];
    line.extend([
        "-adcin",
        "yes",
        "-adchdr",
        "44",
        "-cepdir",
        "/tmp",
        "-cepext",
        ".wav",
        "-ctl",
        "/tmp/list",
    ]);
    let model = |file: &str| format!("/usr/share/pocketsphinx/model/en-us/{file}");
    let (sounds, words, dictionary) = (model("en-us"), model("en-us.lm.bin"), model("cmudict-en-us.dict"));
    line.extend(["-hmm", &sounds, "-lm", &words, "-dict", &dictionary, "-hyp", "/tmp/said"]);
    run("chroot", &line);
    // "what it heard (name of the clip, how likely)"
    let text = std::fs::read_to_string(format!("{root}/tmp/said")).unwrap();
    let text = text.split(" (").next().unwrap();
    assert!(character_error_rate(SENTENCES[0], text) < WORST_ERROR_LIMIT, "{text}");
}
