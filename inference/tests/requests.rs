//! Good requests, bad requests, and what comes back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{JSON, RATE, exchange, get, limits, metric, post, say, start};
use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_inference::config::Limits;
use ttsfleet_wire::pod::OnUnspeakable;

fn body(value: Value) -> Vec<u8> {
    post(value.to_string(), JSON)
}

fn long() -> String {
    "ö".repeat(4097)
}

#[rstest]
#[case::not_json(post("input=secret", JSON), 400, "InvalidJson", "line 1")]
#[case::json_cut_short(post(r#"{"input": "secret"#, JSON), 400, "InvalidJson", "line 1")]
#[case::not_an_object(post(r#"["secret"]"#, JSON), 400, "InvalidJson", "JSON object")]
#[case::empty_body(post("", JSON), 400, "InvalidJson", "line 1")]
#[case::not_utf8(post(b"{\"input\": \"secret \xff\"}", JSON), 400, "InvalidJson", "UTF-8 from byte 18")]
#[case::no_content_type(post(r#"{"input": "hi"}"#, ""), 415, "UnsupportedMediaType", "application/json")]
#[case::form(
    post("input=hi", "content-type: application/x-www-form-urlencoded\r\n"),
    415,
    "UnsupportedMediaType",
    "application/json"
)]
#[case::no_input(body(json!({"voice": "low"})), 400, "InvalidParameter", "`input` is missing")]
#[case::input_a_number(body(json!({"input": 7})), 400, "InvalidParameter", "`input` must be a string")]
#[case::empty_input(body(json!({"input": ""})), 400, "InvalidParameter", "`input` is empty")]
#[case::white_input(body(json!({"input": " \n\t\u{a0}"})), 400, "InvalidParameter", "`input` is empty")]
#[case::too_long(body(json!({"input": long()})), 400, "InputTooLong", "4097 characters; at most 4096")]
#[case::unknown_voice(body(json!({"input": "hi", "voice": "secret"})), 400, "UnknownVoice", "low, high")]
#[case::unknown_format(
    body(json!({"input": "hi", "response_format": "secret"})),
    400, "UnsupportedFormat", "mp3, opus, aac, flac, wav, pcm, mulaw, alaw"
)]
#[case::too_fast(body(json!({"input": "hi", "speed": 4.1})), 400, "InvalidParameter", "0.25 to 4.0")]
#[case::too_slow(body(json!({"input": "hi", "speed": 0})), 400, "InvalidParameter", "0.25 to 4.0")]
#[case::huge_speed(body(json!({"input": "hi", "speed": 1e300})), 400, "InvalidParameter", "0.25 to 4.0")]
#[case::speed_nan(post(r#"{"input": "hi", "speed": NaN}"#, JSON), 400, "InvalidJson", "line 1")]
#[case::speed_a_string(body(json!({"input": "hi", "speed": "1"})), 400, "InvalidParameter", "`speed` must be a number")]
#[case::low_rate(body(json!({"input": "hi", "sample_rate": 7999})), 400, "InvalidParameter", "8000 to 48000 Hz")]
#[case::rate_of_others(
    body(json!({"input": "hi", "sample_rate": 44100, "response_format": "opus"})),
    400, "InvalidParameter", "8000, 12000, 16000, 24000, 48000 Hz"
)]
#[case::bad_entry(
    body(json!({"input": "hi", "lexicon": {"a": "b", "secret": "/SECRET/"}})),
    400, "InvalidParameter", "Entry 2 of 2"
)]
#[case::stream_format(body(json!({"input": "hi", "stream_format": "secret"})), 400, "InvalidParameter", "audio or sse")]
#[case::unknown_model(body(json!({"input": "hi", "model": "secret"})), 404, "ModelNotFound", "tones@1")]
#[case::body_too_large(post(vec![b' '; (1 << 20) + 1], JSON), 413, "BodyTooLarge", "1048576")]
#[case::wrong_method(
    b"GET /v1/audio/speech HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n".to_vec(),
    405, "MethodNotAllowed", "allow"
)]
#[case::unknown_path(
    b"GET /v1/secret HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n".to_vec(),
    404, "NotFound", "/v1/audio/speech"
)]
#[case::deep_json(post(format!("{{\"input\": {}", "[".repeat(100_000)), JSON), 400, "InvalidJson", "line 1")]
#[tokio::test]
async fn a_bad_request_is_answered_with_what_to_do_instead(
    #[case] request: Vec<u8>,
    #[case] status: u16,
    #[case] code: &str,
    #[case] hint: &str,
) {
    let server = start(limits()).await;
    let answer = exchange(server.speech, &request).await;
    let json = answer.json();
    let error = &json["error"];
    assert_eq!((answer.status, error["error_code"].as_str().unwrap()), (status, code), "{json}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(hint), "{message}");
    assert!(!json.to_string().contains("secret"), "the caller's text came back: {json}");
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(error["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(metric(server.health, &format!("ttsfleet_requests_total{{code=\"{code}\"}}")).await, 1.0);
}

#[tokio::test]
async fn the_method_that_is_taken_is_named() {
    let server = start(limits()).await;
    let answer = get(server.speech, "/v1/audio/speech").await;
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn models_and_voices_are_listed() {
    let server = start(limits()).await;
    let models = get(server.speech, "/v1/models").await.json();
    assert_eq!(models["object"], "list");
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["version"]), (&json!("tones"), &json!("1")));
    let voices = get(server.speech, "/v1/audio/voices").await.json();
    let low = json!({"id": "low", "name": "low", "languages": ["en-US"], "sample_rate": RATE});
    assert_eq!(voices["voices"][0], low);
    let models = get(server.speech, "/v1/audio/models").await.json();
    assert_eq!(models["models"][0], json!({"id": "tones", "name": "tones"}));
    assert_eq!(get(server.speech, "/v1/models/tts-1").await.json()["alias_of"], "tones");
    assert_eq!(get(server.speech, "/v1/models/nobody").await.status, 404);
}

#[rstest]
#[case::open_webui(json!({"model": "tts-1", "input": "one", "voice": "alloy"}))]
#[case::libre_chat(json!({"input": "one", "model": "tts-1", "voice": "alloy", "backend": "openai"}))]
#[case::silly_tavern(json!({
    "input": "one", "response_format": "mp3", "voice": "nova", "speed": 1, "model": "tts-1",
    "provider_endpoint": "http://h/v1/audio/speech"
}))]
#[case::home_assistant(json!({
    "model": "gpt-4o-mini-tts", "input": "one", "voice": "shimmer", "response_format": "mp3", "speed": 1.0,
    "instructions": "Speak as a butler."
}))]
#[case::kokoros_clients(json!({
    "model": "tts-1-hd", "input": "one", "voice": "fable", "response_format": "wav", "stream": true,
    "lang_code": "a", "normalization_options": {"normalize": true}, "volume_multiplier": 1.0
}))]
#[tokio::test]
async fn what_programs_send_by_themselves_is_spoken(#[case] request: Value) {
    let server = start(limits()).await;
    let answer = say(server.speech, request).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
}

