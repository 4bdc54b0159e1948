//! What is compared with what, read from a file.

use std::path::Path;

use ttsfleet_wire::judge::Session;

/// Largest session file: prompts are most of it.
const MOST_BYTES: u64 = 1 << 20;
/// Longest prompt that is spoken, in characters.
const MOST_PROMPT_CHARS: usize = 500;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("the session file is larger than {MOST_BYTES} bytes")]
    TooLarge,
    /// It is not of the shape of one. Prompts are users' text: the message does
    /// not repeat what was found.
    #[error("the session file is not a session, at line {line}, column {column}")]
    Shape {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// An address is none.
    #[error("{0} is not an address such as http://narrator-main:8080")]
    Address(String),
}

/// Reads the file. Prompts that are empty or too long are left out.
///
/// # Errors
/// [`SessionError`].
pub(crate) fn read(path: &Path) -> Result<Session, SessionError> {
    let failed = |source| SessionError::Read { path: path.display().to_string(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MOST_BYTES {
        return Err(SessionError::TooLarge);
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Session, SessionError> {
    let mut session: Session = serde_json::from_slice(bytes)
        .map_err(|error| SessionError::Shape { line: error.line(), column: error.column() })?;
    for url in [&session.baseline_url, &session.candidate_url] {
        let parsed = url.parse::<hyper::Uri>().ok();
        if !parsed.is_some_and(|url| url.scheme_str() == Some("http") && url.authority().is_some()) {
            return Err(SessionError::Address(url.clone()));
        }
    }
    if let Some(prompts) = &mut session.prompts {
        prompts.retain(|prompt| !prompt.trim().is_empty() && prompt.chars().count() <= MOST_PROMPT_CHARS);
    }
    session.prompts = session.prompts.filter(|prompts| !prompts.is_empty());
    Ok(session)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ttsfleet_wire::judge::Recogniser;

    use super::*;

    fn with(change: impl FnOnce(&mut serde_json::Value)) -> Result<Session, SessionError> {
        let session = Session {
            id: "s1".to_owned(),
            baseline_url: "http://narrator-main:8080".to_owned(),
            candidate_url: "http://narrator-main-shadow:8080".to_owned(),
            baseline_digest: None,
            candidate_digest: Some("sha256:ab".to_owned()),
            min_samples: 100,
            confidence_percent: 95,
            prompts: None,
            prompt_after_seconds: 10,
            recogniser: Recogniser::Embedded,
        };
        let mut value = serde_json::to_value(session).unwrap();
        change(&mut value);
        parse(value.to_string().as_bytes())
    }

    #[test]
    fn prompts_that_cannot_be_spoken_are_left_out() {
        assert_eq!(with(|_| ()).unwrap().prompts, None);
        let session = with(|value| value["prompts"] = json!(["Good day.", " ", "x".repeat(501)])).unwrap();
        assert_eq!(session.prompts.unwrap(), ["Good day."]);
        assert_eq!(with(|value| value["prompts"] = json!([""])).unwrap().prompts, None);
    }

    #[test]
    fn a_refusal_does_not_repeat_the_file() {
        let error = with(|value| value["prompts"] = json!("secret")).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_address_without_a_host_is_refused() {
        for url in ["narrator", "https://narrator:8080", "/v1"] {
            let refused = with(|value| value["candidateUrl"] = json!(url));
            assert!(matches!(refused, Err(SessionError::Address(_))), "{url}");
        }
    }
}
