//! The server's life: listen, load, serve, drain.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::watch;
use ttsfleet_serving::{Listener, health_routes, serve};
use ttsfleet_wire::{admin::SwapOrder, model::ModelRecord};

use crate::{
    admin::{TokenHash, admin_routes},
    config::Limits,
    http::speech_routes,
    keeper::{Keeper, Models},
    loading::ModelFailure,
    state::App,
};

/// How long connections have to end once nothing is in progress on them.
const GOODBYE: Duration = Duration::from_secs(1);

/// Where a server listens.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The speech API.
    pub speech: SocketAddr,
    /// Health and metrics.
    pub health: SocketAddr,
    /// The admin API, and the hash of its token; none without.
    pub admin: Option<(SocketAddr, TokenHash)>,
}

/// A server that listens but does not answer yet.
pub struct Server {
    app: Arc<App>,
    speech: Listener,
    health: Listener,
    admin: Option<(Listener, TokenHash)>,
}

impl Server {
    /// Binds the ports. Audio names the producer, and is not marked without one.
    ///
    /// # Errors
    /// When a port or the synthesis threads cannot be had.
    pub async fn bind(ports: &Ports, limits: Limits, producer: Option<String>) -> io::Result<Self> {
        let admin = match &ports.admin {
            Some((address, token)) => Some((bind(*address).await?, token.clone())),
            None => None,
        };
        Ok(Self {
            speech: bind(ports.speech).await?,
            health: bind(ports.health).await?,
            admin,
            app: Arc::new(App::new(limits, producer)?),
        })
    }

    /// Address of the speech API.
    pub fn address(&self) -> SocketAddr {
        self.speech.address()
    }

    /// Address of health and metrics.
    pub fn health_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Address of the admin API, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(listener, _)| listener.address())
    }

    /// Answers: unready until the first model speaks, then with the model that
    /// was ordered last, until `stop` ends and what was admitted is answered.
    ///
    /// # Errors
    /// When there is no model to serve, and none can be had.
    pub async fn run(
        self,
        models: Models,
        first: ModelRecord,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ModelFailure> {
        let Self { app, speech, health, admin } = self;
        let keeper = Arc::new(Keeper::new(Arc::clone(&app), models));
        keeper.swap(SwapOrder { record: first, headroom: Default::default() });
        let (closing, closed) = watch::channel(false);
        let (asked, scraped) = (Arc::clone(&app), Arc::clone(&keeper));
        let health_routes = health_routes(move || asked.unready(), move || scraped.metrics_text());
        let mut ports = vec![(speech, speech_routes(Arc::clone(&app))), (health, health_routes)];
        ports.extend(admin.map(|(listener, token)| (listener, admin_routes(Arc::clone(&keeper), token))));
        let ports: Vec<_> = ports
            .into_iter()
            .map(|(listener, routes)| {
                let connections = app.limits.connections.clone();
                tokio::spawn(serve(listener, routes, connections, closed.clone(), GOODBYE))
            })
            .collect();
        tokio::select! {
            failure = keeper.run() => return Err(failure),
            () = stop => {}
        }
        tracing::info!("stopping: finishing the requests in progress");
        let left = app.admission.drain(app.limits.drain).await;
        if left > 0 {
            tracing::warn!(left, "the drain time is up; requests are cut off");
        }
        closing.send_replace(true);
        for port in ports {
            _ = port.await;
        }
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> io::Result<Listener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    Listener::bind(address).await.map_err(named)
}