#[tokio::test]
async fn openais_clients_are_served_with_the_names_and_fields_they_send() {
    let server = start(limits()).await;
    let request = json!({
        "model": "gpt-4o-mini-tts", "voice": "alloy", "input": "one two", "response_format": "pcm",
        "instructions": "Speak softly.", "stream": true,
    });
    let answer = say(server.speech, request).await;
    assert_eq!((answer.status, answer.header("x-tts-model")), (200, Some("tones@1")), "{}", answer.head);
    assert_eq!(answer.header("x-tts-ignored"), Some("instructions, stream"));
    let own = say(server.speech, json!({"input": "one two", "voice": "low", "response_format": "pcm"})).await;
    assert!(answer.body == own.body, "it is the first voice");
}

#[tokio::test]
async fn a_short_wav_has_its_true_length() {
    let server = start(limits()).await;
    let answer =
        say(server.speech, json!({"input": "one two", "response_format": "wav", "model": "tones@1"})).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("audio/wav"));
    assert_eq!(answer.header("x-tts-model"), Some("tones@1"));
    assert!(answer.header("x-tts-queue-ms").is_some());
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let (length, samples) = common::wav_data(&answer.body);
    assert_eq!((length, samples.len() as u32), (2 * 2 * RATE, 2 * 2 * RATE));
}

#[tokio::test]
async fn a_long_wav_is_streamed_with_an_open_length() {
    let server = start(limits()).await;
    let text = "word ".repeat(60);
    let answer = say(server.speech, json!({"input": text, "response_format": "wav"})).await;
    assert!(answer.whole && answer.header("content-length").is_none(), "{}", answer.head);
    let (length, samples) = common::wav_data(&answer.body);
    assert_eq!((length, samples.len() as u32), (u32::MAX, 60 * 2 * RATE));
}

#[rstest]
#[case::streamed(json!({"response_format": "pcm"}))]
#[case::in_events(json!({"response_format": "mp3", "stream_format": "sse"}))]
#[case::known_in_time(json!({"response_format": "wav"}))]
#[tokio::test]
async fn how_long_the_audio_is_stands_in_the_trailer_or_where_it_is_known_in_the_head(
    #[case] mut order: Value,
) {
    let server = start(limits()).await;
    order["input"] = json!("one two");
    let asked = exchange(server.speech, &post(order.to_string(), &format!("{JSON}te: trailers\r\n"))).await;
    let said = "x-tts-audio-ms: 2000\r\n";
    assert!(asked.whole && (asked.trailer.starts_with(said) || asked.head.contains(said)), "{}", asked.head);
    let plain = exchange(server.speech, &post(order.to_string(), JSON)).await;
    assert!(plain.whole && !plain.trailer.contains("x-tts"), "who does not ask for it gets no trailer");
}

