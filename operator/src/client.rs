//! A client of the API server whose requests all end: one that hangs would keep
//! its fleet from every further pass.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Service};

/// The longest wait for an answer: longer than any one webhook may take.
const ANSWER: Duration = Duration::from_secs(35);
/// How long a connection may be silent. The API server ends a watch before that.
const SILENCE: Duration = Duration::from_secs(295);

/// A client for where this process runs.
///
/// # Errors
/// When nothing says where the API server is.
pub(crate) async fn client() -> Result<Client> {
    let mut config = Config::infer().await.context("cannot find out how to reach the API server")?;
    config.read_timeout = Some(SILENCE);
    let builder = ClientBuilder::try_from(config).context("cannot make a client of the API server")?;
    Ok(builder.with_layer(&tower::layer::layer_fn(Bounded::new)).build())
}

/// Gives a request up that is not answered in time. How long a watch is followed
/// is the watch's own matter.
#[derive(Clone, Debug)]
struct Bounded<S>(S);

impl<S> Bounded<S> {
    fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| {
                Err(format!("the API server has not answered within {} s", ANSWER.as_secs()).into())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Response;
    use futures::future::{pending, ready};
    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_answered_is_given_up() {
        let silent = service_fn(|_| pending::<Result<Response<()>, BoxError>>());
        let started = Instant::now();
        let error = Bounded::new(silent).oneshot(Request::new(Body::empty())).await.expect_err("no answer");
        assert_eq!(started.elapsed(), ANSWER);
        assert!(error.to_string().contains("has not answered within 35 s"), "{error}");

        let prompt = service_fn(|_| ready(Ok::<_, BoxError>(Response::new(()))));
        assert!(Bounded::new(prompt).oneshot(Request::new(Body::empty())).await.is_ok());
    }
}
