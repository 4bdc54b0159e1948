//! How far faulty variants of the built-in voice are from the sound one: the
//! figures of docs/JUDGE.md.
//!
//! Their table is made by `cargo run --example distances` in this folder.

#![expect(clippy::print_stdout, reason = "a table is printed")]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};
use ttsfleet_e2e::variants;
use ttsfleet_ears::prosody::{self, Contour, Distance};
use ttsfleet_ears::{Clip, Mos, decode};
use ttsfleet_models::{ModelFolder, SpeechModel, Utterance};

/// Variants of the voice that differ in how they speak.
const VARIANTS: [&str; 8] =
    ["equal", "noisy", "wrong-melody", "monotone", "wrong-pitch", "fast", "dropped-phonemes", "silent"];

type Change = fn(&Clip) -> Result<Clip>;

/// Changes of the sound itself.
const CHANGES: [(&str, Change); 11] = [
    ("mp3 of 96 kbit/s", mp3),
    ("mp3 of 32 kbit/s", |clip| coded(clip, 32)),
    ("at 16 kHz", |clip| Ok(clip.at(16_000).into_owned())),
    ("half as loud, 0.3 s of silence before", |clip| {
        let silence = vec![0.0; clip.rate as usize * 3 / 10];
        let soft = clip.samples.iter().map(|sample| sample * 0.5);
        Ok(Clip { samples: silence.into_iter().chain(soft).collect(), rate: clip.rate })
    }),
    ("0.4 s of silence after", |clip| Ok(followed_by_silence(clip, 0.4))),
    ("1 s of silence after", |clip| Ok(followed_by_silence(clip, 1.0))),
    ("noise, 20 dB below", |clip| Ok(noisy(clip, 0.1))),
    ("faster and higher by 1.12", |clip| Ok(pitched(clip, 1.12))),
    ("second half cut", |clip| {
        Ok(Clip { samples: clip.samples[..clip.samples.len() / 2].to_vec(), rate: clip.rate })
    }),
    ("last fifth cut", |clip| {
        Ok(Clip { samples: clip.samples[..clip.samples.len() * 4 / 5].to_vec(), rate: clip.rate })
    }),
    ("backwards", |clip| Ok(Clip { samples: clip.samples.iter().rev().copied().collect(), rate: clip.rate })),
];

const SPEEDS: [f32; 4] = [1.03, 1.07, 1.15, 0.87];

