//! The server's life: listen, load, serve, drain.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::watch;
use ttsfleet_serving::{Listener, health_routes, serve};

use crate::{
    config::Limits,
    http::speech_routes,
    state::{App, Served},
};

/// How long connections have to end once nothing is in progress on them.
const GOODBYE: Duration = Duration::from_secs(1);

/// A server that listens but does not answer yet.
pub struct Server {
    app: Arc<App>,
    speech: Listener,
    health: Listener,
}

impl Server {
    /// Binds both ports.
    ///
    /// # Errors
    /// When a port or the synthesis threads cannot be had.
    pub async fn bind(listen: SocketAddr, health_listen: SocketAddr, limits: Limits) -> io::Result<Self> {
        let named = |address: SocketAddr| {
            move |error: io::Error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            }
        };
        Ok(Self {
            speech: Listener::bind(listen).await.map_err(named(listen))?,
            health: Listener::bind(health_listen).await.map_err(named(health_listen))?,
            app: Arc::new(App::new(limits)?),
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

    /// Answers: unready while `load` runs, then with its model, until `stop`
    /// ends and what was admitted is answered.
    ///
    /// # Errors
    /// When `load` fails.
    pub async fn run<E>(
        self,
        load: impl Future<Output = Result<Served, E>>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), E> {
        let Self { app, speech, health } = self;
        let (closing, closed) = watch::channel(false);
        let (asked, scraped) = (Arc::clone(&app), Arc::clone(&app));
        let health_routes = health_routes(move || asked.unready(), move || scraped.metrics_text());
        let ports = [(speech, speech_routes(Arc::clone(&app))), (health, health_routes)];
        let ports = ports.map(|(listener, routes)| {
            let connections = app.limits.connections.clone();
            tokio::spawn(serve(listener, routes, connections, closed.clone(), GOODBYE))
        });
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            loaded = load => {
                app.serve(loaded?);
                stop.await;
            }
            () = &mut stop => {}
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
