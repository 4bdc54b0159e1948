//! The health port.

use std::{borrow::Cow, fmt};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::logging::dropped_lines;

/// What ends metrics in OpenMetrics text.
const END: &str = "# EOF\n";
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a server takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does, but something is amiss.
    But(String),
    /// It does not, and why.
    Unready(String),
}

impl From<Option<String>> for Readiness {
    /// Why the server takes no requests, if so.
    fn from(unready: Option<String>) -> Self {
        unready.map_or(Self::Ready, Self::Unready)
    }
}

/// `/healthz`, `/readyz` and `/metrics`. `readiness` may also be why the server
/// takes no requests, if so; `metrics` writes its metrics in OpenMetrics text, to
/// which those of the log are added.
pub fn health_routes<R: Into<Readiness>>(
    readiness: impl Fn() -> R + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(readiness().into())))
        .route("/metrics", get(async move || written(metrics())))
}

/// Says whether a server takes requests: 200, or 503 and why.
pub fn ready(readiness: Readiness) -> Response {
    let (status, words) = match readiness {
        Readiness::Ready => (StatusCode::OK, Cow::from("ready")),
        Readiness::But(amiss) => (StatusCode::OK, format!("ready, but {amiss}").into()),
        Readiness::Unready(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.into()),
    };
    (status, format!("{words}\n")).into_response()
}

fn written(metrics: Result<String, fmt::Error>) -> Response {
    match metrics {
        Ok(text) => {
            let own = text.strip_suffix(END).unwrap_or(&text);
            let text = format!("{own}{}{END}", of_the_log(dropped_lines()));
            ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn of_the_log(dropped: u64) -> String {
    format!(
        "# HELP ttsfleet_log_lines_dropped Log lines lost because nobody took them in time.\n\
         # TYPE ttsfleet_log_lines_dropped counter\n\
         ttsfleet_log_lines_dropped_total {dropped}\n"
    )
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;

    use super::*;

    async fn get(readiness: Readiness, path: &str) -> (u16, String) {
        let routes = health_routes(move || readiness.clone(), || Ok("own 1\n# EOF\n".to_owned()));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_readiness_depends_on_being_ready() {
        let no_route = Readiness::from(Some("no route".to_owned()));
        assert_eq!(get(Readiness::Ready, "/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(get(no_route.clone(), "/readyz").await, (503, "no route\n".to_owned()));
        assert_eq!(get(no_route.clone(), "/healthz").await, (200, "ok\n".to_owned()));
        let but = Readiness::But("blind".to_owned());
        assert_eq!(get(but, "/readyz").await, (200, "ready, but blind\n".to_owned()));
        assert_eq!(get(no_route, "/metrics").await.0, 200);
    }

    #[tokio::test]
    async fn every_servers_metrics_tell_of_lost_log_lines() {
        let (_, text) = get(Readiness::Ready, "/metrics").await;
        assert!(text.starts_with("own 1\n# HELP ") && text.ends_with("_total 0\n# EOF\n"), "{text}");
    }
}
