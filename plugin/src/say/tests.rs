use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    headers.iter().map(header).collect()
}

/// The beginning of a WAV file of one second at 8 kHz, whose length is not told.
fn begun() -> Vec<u8> {
    let mut file = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"LIST\x03\x00\x00\x00abc\0data\xff\xff\xff\xff");
    file.extend([0; 16_000]);
    file
}

#[test]
fn a_wav_file_tells_its_length_once_it_is_complete() {
    let mut file = begun();
    assert_eq!(wav::make_whole(&mut file), Some(Duration::from_secs(1)));
    let length = file.len() as u32;
    assert_eq!(file[4..8], (length - 8).to_le_bytes());
    assert_eq!(file[length as usize - 16_004..][..4], 16_000_u32.to_le_bytes());
    let once = file.clone();
    assert_eq!(wav::make_whole(&mut file), Some(Duration::from_secs(1)));
    assert_eq!(file, once);
}

#[test]
fn what_is_no_wav_file_stays_as_it_is() {
    let whole = begun();
    let head = whole.len() - 16_000;
    for end in 0..head {
        let mut file = whole[..end].to_vec();
        assert_eq!(wav::make_whole(&mut file), None, "{end}");
        assert_eq!(file, whole[..end]);
    }
    let mut endless = whole[..BEFORE_DATA].to_vec();
    endless.extend(b"junk\xff\xff\xff\xff");
    assert_eq!(wav::make_whole(&mut endless), None);
    assert_eq!(wav::make_whole(&mut b"ID3 and more of an mp3".to_vec()), None);
}

const BEFORE_DATA: usize = 36;

#[rstest]
#[case(None, "wav")]
#[case(Some("said.MP3"), "mp3")]
#[case(Some("a.b/said"), "wav")]
#[case(Some("said.flac"), "flac")]
fn the_end_of_a_files_name_is_its_format(#[case] file: Option<&str>, #[case] format: &str) {
    assert_eq!(format_of(file.map(Path::new)).expect("a format").name(), format);
}

#[test]
fn a_format_that_there_is_not_is_refused_with_those_there_are() {
    let refused = format_of(Some(Path::new("said.ogg"))).expect_err("refused").to_string();
    assert!(refused.contains("no format .ogg") && refused.contains(".opus"), "{refused}");
}

#[test]
fn an_entry_is_checked_before_anything_is_sent() {
    assert_eq!(entry("C# = see sharp"), Ok(("C#".to_owned(), "see sharp".to_owned())));
    for (bad, told) in
        [("kubectl", "WORD=PRONUNCIATION"), ("?=a", "a letter"), ("a=/B/", "Phonetic Alphabet")]
    {
        let refused = entry(bad).expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn what_the_headers_say_is_told() {
    assert_eq!(told::notes(&map(&[("x-tts-model", "hibari@1")])), [""; 0]);
    let notes = told::notes(&map(&[
        ("x-tts-degraded", "backup"),
        ("x-tts-pool", "spare"),
        ("x-tts-truncated", "true"),
        ("x-tts-input-chars", "1019"),
        ("x-tts-spoken-chars", "590"),
        ("x-tts-skipped-chars", "9"),
        ("x-tts-no-words", "true"),
        ("x-tts-ignored", "lexicon"),
    ]));
    for (note, words) in notes.iter().zip(["pool spare", "590 of 1019", "9 letters", "no words", "lexicon"]) {
        assert!(note.contains(words), "{note}");
    }
    assert_eq!(notes.len(), 5);
    assert!(told::notes(&map(&[("x-tts-degraded", "empty-audio")]))[0].contains("no sound"));
    assert_eq!(
        told::audio(Some(Duration::from_millis(1234)), 9, &map(&[("x-tts-model", "m@1")])),
        "1.23 s by m@1"
    );
    assert_eq!(told::audio(None, 2049, &HeaderMap::new()), "3 KiB");
}

/// A gateway at the other end, that answers once; what it was sent.
fn gateway(answer: &'static str) -> (DuplexStream, tokio::task::JoinHandle<String>) {
    let (near, mut far) = duplex(64 << 10);
    let sent = tokio::spawn(async move {
        let mut sent = vec![0; 4096];
        let read = far.read(&mut sent).await.expect("a request");
        far.write_all(answer.as_bytes()).await.expect("a reader");
        String::from_utf8(sent[..read].to_vec()).expect("text")
    });
    (near, sent)
}

fn hello() -> SpeechRequest {
    let say = Say {
        fleet: "narrator".to_owned(),
        text: "-".to_owned(),
        lexicon: vec![("kubectl".to_owned(), "cube control".to_owned())],
        voice: Some("heart".to_owned()),
        speed: None,
        out: None,
    };
    say.request("Hello, kubectl.".to_owned(), AudioFormat::Wav)
}

#[tokio::test]
async fn a_request_is_sent_with_its_key_and_the_audio_comes_back() {
    let (stream, sent) = gateway(
        "HTTP/1.1 200 OK\r\nx-tts-model: m@1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let answer = ask::ask(stream, &hello(), Some("a key")).await.expect("an answer");
    assert_eq!((&answer.audio[..], told::header(&answer.headers, "x-tts-model")), (&b"abc"[..], Some("m@1")));
    let sent = sent.await.expect("what was sent");
    assert!(
        sent.starts_with("POST /v1/audio/speech ") && sent.contains("authorization: Bearer a key\r\n"),
        "{sent}"
    );
    let body: Value = serde_json::from_str(sent.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    let expected = json!({
        "input": "Hello, kubectl.", "voice": "heart", "response_format": "wav", "lexicon": {"kubectl": "cube control"},
    });
    assert_eq!(body, expected);
}

#[rstest]
#[case::refused(
    "HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":{\"error_code\":\"Unauthorized\",\
     \"message\":\"Send a key.\",\"type\":\"authentication_error\",\"param\":null,\"retryable\":false,\
     \"request_id\":\"0123456789abcdef01234567\"}}",
    "Send a key. (Unauthorized)"
)]
#[case::by_something_else(
    "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno",
    "answers 502 Bad Gateway"
)]
#[case::broken_off("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "the speech broke off")]
#[case::no_http("nonsense\r\n\r\n", "cannot reach the gateway")]
#[tokio::test]
async fn what_went_wrong_is_told_as_the_server_tells_it(#[case] answer: &'static str, #[case] told: &str) {
    let (stream, _sent) = gateway(answer);
    let error = ask::ask(stream, &hello(), None).await.expect_err("an error");
    assert!(error.to_string().contains(told), "{error:#}");
}

#[cfg(unix)]
#[test]
fn the_first_player_that_is_there_plays_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().as_os_str();
    let none = Player::find_in(path).expect_err("no player").to_string();
    assert!(none.contains("install one of aplay") && none.contains("--out"), "{none}");

    let install = |name: &str, script: &str, mode| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("its rights");
    };
    install("aplay", "exit 0", 0o644);
    let heard = folder.path().join("heard");
    install("mpv", &format!("cat \"$3\" > {}", heard.display()), 0o755);
    Player::find_in(path).expect("mpv").play(b"a file").expect("it plays");
    assert_eq!(std::fs::read(&heard).expect("it was given the file"), b"a file");
    install("aplay", "exit 3", 0o755);
    let failed = Player::find_in(path).expect("aplay").play(b"").expect_err("it fails").to_string();
    assert!(failed.contains("aplay does not play it") && failed.contains("--out"), "{failed}");
}
