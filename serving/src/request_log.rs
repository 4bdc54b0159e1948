//! One line for each request, on standard output.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{lines::Lines, logging::LogFormat, throttle::Throttle};

/// Which GPUs the container sees; set by whoever gave it one.
const VISIBLE_DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
/// Longest cause in a line, in characters.
const LONGEST_STACK: usize = 1000;

/// What a request leaves behind. None of it is the user's text.
pub(crate) struct Entry<'a> {
    pub(crate) trace_id: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) code: &'static str,
    pub(crate) spent: Duration,
    pub(crate) input_chars: Option<usize>,
    pub(crate) cause: Option<&'a str>,
    /// Characters of the text that were spoken, where it was cut.
    pub(crate) cut_to: Option<usize>,
    /// Letters of the text that the voice could not speak.
    pub(crate) skipped_chars: usize,
}

/// The fields of a line, under the names they have in JSON.
#[derive(Serialize)]
struct Fields<'a> {
    time: String,
    trace_id: Option<&'a str>,
    error_code: &'a str,
    cost_ms: Option<u64>,
    input_len: Option<usize>,
    gpu_id: Option<&'a str>,
    stack: Option<String>,
    request_id: Option<&'a str>,
}

/// Writes entries, not more of them than the [`Throttle`] lets pass.
struct RequestLog<W> {
    format: LogFormat,
    gpu_id: Option<String>,
    throttle: Throttle,
    out: W,
}

static LOG: OnceLock<Mutex<RequestLog<Lines>>> = OnceLock::new();

/// Starts the log; entries written before are lost.
pub(crate) fn start(format: LogFormat, out: Lines) {
    let gpu_id = gpu_id(std::env::var(VISIBLE_DEVICES).ok());
    let log = RequestLog { format, gpu_id, throttle: Throttle::default(), out };
    _ = LOG.set(Mutex::new(log));
}

/// Writes an entry, if the log has been started.
pub(crate) fn write(entry: &Entry<'_>) {
    if let Some(log) = LOG.get() {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(entry, Timestamp::now(), Instant::now());
    }
}

impl<W: Write> RequestLog<W> {
    fn write(&mut self, entry: &Entry<'_>, time: Timestamp, now: Instant) {
        let Some(left_out) = self.throttle.pass(entry.code, now) else { return };
        let mut lines = String::new();
        if left_out > 0 {
            lines.push_str(&self.line(&self.left_out(entry.code, left_out, time)));
        }
        lines.push_str(&self.line(&self.fields(entry, time)));
        // Where the log cannot be written, nobody can be told.
        _ = self.out.write_all(lines.as_bytes());
    }

    fn fields<'a>(&'a self, entry: &Entry<'a>, time: Timestamp) -> Fields<'a> {
        Fields {
            time: format!("{time:.3}"),
            trace_id: Some(entry.trace_id),
            error_code: entry.code,
            cost_ms: Some(entry.spent.as_millis() as u64),
            input_len: entry.input_chars,
            gpu_id: self.gpu_id.as_deref(),
            stack: stack(entry),
            request_id: Some(entry.request_id),
        }
    }

    fn left_out(&self, code: &'static str, number: u64, time: Timestamp) -> Fields<'_> {
        Fields {
            time: format!("{time:.3}"),
            trace_id: None,
            error_code: code,
            cost_ms: None,
            input_len: None,
            gpu_id: self.gpu_id.as_deref(),
            stack: Some(format!("{number} lines of this code left out")),
            request_id: None,
        }
    }

    fn line(&self, fields: &Fields<'_>) -> String {
        match self.format {
            LogFormat::Template => template(fields),
            // The fields are our own and always serialise.
            LogFormat::Json => serde_json::to_string(fields).unwrap_or_default() + "\n",
        }
    }
}

fn template(fields: &Fields<'_>) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    format!(
        "{} | {} | {} | {} | {} | {} | {}\n",
        fields.time,
        fields.trace_id.unwrap_or("-"),
        fields.error_code,
        or_dash(fields.cost_ms.map(|cost| format!("{cost}ms"))),
        or_dash(fields.input_len.map(|length| length.to_string())),
        fields.gpu_id.unwrap_or("-"),
        fields.stack.as_deref().unwrap_or("-"),
    )
}

/// Why it failed, and what was not spoken of the text, if so.
fn stack(entry: &Entry<'_>) -> Option<String> {
    let cause = entry.cause.map(on_one_line);
    let cut = entry.cut_to.map(|spoken| {
        let sent = entry.input_chars.unwrap_or_default();
        format!("truncated=true, {spoken} of {sent} characters")
    });
    let skipped = (entry.skipped_chars > 0).then(|| format!("skipped_chars={}", entry.skipped_chars));
    [cause, cut, skipped].into_iter().flatten().reduce(|all, next| format!("{all}; {next}"))
}

/// Nothing in it ends the line, or looks like the end of a field.
fn on_one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c == '|' { ' ' } else { c };
    text.chars().take(LONGEST_STACK).map(plain).collect()
}

