//! Parity with the transformers library on a tiny network of random weights;
//! `tests/golden/whisper.py` says how.

use candle_core::IndexOp;
use rstest::rstest;
use safetensors::SafeTensors;
use ttsfleet_models::sha256_hex;

use super::{network::Said, *};

const CONFIG: &[u8] = include_bytes!("../../tests/golden/whisper/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../tests/golden/whisper/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../tests/golden/whisper/model.safetensors");
const GOLDEN: &[u8] = include_bytes!("../../tests/golden/whisper/golden.safetensors");
const SPEECH: &[u8] = include_bytes!("../../tests/golden/mos.safetensors");
/// Every how many frames one is kept.
const EVERY: usize = 100;

type Files = Vec<(&'static str, &'static [u8])>;

fn files() -> Files {
    vec![("config.json", CONFIG), ("tokenizer.json", TOKENIZER), ("model.safetensors", WEIGHTS)]
}

fn folder(family: &str, mut files: Files) -> ModelFolder {
    let entry = |(path, bytes): &(&str, &[u8])| serde_json::json!({"path": path, "size": bytes.len(), "sha256": sha256_hex(bytes)});
    let manifest = serde_json::json!({
        "family": family, "name": "tiny", "version": "1", "sampleRate": RATE, "languages": ["en", "zh"],
        "voices": [], "licence": "Apache-2.0", "files": files.iter().map(entry).collect::<Vec<_>>(),
    });
    files.push(("model.json", manifest.to_string().into_bytes().leak()));
    ModelFolder::embedded(&files).unwrap()
}

fn whisper() -> Whisper {
    Whisper::load(&folder(FAMILY, files())).unwrap()
}

