//! W3C Trace Context, version 00.

use std::num::NonZero;

use axum::http::{HeaderMap, HeaderValue};
use ttsfleet_wire::headers;

/// A valid `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// The caller's, if it is valid.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(headers::TRACE_PARENT)?.to_str().ok()?;
        is_valid(text).then(|| Self(text.to_owned()))
    }

    /// The start of a trace of its own.
    pub fn new_root(sampled: bool) -> Self {
        let trace = rand::random::<NonZero<u128>>();
        Self(format!("00-{trace:032x}-{:016x}-{:02x}", new_span(), u8::from(sampled)))
    }

    /// A call made on behalf of this one.
    pub fn child(&self) -> Self {
        let Self(text) = self;
        Self(format!("{}{:016x}{}", &text[..36], new_span(), &text[52..]))
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The caller's span, 16 hexadecimal digits.
    pub(crate) fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// Whether the trace is to be exported.
    pub(crate) fn is_sampled(&self) -> bool {
        // The last bit of two hexadecimal digits.
        self.0.as_bytes().last().is_some_and(|digit| b"13579bdf".contains(digit))
    }

    /// The header's value.
    pub fn header(&self) -> HeaderValue {
        // Hexadecimal digits and dashes always are a header's value.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

fn new_span() -> NonZero<u64> {
    rand::random()
}

fn is_valid(text: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let [version, trace, parent, flags] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let known = version == "00" && parts.next().is_none();
    known && hex(trace, 32) && nonzero(trace) && hex(parent, 16) && nonzero(parent) && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_valid_trace_parents_are_taken_over() {
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            TraceParent::from_headers(&HeaderMap::from_iter([("traceparent".parse().unwrap(), value)]))
        };
        assert_eq!(read(GOOD).unwrap().header(), GOOD);
        let zero = GOOD.replace("b7ad6b7169203331", "0000000000000000");
        for bad in [&GOOD.to_uppercase(), &zero, &GOOD[1..], "", "00---", &format!("{GOOD}-x")] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_new_root_is_valid_and_unlike_the_last() {
        for sampled in [true, false] {
            let root = TraceParent::new_root(sampled);
            assert!(is_valid(&root.0) && root.is_sampled() == sampled, "{root:?}");
            assert_ne!(root.trace_id(), TraceParent::new_root(sampled).trace_id());
        }
    }

    #[test]
    fn a_child_has_a_span_of_its_own_in_the_same_trace() {
        let parent = TraceParent(GOOD.to_owned());
        let child = parent.child();
        assert!(is_valid(&child.0), "{child:?}");
        assert_eq!((child.trace_id(), &child.0[53..]), (parent.trace_id(), "01"));
        assert_ne!(child.span_id(), parent.span_id());
        assert!(child.is_sampled());
    }
}
