//! What is heard in pairs, with a recogniser that hears what the test says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use ttsfleet_ears::{Clip, MAX_SECONDS, Mos};
use ttsfleet_judge::{
    judge::{Judge, start_listening},
    listen::Ears,
    normalise::Script,
    pair::{Job, Spoken},
    recogniser::{Recogniser, RecogniserError},
};
use ttsfleet_wire::judge::{Quantity, Recogniser as Kind, Report, Session};

const TEXT: &str = "Good morning to all of you.";
const RATE: u32 = 16_000;

/// Hears the text in loud clips, less of it in quiet ones, and breaks where a
/// clip is quieter still.
struct Heard;

impl Recogniser for Heard {
    fn hears(&self, script: Script) -> bool {
        script == Script::Latin
    }

    fn transcribe(&mut self, clip: &Clip) -> Result<String, RecogniserError> {
        match clip.samples.iter().fold(0.0_f32, |most, sample| most.max(*sample)) {
            0.5.. => Ok("good morning to all of you".to_owned()),
            0.05.. => Ok("good morning".to_owned()),
            _ => Err(RecogniserError::TooSlow(30)),
        }
    }
}

fn session() -> Session {
    Session {
        id: "s1".to_owned(),
        baseline_url: "http://127.0.0.1:1".to_owned(),
        candidate_url: "http://127.0.0.1:1".to_owned(),
        baseline_digest: Some("sha256:a".to_owned()),
        candidate_digest: Some("sha256:b".to_owned()),
        min_samples: 20,
        confidence_percent: 95,
        prompts: None,
        prompt_after_seconds: 3600,
        recogniser: Kind::Embedded,
    }
}

/// Two seconds of a tone that swells.
fn tone(loudness: f32) -> Option<Spoken> {
    let sample = |index: u32| {
        let time = index as f32 / RATE as f32;
        ((time * 880.0).sin() * loudness * (time / 2.0) * 32_000.0) as i16
    };
    of_audio("audio/pcm", (0..2 * RATE).flat_map(|index| sample(index).to_le_bytes()).collect())
}

fn of_audio(content_type: &str, audio: Vec<u8>) -> Option<Spoken> {
    let content_type = content_type.to_owned();
    Some(Spoken {
        content_type,
        sample_rate: RATE,
        audio,
        first_audio_ms: 50.0,
        total_ms: 100.0,
        no_words: false,
    })
}

fn pair(text: &str, baseline: Option<Spoken>, candidate: Option<Spoken>) -> Job {
    Job { text: text.to_owned(), said: None, baseline, candidate, from_prompt: false }
}

fn good() -> Job {
    pair(TEXT, tone(0.9), tone(0.9))
}

/// Has a pair wait, as soon as there is room for it.
async fn push(judge: &Judge, job: Job) {
    while !judge.queue.has_room() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(judge.queue.push(job));
}

fn listen(judge: &Arc<Judge>) {
    let ears = || Ok(Ears::new(Box::new(Heard), Mos::load().unwrap()));
    start_listening(judge, ears).unwrap();
}

/// Pairs judged, those of a text that was compared before among them.
fn pairs(report: &Report) -> u64 {
    let errors = report.measures.iter().find(|measure| measure.quantity == Quantity::Errors);
    errors.map_or(0, |errors| errors.samples)
}

async fn judged(judge: &Arc<Judge>, count: u64) -> Report {
    let wait = async {
        loop {
            let report = judge.report();
            if pairs(&report) == count {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the pairs are judged")
}

#[tokio::test]
async fn a_pair_is_heard_and_reported() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    push(&judge, pair(TEXT, tone(0.9), tone(0.3))).await;
    // What is compared is the first pair of a text.
    push(&judge, good()).await;
    let report = judged(&judge, 2).await;
    assert_eq!((&report.session[..], report.from_prompts, report.dropped), ("s1", 0, 0));
    assert_eq!(report.trouble, None);
    let cer = report.measures.iter().find(|measure| measure.quantity == Quantity::Cer).unwrap();
    // Of the 26 letters and spaces of the text, 14 are not heard.
    assert!((cer.difference - 14.0 / 26.0).abs() < 1e-4, "{cer:?}");
    assert_eq!((cer.samples, cer.baseline, report.samples, report.repeated), (1, 0.0, 1, 1));
    assert!(cer.low < -0.9 && cer.high > 0.9, "{cer:?}");
    let quantities: Vec<Quantity> = report.measures.iter().map(|measure| measure.quantity).collect();
    use Quantity::{Cer, Errors, Loudness, Mos, Prosody, Treble};
    assert_eq!(quantities, [Cer, Mos, Prosody, Loudness, Treble, Errors]);
}

#[tokio::test]
async fn a_side_that_failed_or_cannot_be_played_counts_as_a_failure_alone() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    for candidate in [None, of_audio("audio/flac", b"no flac".to_vec())] {
        push(&judge, pair(TEXT, tone(0.9), candidate)).await;
    }
    push(&judge, pair(TEXT, None, tone(0.9))).await;
    let report = judged(&judge, 3).await;
    let [errors] = &report.measures[..] else { panic!("{report:?}") };
    assert_eq!((errors.quantity, errors.samples), (Quantity::Errors, 3));
    assert!((errors.baseline - 1.0 / 3.0).abs() < 1e-9 && (errors.candidate - 2.0 / 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_recogniser_that_fails_is_told_until_it_hears_again() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    push(&judge, pair(TEXT, tone(0.01), tone(0.9))).await;
    let report = judged(&judge, 1).await;
    assert!(report.trouble.unwrap().contains("30 s"));
    assert!(report.measures.iter().all(|measure| measure.quantity != Quantity::Cer));
    push(&judge, good()).await;
    assert_eq!(judged(&judge, 2).await.trouble, None);
}

#[tokio::test]
async fn a_text_too_long_to_be_heard_is_counted_and_not_judged() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    let too_long = || of_audio("audio/pcm", vec![0; 2 * (RATE * MAX_SECONDS + 1) as usize]);
    push(&judge, pair(TEXT, too_long(), too_long())).await;
    push(&judge, good()).await;
    let report = judged(&judge, 1).await;
    let errors = report.measures.iter().find(|measure| measure.quantity == Quantity::Errors).unwrap();
    assert_eq!((errors.samples, errors.difference), (1, 0.0));
    let metrics = judge.metrics.encode().unwrap();
    assert!(metrics.contains(r#"pairs_total{source="caller",fate="unheard"} 1"#), "{metrics}");
}

#[tokio::test]
async fn callers_are_quiet_until_words_are_heard_in_their_texts() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    push(&judge, pair("今天天气很好。", tone(0.9), tone(0.3))).await;
    judged(&judge, 1).await;
    assert_eq!(judge.quiet(), None);
    push(&judge, good()).await;
    judged(&judge, 2).await;
    assert!(judge.quiet().is_some());
}

#[tokio::test]
async fn a_language_that_the_recogniser_does_not_hear_has_no_error_rate() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    push(&judge, pair("今天天气很好。", tone(0.9), tone(0.3))).await;
    let report = judged(&judge, 1).await;
    assert_eq!(report.trouble, None);
    assert!(report.measures.iter().all(|measure| measure.quantity != Quantity::Cer));
}

#[tokio::test]
async fn what_cannot_listen_is_told() {
    let judge = Arc::new(Judge::new(session()));
    start_listening(&judge, || Err("no weights".to_owned())).unwrap().join().unwrap();
    assert_eq!(judge.report().trouble.unwrap(), "no weights");
}