/// The device plugin names what it gave; the other values name no device.
fn gpu_id(visible: Option<String>) -> Option<String> {
    let visible = visible?;
    let named = !matches!(visible.trim(), "" | "void" | "all" | "none");
    named.then(|| on_one_line(visible.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(format: LogFormat, gpu_id: Option<&str>) -> RequestLog<Vec<u8>> {
        let gpu_id = gpu_id.map(str::to_owned);
        RequestLog { format, gpu_id, throttle: Throttle::default(), out: Vec::new() }
    }

    fn entry(code: &'static str) -> Entry<'static> {
        Entry {
            trace_id: "0af7651916cd43dd8448eb211c80319c",
            request_id: "r1",
            code,
            spent: Duration::from_micros(12_900),
            input_chars: None,
            cause: None,
            cut_to: None,
            skipped_chars: 0,
        }
    }

    fn written(log: &RequestLog<Vec<u8>>) -> Vec<&str> {
        std::str::from_utf8(&log.out).unwrap().lines().collect()
    }

    fn time() -> Timestamp {
        Timestamp::from_millisecond(1_772_000_000_007).unwrap()
    }

    #[test]
    fn the_template_has_its_seven_fields_in_order() {
        let mut log = log(LogFormat::Template, Some("GPU-7"));
        let failed = Entry { input_chars: Some(600), cause: Some("a\nb | c"), ..entry("InferenceFailed") };
        log.write(&failed, time(), Instant::now());
        log.write(&entry("OK"), time(), Instant::now());
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let expected = [
            format!("2026-02-25T06:13:20.007Z | {trace} | InferenceFailed | 12ms | 600 | GPU-7 | a b   c"),
            format!("2026-02-25T06:13:20.007Z | {trace} | OK | 12ms | - | GPU-7 | -"),
        ];
        assert_eq!(written(&log), expected);
    }

    #[test]
    fn a_text_that_was_cut_says_so() {
        let mut log = log(LogFormat::Template, None);
        let cut = Entry { input_chars: Some(4606), cut_to: Some(590), ..entry("OK") };
        log.write(&cut, time(), Instant::now());
        log.write(&Entry { cause: Some("late"), ..cut }, time(), Instant::now());
        let lines = written(&log);
        assert!(lines[0].ends_with(" | 4606 | - | truncated=true, 590 of 4606 characters"), "{}", lines[0]);
        assert!(lines[1].ends_with(" | late; truncated=true, 590 of 4606 characters"), "{}", lines[1]);
    }

    #[test]
    fn letters_that_were_not_spoken_are_counted() {
        let mut log = log(LogFormat::Template, None);
        let skipped = Entry { input_chars: Some(40), skipped_chars: 9, ..entry("OK") };
        log.write(&skipped, time(), Instant::now());
        log.write(&Entry { cut_to: Some(30), ..skipped }, time(), Instant::now());
        let lines = written(&log);
        assert!(lines[0].ends_with(" | 40 | - | skipped_chars=9"), "{}", lines[0]);
        assert!(lines[1].ends_with("truncated=true, 30 of 40 characters; skipped_chars=9"), "{}", lines[1]);
    }

    #[test]
    fn json_has_the_same_fields_and_the_request_id() {
        let mut log = log(LogFormat::Json, None);
        log.write(&Entry { input_chars: Some(5), ..entry("OK") }, time(), Instant::now());
        let expected = r#"{"time":"2026-02-25T06:13:20.007Z","trace_id":"0af7651916cd43dd8448eb211c80319c","error_code":"OK","cost_ms":12,"input_len":5,"gpu_id":null,"stack":null,"request_id":"r1"}"#;
        assert_eq!(written(&log), [expected]);
    }

    #[test]
    fn a_storm_is_bounded_and_the_next_line_says_how_many_were_left_out() {
        let (mut log, start) = (log(LogFormat::Template, None), Instant::now());
        for _ in 0..5000 {
            log.write(&entry("SystemBusy"), time(), start);
        }
        assert_eq!(written(&log).len(), 100);
        log.write(&entry("OK"), time(), start);
        log.write(&entry("SystemBusy"), time(), start + Duration::from_secs(1));
        let lines = written(&log);
        assert!(lines[100].contains(" | OK | "), "{}", lines[100]);
        assert!(
            lines[101].ends_with(" | - | SystemBusy | - | - | - | 4900 lines of this code left out"),
            "{}",
            lines[101]
        );
        assert_eq!(lines.len(), 103);
    }

    #[test]
    fn a_cause_cannot_grow_without_bound() {
        let mut log = log(LogFormat::Template, None);
        let cause = "x".repeat(1 << 20);
        log.write(&Entry { cause: Some(&cause), ..entry("OK") }, time(), Instant::now());
        assert!(log.out.len() < 1200, "{} bytes", log.out.len());
    }

    #[test]
    fn only_a_named_gpu_is_a_gpu() {
        for none in ["", "void", "all", "none"] {
            assert_eq!(gpu_id(Some(none.to_owned())), None, "{none}");
        }
        assert_eq!(gpu_id(None), None);
        assert_eq!(gpu_id(Some("GPU-1,GPU-2".to_owned())).as_deref(), Some("GPU-1,GPU-2"));
    }
}
