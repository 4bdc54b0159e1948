//! The end of all attempts without an answer.

use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::pool::NoCall;

/// There is no answer.
#[derive(Debug, PartialEq)]
pub struct Exhausted {
    /// What to tell the caller.
    pub failure: Failure,
    /// Whether the fleet refuses for want of room: the caller should come back
    /// later, and nothing else would help.
    pub refused: bool,
    /// Attempts made.
    pub attempts: u32,
}

/// What to tell a caller for whom there was no pod to call, and whether that is a
/// refusal.
pub(super) fn nobody(none: Option<NoCall>) -> (Failure, bool) {
    match none {
        Some(NoCall::Full(failure)) => (failure, true),
        Some(NoCall::Open(wait)) => {
            let failure = Failure::new(ErrorCode::SystemBusy, "system busy, please retry");
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u32;
            (failure.retry_after(seconds).because("every breaker is open"), true)
        }
        Some(NoCall::Empty) | None => {
            let message = "No pod of this fleet is there to speak; try again soon.";
            (Failure::new(ErrorCode::NoEndpoint, message).retry_after(5), false)
        }
    }
}
