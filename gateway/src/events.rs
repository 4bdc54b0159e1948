//! Server-sent events that can break off at any byte: only whole ones are
//! passed on, so that an error can be told in an event of its own.

use bytes::{Bytes, BytesMut};
use ttsfleet_serving::Failure;

const END: &[u8] = b"\n\n";
/// Longest event that is kept back until it is whole, in bytes. Those of pods hold
/// 64 KiB of audio in base64 at most.
const LONGEST: usize = 256 << 10;

/// The event that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    tail: BytesMut,
}

impl Events {
    /// Takes bytes and gives back the whole events among what there is; it may
    /// be nothing. None if one has become longer than any event is.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Option<Bytes> {
        if self.tail.is_empty() && bytes.ends_with(END) {
            return Some(bytes);
        }
        // The end may lie across the seam.
        let from = self.tail.len().saturating_sub(1);
        self.tail.extend_from_slice(&bytes);
        match self.tail[from..].windows(END.len()).rposition(|pair| pair == END) {
            Some(place) => Some(self.tail.split_to(from + place + END.len()).freeze()),
            None => Some(Bytes::new()),
        }
        .filter(|_| self.tail.len() <= LONGEST)
    }

    /// The event that ends a broken answer.
    pub(crate) fn error(&self, failure: &Failure, request_id: &str) -> Bytes {
        let error = failure.body(request_id).error;
        let event = serde_json::json!({"type": "error", "error": error});
        format!("data: {event}\n\n").into()
    }
}

#[cfg(test)]
mod tests {
    use ttsfleet_wire::error::ErrorCode;

    use super::*;

    #[test]
    fn events_come_out_whole_however_they_come_in() {
        let text = b"data: one\n\ndata: two\n\ndata: three";
        for size in 1..text.len() {
            let mut events = Events::default();
            let out: Vec<u8> = text
                .chunks(size)
                .flat_map(|piece| events.push(Bytes::copy_from_slice(piece)).unwrap())
                .collect();
            assert_eq!(out, b"data: one\n\ndata: two\n\n", "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_that_does_not_end_is_not_kept_for_ever() {
        let mut events = Events::default();
        let piece = Bytes::from(vec![b'x'; LONGEST]);
        assert_eq!(events.push(piece.clone()), Some(Bytes::new()));
        assert_eq!(events.push(piece), None);
    }

    #[test]
    fn an_error_is_an_event_with_the_catalogues_code() {
        let failure = Failure::new(ErrorCode::UpstreamFailed, "broke off");
        let event = Events::default().error(&failure, "r1");
        let text = std::str::from_utf8(&event).unwrap();
        let json = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["type"], "error");
        assert_eq!(json["error"]["error_code"], "UpstreamFailed");
    }
}