fn golden(name: &str) -> Vec<f32> {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let numbers = golden.tensor(name).unwrap().data().as_chunks().0;
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn golden_tokens(language: &str) -> Vec<u32> {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let tokens = golden.tensor(&format!("{language}.tokens")).unwrap();
    tokens.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

fn speech() -> Clip {
    let golden = SafeTensors::deserialize(SPEECH).unwrap();
    let numbers = golden.tensor("samples").unwrap().data().as_chunks().0;
    let samples = numbers.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0);
    Clip { samples: samples.collect(), rate: RATE }
}

fn assert_near(what: &str, got: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let worst = got.iter().zip(wanted).fold(0.0_f32, |worst, (got, want)| worst.max((got - want).abs()));
    assert!(worst < tolerance, "{what}: {worst}");
}

fn means(rows: &[f32], width: usize) -> Vec<f32> {
    let count = (rows.len() / width) as f32;
    (0..width).map(|column| rows.iter().skip(column).step_by(width).sum::<f32>() / count).collect()
}

#[test]
fn features_are_those_of_the_reference() {
    let whisper = whisper();
    let features = whisper.features(&speech().samples);
    let bands = whisper.mel.bands();
    assert_eq!(features.len(), FRAMES * bands);
    let kept: Vec<f32> = features.chunks(bands).step_by(EVERY).flatten().copied().collect();
    assert_near("frames", &kept, &golden("features"), 1e-4);
    let frame_means: Vec<f32> =
        features.chunks(bands).map(|frame| frame.iter().sum::<f32>() / bands as f32).collect();
    assert_near("means", &frame_means, &golden("feature_means"), 1e-5);
}

#[test]
fn the_encoder_hears_what_the_reference_hears() {
    let whisper = whisper();
    let heard = whisper.network.encoded(&whisper.features(&speech().samples)).unwrap();
    let width = heard.dims()[1];
    let rows = heard.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let kept: Vec<f32> = rows.chunks(width).step_by(EVERY).flatten().copied().collect();
    assert_near("rows", &kept, &golden("heard"), 5e-4);
    assert_near("means", &means(&rows, width), &golden("heard_means"), 1e-4);
    assert_eq!(heard.i(0).unwrap().dims(), [width]);
}

#[rstest]
#[case("<|en|>", Language::English)]
#[case("<|zh|>", Language::Chinese)]
fn each_token_is_the_references(#[case] name: &str, #[case] language: Language) {
    let whisper = whisper();
    let heard = whisper.network.encode(&whisper.features(&speech().samples)).unwrap();
    let wanted = golden_tokens(name);
    let most = wanted.len();
    let found = greedy::tokens(&whisper.network, &whisper.vocabulary, &heard, language, most).unwrap();
    assert_eq!(found, wanted);

    let mut said = Said::default();
    let mut logits = whisper.network.next(&heard, &mut said, &whisper.vocabulary.prompt(language)).unwrap();
    for (step, reference) in golden(&format!("{name}.logits")).chunks(logits.len()).enumerate() {
        assert_near(&format!("logits after {step} tokens"), &logits, reference, 2e-3);
        logits = whisper.network.next(&heard, &mut said, &[wanted[step]]).unwrap();
    }
}

#[test]
fn the_likelier_language_is_taken_and_its_tokens_become_text() {
    let whisper = whisper();
    let languages = golden("languages");
    let name = if languages[1] > languages[0] { "<|zh|>" } else { "<|en|>" };
    let text = whisper.transcribe(&speech()).unwrap();
    // The clip is longer than the steps that are kept.
    let kept = whisper.vocabulary.text(&golden_tokens(name)).unwrap();
    assert!(!kept.trim().is_empty());
    assert!(text.starts_with(kept.trim()), "{text:?} {kept:?}");
}

#[test]
fn bytes_of_tokens_are_put_together_to_letters_and_signs_are_left_out() {
    let vocabulary = whisper().vocabulary;
    let byte = |byte: u8| vocabulary.tokenizer.token_to_id(&byte_letter(byte).to_string()).unwrap();
    let chinese: Vec<u32> = "好".bytes().map(byte).collect();
    let tokens = [&[vocabulary.start], &chinese[..], &[257, vocabulary.end]].concat();
    assert_eq!(vocabulary.text(&tokens).unwrap(), "好the");
}

/// Bytes that are no visible letter stand further on, in their order.
fn byte_letter(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let hidden_before = (0..byte).filter(|byte| !visible(*byte)).count() as u32;
    if visible(byte) { char::from(byte) } else { char::from_u32(256 + hidden_before).unwrap() }
}

#[test]
fn saying_has_an_end() {
    assert_eq!(greedy::most_tokens(0.1), 10);
    assert_eq!(greedy::most_tokens(30.0), 224);
    let whisper = whisper();
    let heard = whisper.network.encode(&whisper.features(&speech().samples)).unwrap();
    let tokens = greedy::tokens(&whisper.network, &whisper.vocabulary, &heard, Language::English, 1_000);
    assert!(tokens.unwrap().len() <= whisper.network.most_tokens() - 4);
}

#[test]
fn what_is_no_audio_is_refused() {
    let whisper = whisper();
    let refused = |samples| whisper.transcribe(&Clip { samples, rate: RATE }).unwrap_err().to_string();
    assert_eq!(refused(vec![]), "the clip has no samples");
    assert!(refused(vec![f32::INFINITY; 10]).starts_with("the clip is not audio"));
}

#[rstest]
#[case::size("\"d_model\": 32", "\"d_model\": 1000000", "d_model is 1000000, not 1 to 2048")]
#[case::none("\"encoder_layers\": 2", "\"encoder_layers\": 0", "encoder_layers is 0, not 1 to 64")]
#[case::heads(
    "\"decoder_attention_heads\": 4",
    "\"decoder_attention_heads\": 3",
    "does not part into 3 heads"
)]
#[case::window("1500", "3000", "max_source_positions is 3000, not 1500")]
#[case::activation("\"gelu\"", "\"relu\"", "activation \"relu\", not \"gelu\"")]
#[case::english("\"vocab_size\": 268", "\"vocab_size\": 51864", "a model of English only")]
#[case::smaller("\"vocab_size\": 268", "\"vocab_size\": 259", "<|startoftranscript|> is 259, of 259")]
#[case::another("\"encoder_ffn_dim\": 64", "\"encoder_ffn_dim\": 65", "has shape")]
#[case::broken("{", "[", "config.json")]
fn another_network_than_the_weights_is_refused(
    #[case] from: &str,
    #[case] to: &str,
    #[case] complaint: &str,
) {
    let config = String::from_utf8(CONFIG.to_vec()).unwrap();
    assert!(config.contains(from));
    let mut files = files();
    files[0].1 = config.replacen(from, to, 1).into_bytes().leak();
    let error = Whisper::load(&folder(FAMILY, files)).err().unwrap().to_string();
    assert!(error.contains(complaint), "{error}");
}

#[test]
fn folders_that_are_no_whisper_are_refused() {
    let refused = |family, files| Whisper::load(&folder(family, files)).err().unwrap().to_string();
    assert_eq!(
        refused("hibari", files()),
        "unusable weights: the model is of family \"hibari\", not \"whisper\""
    );
    for (place, (path, _)) in files().iter().enumerate() {
        let mut missing = files();
        missing.remove(place);
        assert_eq!(refused(FAMILY, missing), format!("the model folder has no {path}"));
        let mut cut = files();
        cut[place].1 = &cut[place].1[..cut[place].1.len() / 2];
        assert!(refused(FAMILY, cut).starts_with("unusable weights: "), "{path}");
    }
}

#[test]
fn tokens_that_newer_folders_suppress_are_not_said() {
    let mut files = files();
    files.push((
        "generation_config.json",
        br#"{"suppress_tokens": [101, 84], "begin_suppress_tokens": [-1, 5]}"#,
    ));
    let whisper = Whisper::load(&folder(FAMILY, files)).unwrap();
    assert!(!whisper.vocabulary.may_follow(101, false));
    assert!(whisper.vocabulary.may_follow(1, false), "the older file does not count then");
    assert!(!whisper.vocabulary.may_follow(5, true) && whisper.vocabulary.may_follow(5, false));
    assert!(!whisper.vocabulary.may_follow(whisper.vocabulary.start as usize, false));
}
