//! `kubectl ttsfleet say`: a fleet speaks a text, to be heard or kept.

mod ask;
mod player;
mod told;
mod wav;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use kube::ResourceExt;
use ttsfleet_crds::labels::GATEWAY;
use ttsfleet_wire::{
    audio::AudioFormat,
    gateway::SPEECH_PORT,
    headers,
    lexicon::{self, Lexicon},
    speech::{SpeechRequest, VoiceChoice},
};

use crate::cluster::Cluster;
use crate::pods;
use ask::Answer;
use player::Player;

/// Where the API key of a fleet that asks for one is taken from.
const KEY: &str = "TTSFLEET_API_KEY";
/// Longest text that is read, in bytes; a gateway takes less.
const MOST_TEXT_BYTES: u64 = 1 << 20;

/// Have a fleet speak a text, and play it or write it to a file.
///
/// A fleet that asks for API keys is sent the one in the environment variable
/// TTSFLEET_API_KEY.
#[derive(Debug, Args)]
pub(crate) struct Say {
    /// The fleet's name.
    fleet: String,
    /// The text; - reads it from standard input.
    text: String,
    /// How a word is said, to try it before it goes into spec.lexicon: like other words
    /// ('kubectl=cube control'), or in the International Phonetic Alphabet
    /// ('GIF=/dʒɪf/'). May be given several times.
    #[arg(long, value_name = "WORD=PRONUNCIATION", value_parser = entry)]
    lexicon: Vec<(String, String)>,
    /// The voice, instead of the model's first.
    #[arg(long)]
    voice: Option<String>,
    /// How fast, 0.25 to 4.
    #[arg(long)]
    speed: Option<f32>,
    /// The file to write, instead of playing; the end of its name says in which format:
    /// wav, mp3, opus, aac, flac, pcm, mulaw or alaw.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Has the text spoken, and plays or writes it.
pub(crate) async fn run(cluster: &Cluster, say: Say) -> Result<()> {
    let format = format_of(say.out.as_deref())?;
    // Nobody waits for what could not be played.
    let player = if say.out.is_none() { Some(Player::find()?) } else { None };
    let request = say.request(text(&say.text)?, format);
    let mut answer = ask(cluster, &say.fleet, &request).await?;
    let length = match format {
        AudioFormat::Wav => wav::make_whole(&mut answer.audio),
        _ => length(format, &answer),
    };
    for note in told::notes(&answer.headers) {
        anstream::eprintln!("{note}");
    }
    if let Some(file) = &say.out {
        std::fs::write(file, &answer.audio).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let what = say.out.as_ref().map_or_else(|| "Said".to_owned(), |file| file.display().to_string());
    anstream::println!("{what}: {}", told::audio(length, answer.audio.len(), &answer.headers));
    player.map_or(Ok(()), |player| player.play(&answer.audio))
}

impl Say {
    fn request(&self, input: String, format: AudioFormat) -> SpeechRequest {
        SpeechRequest {
            model: None,
            input,
            voice: self.voice.clone().map(VoiceChoice::Name),
            response_format: Some(format.name().to_owned()),
            speed: self.speed,
            sample_rate: None,
            stream_format: None,
            lexicon: self.lexicon.iter().cloned().collect::<Lexicon>(),
            ignored: Vec::new(),
        }
    }
}

/// Asks one of the fleet's gateways.
async fn ask(cluster: &Cluster, fleet: &str, request: &SpeechRequest) -> Result<Answer> {
    let key = std::env::var(KEY).ok().filter(|key| !key.is_empty());
    let pods = cluster.pods(fleet).await?;
    let Some(pod) = pods::ready(&pods, GATEWAY) else {
        let name = cluster.fleet(fleet).await?.name_any();
        bail!("no gateway of the fleet {name} is ready; see `kubectl ttsfleet status {name}`");
    };
    let mut forward = cluster.forward(&pod.name_any(), SPEECH_PORT).await?;
    let stream = forward.take_stream(SPEECH_PORT).context("the API server forwards no port")?;
    let trouble = forward.take_error(SPEECH_PORT);
    match ask::ask(stream, request, key.as_deref()).await {
        Ok(answer) => Ok(answer),
        // What keeps the port from being forwarded is told beside it.
        Err(error) => match tokio::time::timeout(Duration::from_secs(1), async { trouble?.await }).await {
            Ok(Some(trouble)) => Err(error.context(format!("cannot forward a port: {}", trouble.trim()))),
            _ => Err(error),
        },
    }
}

/// A text that is to be spoken.
fn text(argument: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().take(MOST_TEXT_BYTES).read_to_string(&mut text);
    read.context("cannot read the text from standard input")?;
    Ok(text)
}

/// The format that a file's name asks for.
fn format_of(file: Option<&Path>) -> Result<AudioFormat> {
    let Some(end) = file.and_then(Path::extension) else { return Ok(AudioFormat::Wav) };
    let name = end.to_string_lossy().to_ascii_lowercase();
    AudioFormat::from_name(&name).ok_or_else(|| {
        let known = AudioFormat::ALL.map(AudioFormat::name).join(", .");
        anyhow!("there is no format .{name}; the name of the file may end in .{known}")
    })
}

/// How long bare samples take; other files do not tell.
fn length(format: AudioFormat, answer: &Answer) -> Option<Duration> {
    let bytes = match format {
        AudioFormat::Pcm => 2.0,
        AudioFormat::Mulaw | AudioFormat::Alaw => 1.0,
        _ => return None,
    };
    let rate: f64 = told::header(&answer.headers, headers::SAMPLE_RATE)?.parse().ok()?;
    Duration::try_from_secs_f64(answer.audio.len() as f64 / bytes / rate).ok()
}

/// An entry as it is written on the command line.
fn entry(written: &str) -> Result<(String, String), String> {
    let (word, said) =
        lexicon::split(written).ok_or("write it as WORD=PRONUNCIATION, such as 'kubectl=cube control'")?;
    lexicon::read(word, said).map_err(|fault| fault.to_string())?;
    Ok((word.to_owned(), said.to_owned()))
}

#[cfg(test)]
mod tests;
