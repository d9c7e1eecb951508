//! The running process: one listener, one router, one stop.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::connection::{Cut, CutListener};
use crate::state::State;
use crate::{control, files, gateway, models, page, rest};

/// How long open answers may take to end once the simulator stops.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Starts simulators.
pub struct Simulator;

impl Simulator {
    /// Binds, builds the world, says that it is ready, and serves until
    /// [`RunningSimulator::stop`].
    pub async fn start(config: Config) -> anyhow::Result<RunningSimulator> {
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen on {} (choose a free port)", config.listen))?;
        let address = listener.local_addr().context("read the bound address")?;
        let state = State::new(&config, address);
        let router = router(&state);
        let listener = CutListener::new(listener, state.shutdown().clone(), STOP_GRACE);
        let shutdown = state.shutdown().clone();
        let task = tokio::spawn(async move {
            axum::serve(listener, router.into_make_service_with_connect_info::<Cut>())
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
        });
        let running = RunningSimulator { state, task };
        if let Some(path) = &config.ready_file {
            write_atomically(path, &running.ready_line())
                .with_context(|| format!("write the ready file {}", path.display()))?;
        }
        Ok(running)
    }
}

fn router(state: &State) -> Router {
    let upgrades = state.clone();
    Router::new()
        .route("/health/live", get(|| async { axum::Json(json!({"status": "ok"})) }))
        .merge(control::router(state.clone()))
        .merge(files::router(state.clone()))
        .merge(rest::router(state.clone()))
        .merge(models::router(state.clone()))
        .merge(page::router(state.clone()))
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            upgrade_or(upgrades.clone(), request, next)
        }))
}

/// Websocket upgrades of `/`, `/gateway` and `/resume-…` are the gateway's; the rest is HTTP.
async fn upgrade_or(state: State, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    let is_gateway = path.is_empty() || path == "/gateway" || path.starts_with("/resume-");
    if is_gateway && request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        return gateway::accept(state, request).await;
    }
    next.run(request).await
}

fn write_atomically(path: &Path, line: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    std::fs::write(&name, format!("{line}\n"))?;
    std::fs::rename(&name, path)
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

    /// The token the bot must use.
    pub fn bot_token(&self) -> String {
        self.state.with(|core| core.token.clone())
    }

    /// The shared handle, for tests in the same process.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// One line of JSON with everything a client needs to begin.
    pub fn ready_line(&self) -> String {
        self.state.with(|core| {
            let address = core.world.base_url.trim_start_matches("http://").to_owned();
            let world = control::snapshot(core);
            let ready: Value = json!({
                "address": address,
                "bot_token": core.token,
                "bot_id": core.world.bot_id,
                "application_id": core.world.bot_id,
                "guilds": world["guilds"],
                "users": world["users"],
                "dms": world["dms"],
            });
            ready.to_string()
        })
    }

    /// Ends every connection and waits until the listener is free again.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.state.shutdown().cancel();
        self.task.await.context("join the server task")?.context("serve")
    }
}
