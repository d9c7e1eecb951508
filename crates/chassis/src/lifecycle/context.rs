//! The context is what a running service is handed: health, shutdown, settings, its own routes.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ServiceInfo;
use crate::health::{self, Health, Mounted};
use crate::metrics::Metrics;
use crate::settings::Common;

/// What a service's `run` is handed.
#[derive(Debug, Clone)]
pub struct Context {
    /// The service's name and version.
    pub service: ServiceInfo,
    /// The settings common to all services.
    pub common: Common,
    /// Where parts of the service say how they are doing. Served from before `run` begins, and
    /// "starting" until the first check is declared; declare all of them together, without an
    /// `await` between, so that nobody sees half of them.
    pub health: Health,
    /// The address `/health` is served on, with the port that was really bound.
    pub address: SocketAddr,
    /// Cancelled when the service is to stop: take no new work, finish what runs, return.
    pub shutdown: CancellationToken,
    mounted: Mounted,
}

impl Context {
    /// Serves health, metrics and version on `listener` and gives the context over it.
    ///
    /// [`main`](super::main) does this; a test does it to run a service inside its own process.
    ///
    /// # Errors
    /// When the listener's address cannot be read.
    pub fn open(
        service: ServiceInfo,
        common: Common,
        listener: TcpListener,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> io::Result<(Self, Server)> {
        Self::open_over(Health::new(service), common, listener, metrics, shutdown)
    }

    /// As [`open`](Self::open), over a registry that may hold checks already.
    pub(super) fn open_over(
        health: Health,
        common: Common,
        listener: TcpListener,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> io::Result<(Self, Server)> {
        let address = listener.local_addr()?;
        let service = health.service();
        let mounted = Mounted::default();
        let stop = CancellationToken::new();
        let router = health::router(&health, metrics, &mounted);
        let task = tokio::spawn(health::serve(listener, router, stop.clone()));
        let context = Self { service, common, health, address, shutdown, mounted };
        Ok((context, Server { task, stop }))
    }

    /// Serves `router`'s routes beside `/health`, from now on.
    ///
    /// # Panics
    /// When a route is mounted twice.
    pub fn mount(&self, router: Router) {
        self.mounted.merge(router);
    }
}

/// The server behind a [`Context`]; it outlives the service's work so that a drain can be watched.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<io::Result<()>>,
    stop: CancellationToken,
}

impl Server {
    /// Stops serving: open requests get two seconds to end.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "health listener ended with an error"),
            Err(error) => tracing::warn!(%error, "health listener did not end cleanly"),
        }
    }
}
