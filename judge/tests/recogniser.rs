//! The recogniser in the image, on what the built-in voice says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use ttsfleet_e2e::{progress::Silent, recogniser};
use ttsfleet_ears::Clip;
use ttsfleet_judge::{
    cer::character_error_rate,
    normalise::Script,
    recogniser::{Place, Pocketsphinx, Recogniser, RecogniserError},
};
use ttsfleet_models::{ModelFolder, Utterance, load};

const TEXT: &str = "She bought seven green apples from the market this morning.";

fn place() -> Place {
    recogniser::Recogniser::ensure(&Silent).unwrap();
    Place {
        program: PathBuf::from("/usr/bin/pocketsphinx_batch"),
        model: PathBuf::from("/usr/share/pocketsphinx/model/en-us"),
    }
}

fn spoken(text: &str) -> Clip {
    let model = load(&ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()).unwrap();
    let mut samples = Vec::new();
    let utterance = Utterance { text, voice: &model.manifest().voices[0], speed: 1.0, lexicon: &[] };
    model
        .speak(&utterance, &mut |part| {
            samples.extend_from_slice(part);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    Clip { samples, rate: model.manifest().sample_rate }
}

#[test]
fn it_hears_clip_after_clip_and_each_as_if_it_were_the_first() {
    let mut recogniser = Pocketsphinx::new(place());
    assert!(recogniser.hears(Script::Latin) && !recogniser.hears(Script::Han));
    let clip = spoken(TEXT);
    let first = recogniser.transcribe(&clip).unwrap();
    assert!(character_error_rate(TEXT, &first).unwrap() < 0.1, "{first}");
    let silence = Clip { samples: vec![0.0; 16_000], rate: 16_000 };
    assert_eq!(recogniser.transcribe(&silence).unwrap(), "");
    assert_eq!(recogniser.transcribe(&Clip { samples: vec![], rate: 16_000 }).unwrap(), "");
    let noise =
        (0..24_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5);
    recogniser.transcribe(&Clip { samples: noise.collect(), rate: 24_000 }).unwrap();
    assert_eq!(recogniser.transcribe(&clip).unwrap(), first);
}

#[test]
fn a_program_that_is_not_there_or_breaks_off_is_told_each_time() {
    let clip = Clip { samples: vec![0.0; 8000], rate: 16_000 };
    for program in ["/nowhere/pocketsphinx_batch", "/bin/false"] {
        let mut recogniser = Pocketsphinx::new(Place { program: program.into(), ..place() });
        for _ in 0..2 {
            let error = recogniser.transcribe(&clip).unwrap_err();
            assert!(matches!(error, RecogniserError::Program { .. }) && error.to_string().contains(program));
        }
    }
}
