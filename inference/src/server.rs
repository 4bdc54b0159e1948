//! The server's life: listen, load, serve, drain.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use crate::{
    config::Limits,
    http::{Listener, health_routes, serve, speech_routes},
    state::{App, Served},
};

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
        self.speech.address
    }

    /// Address of health and metrics.
    pub fn health_address(&self) -> SocketAddr {
        self.health.address
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
        let limits = || app.limits.clone();
        let ports = [
            tokio::spawn(serve(speech, speech_routes(Arc::clone(&app)), limits(), closed.clone())),
            tokio::spawn(serve(health, health_routes(Arc::clone(&app)), limits(), closed)),
        ];
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            loaded = load => {
                app.serve(loaded?);
                stop.await;
            }
            () = &mut stop => {}
        }
        tracing::info!("stopping: finishing the requests in progress");
        let left = app.drain().await;
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
