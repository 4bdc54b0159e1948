//! What people write on a TtsDeployment, read by the operator and written by
//! `kubectl ttsfleet`.

/// Swap a candidate in that waits, as `POOL/MODEL` or `POOL/MODEL/TIME`;
/// several are separated by commas. MODEL is `name@version` or a digest. TIME
/// only tells one command from an earlier one of the same words.
pub const PROMOTE_ANNOTATION: &str = "ttsfleet.dev/promote";
/// Call a rollout off, likewise.
pub const ABORT_ANNOTATION: &str = "ttsfleet.dev/abort";
/// Try a model once more that was refused or got no clear answer, likewise.
pub const RETRY_ANNOTATION: &str = "ttsfleet.dev/retry";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_written_by_hand_find_the_documented_names() {
        let names = [PROMOTE_ANNOTATION, ABORT_ANNOTATION, RETRY_ANNOTATION];
        assert_eq!(names, ["ttsfleet.dev/promote", "ttsfleet.dev/abort", "ttsfleet.dev/retry"]);
    }
}
