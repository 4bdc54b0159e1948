//! A real API server, and an operator on it whose connection can be counted
//! and cut.

pub(crate) mod narrator;
pub(crate) mod pods;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::task::JoinHandle;
use tower::{BoxError, Service};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::progress::Silent;
use ttsfleet_operator::admin::{Network, Pods};
use ttsfleet_operator::args::PullPolicy;
use ttsfleet_operator::fleet::build::Settings;
use ttsfleet_operator::key::AdminKey;
use ttsfleet_operator::{Operator, Scope, leader::system_clock, metrics::Metrics};

/// When the connection is cut: at the given write, before or after the API
/// server gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Before(usize),
    After(usize),
}

/// The operator's connection.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    cut: Option<Cut>,
    /// Writes to such paths never arrive.
    lost: Option<&'static str>,
    writes: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn that_is_cut(cut: Cut) -> Self {
        Self { cut: Some(cut), ..Self::default() }
    }

    pub(crate) fn that_loses(path: &'static str) -> Self {
        Self { lost: Some(path), ..Self::default() }
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn die(&self) -> BoxError {
        self.dead.store(true, Ordering::SeqCst);
        "the connection is cut".into()
    }
}

struct Watched<S> {
    inner: S,
    connection: Connection,
}

impl<S, B> Service<Request<Body>> for Watched<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = self.connection.clone();
        let write = match request.method() {
            &Method::GET => 0,
            _ => connection.writes.fetch_add(1, Ordering::SeqCst) + 1,
        };
        if connection.is_dead() || (write > 0 && connection.cut == Some(Cut::Before(write))) {
            return Box::pin(std::future::ready(Err(connection.die())));
        }
        if write > 0 && connection.lost.is_some_and(|path| request.uri().path().contains(path)) {
            return Box::pin(std::future::ready(Err("the write is lost".into())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let cut = write > 0 && connection.cut == Some(Cut::After(write));
            if cut { Err(connection.die()) } else { answer }
        })
    }
}

/// An API server with the TtsDeployment kind installed.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    config: Config,
}

impl Cluster {
    pub(crate) async fn start(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::start(options, &Silent).expect("an API server");
        for file in ttsfleet_crds::generate().expect("definitions") {
            plane.apply(&file.text).expect("the definition is accepted");
        }
        // A definition that has no condition yet is an error to kubectl.
        let established = ["wait", "--for=condition=Established", "crd/ttsdeployments.ttsfleet.dev"];
        eventually("the kind is served", || std::future::ready(plane.kubectl(&established).ok())).await;
        let kubeconfig = Kubeconfig::read_from(plane.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a configuration");
        Self { plane, config }
    }

    pub(crate) fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a client")
    }

    /// Starts an operator for one namespace.
    pub(crate) fn operator(&self, namespace: &str, connection: Connection) -> Running {
        self.operator_with(namespace, connection, Arc::new(Network::default()))
    }

    /// The same with other pods.
    pub(crate) fn operator_with(
        &self,
        namespace: &str,
        connection: Connection,
        pods: Arc<dyn Pods>,
    ) -> Running {
        let watched = connection.clone();
        let layer = tower::layer::layer_fn(move |inner| Watched { inner, connection: watched.clone() });
        let builder = ClientBuilder::try_from(self.config.clone()).expect("a client");
        let metrics = Metrics::default();
        let operator = Operator {
            client: builder.with_layer(&layer).build(),
            scope: Scope::Namespace(namespace.to_owned()),
            pods,
            settings: Settings {
                inference_image: "registry.example/speech:1".to_owned(),
                gateway_image: "registry.example/gateway:1".to_owned(),
                judge_image: "registry.example/judge:1".to_owned(),
                pull_policy: PullPolicy::Never,
                pull_secrets: vec![],
                assigns_users: false,
                namespace: "ttsfleet-system".to_owned(),
                key: AdminKey::new(&[7; 32]),
            },
            clock: system_clock(),
            metrics: metrics.clone(),
            identity: "test".to_owned(),
        };
        let task = tokio::spawn(operator.run(std::future::pending()));
        Running { task, connection, metrics }
    }
}

/// An operator at work. Dropping it is as good as `kill -9`.
pub(crate) struct Running {
    task: JoinHandle<()>,
    pub(crate) connection: Connection,
    metrics: Metrics,
}

impl Running {
    /// Passes that ended well.
    pub(crate) fn passes(&self) -> usize {
        let text = self.metrics.text().expect("metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ttsfleet_operator_reconciles_total{outcome=\"success\"} "));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until `check` gives a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut check: impl FnMut() -> F,
) -> T {
    let search = async {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), search).await {
        Ok(value) => value,
        Err(_) => panic!("still not after 60 s: {what}"),
    }
}
