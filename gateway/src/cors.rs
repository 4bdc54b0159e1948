//! Pages of other origins: what a browser is told of who may call.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

/// Methods of the speech port.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
/// Seconds for which a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Longest list of headers that is allowed to a page, in bytes.
const MOST_HEADERS: usize = 2048;
const ALL: &str = "*";

/// What an answer to this request says of who may read it; nothing if it comes
/// from no page, or one that may not.
pub(crate) fn allowed(origins: &[String], request: &HeaderMap) -> Option<HeaderValue> {
    let origin = request.get(header::ORIGIN)?;
    if origins.iter().any(|one| one == ALL) {
        return Some(HeaderValue::from_static(ALL));
    }
    // Schemes and hosts have no case, and a path is never sent.
    let is_listed = |one: &String| one.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    origins.iter().any(is_listed).then(|| origin.clone())
}

/// Lets the page read an answer and all of its headers.
pub(crate) fn allow(response: &mut HeaderMap, origin: HeaderValue) {
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ALL));
    response.append(header::VARY, HeaderValue::from(HeaderName::from_static("origin")));
}

/// The answer to `OPTIONS`, but for what [`allow`] adds to any. A page that may
/// call may send whatever headers it names: those unknown are ignored, and the
/// clients' own libraries add some.
pub(crate) fn options(may_call: bool, request: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    if may_call {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(asked) = asked.filter(|asked| asked.len() <= MOST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &'static str) -> HeaderMap {
        [(header::ORIGIN, HeaderValue::from_static(origin))].into_iter().collect()
    }

    #[test]
    fn pages_of_the_origins_named_may_call_and_no_others() {
        let origins = ["https://app.example.com".to_owned()];
        assert_eq!(allowed(&origins, &from("https://app.example.com")).unwrap(), "https://app.example.com");
        assert_eq!(allowed(&origins, &from("HTTPS://App.example.com")).unwrap(), "HTTPS://App.example.com");
        for other in ["https://app.example.com.evil.org", "http://app.example.com", "null"] {
            assert_eq!(allowed(&origins, &from(other)), None, "{other}");
        }
        assert_eq!(allowed(&origins, &HeaderMap::new()), None, "it is no page that calls");
        assert_eq!(allowed(&[], &from("https://app.example.com")), None);
        assert_eq!(allowed(&["*".to_owned()], &from("null")).unwrap(), "*");
    }

    #[test]
    fn a_preflight_is_answered_with_what_the_page_asks_for() {
        let mut asked = from("https://app.example.com");
        let headers = HeaderValue::from_static("authorization,x-stainless-lang");
        asked.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, headers.clone());
        let response = options(true, &asked);
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], headers);
        let refused = options(false, &asked);
        assert_eq!(refused.status(), StatusCode::NO_CONTENT);
        assert!(!refused.headers().contains_key(header::ACCESS_CONTROL_ALLOW_HEADERS));
        let too_long = "x".repeat(MOST_HEADERS + 1).parse().unwrap();
        asked.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, too_long);
        let response = options(true, &asked);
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_HEADERS));
    }
}
