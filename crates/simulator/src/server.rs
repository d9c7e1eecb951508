//! The running process: one listener, one router, one stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::connection::{Cut, CutListener};
use crate::state::State;
use crate::{models, page};

/// How long open answers may take to end once the simulator stops.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Starts simulators.
pub struct Simulator;

impl Simulator {
    /// Binds, builds the world and serves until [`RunningSimulator::stop`].
    pub async fn start(config: Config) -> anyhow::Result<RunningSimulator> {
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen on {} (choose a free port)", config.listen))?;
        let address = listener.local_addr().context("read the bound address")?;
        let state = State::new(&config, address);
        let router = Router::new()
            .route(
                "/health/live",
                get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }),
            )
            .merge(models::router(state.clone()))
            .merge(page::router(state.clone()));
        let listener = CutListener::new(listener, state.shutdown().clone(), STOP_GRACE);
        let shutdown = state.shutdown().clone();
        let task = tokio::spawn(async move {
            axum::serve(listener, router.into_make_service_with_connect_info::<Cut>())
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
        });
        Ok(RunningSimulator { state, task })
    }
}

/// A simulator that serves.
pub struct RunningSimulator {
    state: State,
    task: JoinHandle<std::io::Result<()>>,
}

impl RunningSimulator {
    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.state.address()
    }

    /// `http://<address>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The shared handle, for tests in the same process.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Ends every connection and waits until the listener is free again.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.state.shutdown().cancel();
        self.task.await.context("join the server task")?.context("serve")
    }
}