fn main() -> Result<()> {
    let texts: Vec<&str> = include_str!("sentences.txt").lines().collect();
    let folder = std::env::temp_dir().join("ttsfleet-distances");
    let voice = load(&folder, "better")?;
    let mos = Mos::load()?;
    let clips: Vec<Clip> = texts.iter().map(|text| speak(&*voice, text, 1.0)).collect::<Result<_>>()?;
    let contours: Vec<Contour> = clips.iter().map(prosody::analyse).collect();
    println!(
        "| Variant | distance mean | least | most | pitch | melody | voicing | pace | loudness | trailing | MOS |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    report(&mos, "itself", &contours, &clips)?;
    for version in VARIANTS {
        let variant = load(&folder, version)?;
        let spoken = texts.iter().map(|text| speak(&*variant, text, 1.0)).collect::<Result<Vec<_>>>()?;
        report(&mos, version, &contours, &spoken)?;
    }
    // The noise in the voice goes on from sentence to sentence.
    let before = speak(&*voice, "No.", 1.0)?.samples.len();
    let after = |text: &&str| {
        let Clip { samples, rate } = speak(&*voice, &format!("No. {text}"), 1.0)?;
        Ok(Clip { samples: samples[before..].to_vec(), rate })
    };
    let spoken = texts.iter().map(after).collect::<Result<Vec<_>>>()?;
    report(&mos, "other noise in the voice", &contours, &spoken)?;
    for speed in SPEEDS {
        let spoken = texts.iter().map(|text| speak(&*voice, text, speed)).collect::<Result<Vec<_>>>()?;
        report(&mos, &format!("speed {speed}"), &contours, &spoken)?;
    }
    for (name, change) in CHANGES {
        let changed = clips.iter().map(change).collect::<Result<Vec<_>>>()?;
        report(&mos, name, &contours, &changed)?;
    }
    let other: Vec<Clip> = clips.iter().cycle().skip(1).take(clips.len()).cloned().collect();
    report(&mos, "another text", &contours, &other)?;
    time(&mos, &clips[1])
}

/// Least of several times, as others may be at work.
fn time(mos: &Mos, clip: &Clip) -> Result<()> {
    let least = |work: &dyn Fn() -> Result<()>| -> Result<f64> {
        let once = |_| {
            let start = Instant::now();
            work().map(|()| start.elapsed().as_secs_f64() * 1e3)
        };
        (0..40).map(once).try_fold(f64::INFINITY, |least, time| Ok(least.min(time?)))
    };
    let score = least(&|| Ok(mos.score(clip).map(drop)?))?;
    let contour = prosody::analyse(clip);
    let analysis = least(&|| {
        prosody::distance(&contour, &prosody::analyse(clip));
        Ok(())
    })?;
    println!("\nA clip of {:.1} s: score {score:.0} ms, prosody {analysis:.0} ms", clip.seconds());
    Ok(())
}

fn load(parent: &Path, version: &'static str) -> Result<Box<dyn SpeechModel>> {
    let written = variants::write_folders(&[version], parent)?;
    let folder = &written.first().context("no variant was written")?.folder;
    Ok(ttsfleet_models::load(&ModelFolder::open(folder)?)?)
}

fn speak(voice: &dyn SpeechModel, text: &str, speed: f32) -> Result<Clip> {
    let mut samples = Vec::new();
    let utterance = Utterance { text, voice: "heart", speed, lexicon: &[] };
    voice.speak(&utterance, &mut |part| {
        samples.extend_from_slice(part);
        ControlFlow::Continue(())
    })?;
    Ok(Clip { samples, rate: voice.manifest().sample_rate })
}

fn report(mos: &Mos, name: &str, baseline: &[Contour], clips: &[Clip]) -> Result<()> {
    let distances: Vec<Distance> = baseline
        .iter()
        .zip(clips)
        .map(|(contour, clip)| prosody::distance(contour, &prosody::analyse(clip)))
        .collect();
    let scores = clips.iter().map(|clip| mos.score(clip)).collect::<Result<Vec<f32>, _>>()?;
    let mean = |part: fn(&Distance) -> f32| distances.iter().map(part).sum::<f32>() / distances.len() as f32;
    let totals = || distances.iter().map(|distance| distance.total);
    println!(
        "| {name} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} | {:.3} | {:.3} | {:.2} | {:.2} | {:.2} |",
        mean(|distance| distance.total),
        totals().fold(f32::INFINITY, f32::min),
        totals().fold(0.0, f32::max),
        mean(|distance| distance.pitch),
        mean(|distance| distance.melody),
        mean(|distance| distance.voicing),
        mean(|distance| distance.pace.min(10.0)),
        mean(|distance| distance.loudness),
        mean(|distance| distance.trailing),
        scores.iter().sum::<f32>() / scores.len() as f32,
    );
    Ok(())
}

fn mp3(clip: &Clip) -> Result<Clip> {
    coded(clip, 96)
}

fn coded(clip: &Clip, bitrate_kbps: u32) -> Result<Clip> {
    let mut encoder = Mp3Encoder::new(Mp3EncoderConfig { bitrate_kbps, vbr_quality: None });
    encoder.push_pcm_f32(&clip.samples, 1, clip.rate)?;
    encoder.finish();
    let mut file = Vec::new();
    while let Ok(packet) = encoder.next_packet() {
        file.extend(packet);
    }
    Ok(decode("audio/mpeg", clip.rate, &file)?)
}

fn noisy(clip: &Clip, share: f32) -> Clip {
    let power = clip.samples.iter().map(|sample| sample * sample).sum::<f32>() / clip.samples.len() as f32;
    let mut state = 1_u32;
    let noise = |sample: &f32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Uniform numbers have a third of the power of their bound's.
        sample + ((state >> 8) as f32 / 8_388_608.0 - 1.0) * (3.0 * power).sqrt() * share
    };
    Clip { samples: clip.samples.iter().map(noise).collect(), rate: clip.rate }
}

fn followed_by_silence(clip: &Clip, seconds: f32) -> Clip {
    let silence = vec![0.0; (clip.rate as f32 * seconds) as usize];
    Clip { samples: [clip.samples.as_slice(), &silence].concat(), rate: clip.rate }
}

/// As a tape that runs faster.
fn pitched(clip: &Clip, factor: f32) -> Clip {
    let rate = (clip.rate as f32 * factor).round() as u32;
    Clip {
        samples: Clip { samples: clip.samples.clone(), rate }.at(clip.rate).into_owned().samples,
        rate: clip.rate,
    }
}