#[tokio::test]
async fn speed_and_voice_are_honoured() {
    let server = start(limits()).await;
    let order = json!({"input": "one", "response_format": "pcm", "speed": 2.0, "voice": {"id": "high"}});
    let answer = say(server.speech, order).await;
    assert_eq!(answer.body.len() as u32, RATE);
    let samples: Vec<i16> = answer.body.chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let crossings = samples.windows(2).filter(|two| two[0] < 0 && two[1] >= 0).count();
    assert!((435..=445).contains(&crossings), "{crossings} periods in half a second");
}

#[tokio::test]
async fn events_carry_the_audio_and_then_the_usage() {
    let server = start(limits()).await;
    let order = json!({"input": "one two", "response_format": "pcm", "stream_format": "sse"});
    let answer = say(server.speech, order).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events = common::events(&answer);
    let (last, deltas) = events.split_last().unwrap();
    assert!(deltas.len() >= 2 && deltas.iter().all(|event| event["type"] == "speech.audio.delta"));
    assert_eq!(last["type"], "speech.audio.done");
    assert_eq!(last["usage"], json!({"input_tokens": 7, "output_tokens": 2000, "total_tokens": 2007}));
}

#[rstest]
#[case::cut("9", json!({"truncated": true, "input_chars": 9, "spoken_chars": 7}))]
#[case::not_cut("7", json!({"truncated": false}))]
#[case::nonsense("long", json!({"truncated": false}))]
#[tokio::test]
async fn the_last_event_says_whether_the_text_was_cut(#[case] sent: &str, #[case] expected: Value) {
    let server = start(limits()).await;
    let order = json!({"input": "one two", "response_format": "pcm", "stream_format": "sse"});
    let headers = format!("{JSON}x-tts-input-chars: {sent}\r\n");
    let answer = exchange(server.speech, &post(order.to_string(), &headers)).await;
    let mut last = common::events(&answer).pop().unwrap();
    for field in ["type", "usage"] {
        last.as_object_mut().unwrap().remove(field).unwrap();
    }
    assert_eq!(last, expected);
}

#[rstest]
#[case::spoken_whole("one two", None, None, 2000)]
#[case::letters_left_out("один two", Some("4"), None, 1000)]
#[case::no_words("...!?", None, Some("true"), 300)]
#[case::no_words_left("Привет!", Some("6"), Some("true"), 300)]
#[tokio::test]
async fn what_is_not_spoken_is_told_in_the_headers_and_in_the_last_event(
    #[case] input: &str,
    #[case] skipped: Option<&str>,
    #[case] no_words: Option<&str>,
    #[case] milliseconds: u64,
) {
    let server = start(limits()).await;
    let order = json!({"input": input, "response_format": "pcm"});
    let answer = say(server.speech, order.clone()).await;
    assert_eq!((answer.status, answer.body.len() as u64), (200, milliseconds * u64::from(RATE) * 2 / 1000));
    assert_eq!(answer.header("x-tts-skipped-chars"), skipped);
    assert_eq!(answer.header("x-tts-no-words"), no_words);
    let mut order = order;
    order["stream_format"] = "sse".into();
    let last = common::events(&say(server.speech, order).await).pop().unwrap();
    assert_eq!(last["skipped_chars"].as_u64().map(|chars| chars.to_string()).as_deref(), skipped);
    assert_eq!(last["no_words"].as_bool(), no_words.map(|_| true));
    assert_eq!(last["usage"]["output_tokens"], milliseconds);
}

#[rstest]
#[case::letters_left_out("один secret", 400)]
#[case::no_words("...!?", 200)]
#[case::spoken_whole("one", 200)]
#[tokio::test]
async fn a_server_that_is_told_so_refuses_letters_that_it_cannot_speak(
    #[case] input: &str,
    #[case] status: u16,
) {
    let server = start(Limits { on_unspeakable: OnUnspeakable::Refuse, ..limits() }).await;
    let answer = say(server.speech, json!({"input": input})).await;
    assert_eq!(answer.status, status);
    if status == 400 {
        assert_eq!(
            (answer.error_code().as_str(), &answer.json()["error"]["param"]),
            ("UnsupportedText", &json!("input"))
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(
            message.contains("4 letters") && message.contains("en-US") && !message.contains("secret"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn ids_are_taken_over_if_sane_and_made_otherwise() {
    let server = start(limits()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = format!("{JSON}x-request-id: mine-1\r\ntraceparent: {trace}\r\n");
    let answer = exchange(server.speech, &post(r#"{"input": "hi"}"#, &headers)).await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let span = answer.header("traceparent").unwrap();
    assert!(span.starts_with(&trace[..36]) && span.ends_with("-01") && span != trace, "{span}");
    let headers = format!("{JSON}x-request-id: not mine\r\ntraceparent: 00-nonsense\r\n");
    let answer = exchange(server.speech, &post(r#"{"input": "hi"}"#, &headers)).await;
    assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
    let made = answer.header("traceparent").unwrap();
    assert!(made.len() == 55 && made.starts_with("00-"), "{made}");
}
