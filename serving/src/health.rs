//! The health port.

use std::fmt;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/healthz`, `/readyz` and `/metrics`. `unready` says why the server takes no
/// requests, if so; `metrics` writes its metrics in OpenMetrics text.
pub fn health_routes(
    unready: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
    metrics: impl Fn() -> Result<String, fmt::Error> + Clone + Send + Sync + 'static,
) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(unready())))
        .route("/metrics", get(async move || written(metrics())))
}

fn ready(unready: Option<String>) -> Response {
    match unready {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

fn written(metrics: Result<String, fmt::Error>) -> Response {
    match metrics {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;

    use super::*;

    async fn get(unready: Option<&'static str>, path: &str) -> (u16, String) {
        let routes = health_routes(move || unready.map(str::to_owned), || Ok("# EOF\n".to_owned()));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_readiness_depends_on_being_ready() {
        assert_eq!(get(None, "/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(get(Some("no route"), "/readyz").await, (503, "no route\n".to_owned()));
        assert_eq!(get(Some("no route"), "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(Some("no route"), "/metrics").await, (200, "# EOF\n".to_owned()));
    }
}
