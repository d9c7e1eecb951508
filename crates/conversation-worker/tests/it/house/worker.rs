//! The worker, inside this process or as one of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chassis::metrics::Metrics;
use chassis::{Common, Context, Reader, Source};
use conversation_worker::config::Config;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::eventually;

pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    server: chassis::lifecycle::Server,
}

impl Worker {
    pub(crate) async fn start(settings: &[(&'static str, String)]) -> Self {
        let (common, config) = read(settings);
        let listener = tokio::net::TcpListener::bind(common.health_listen).await.unwrap();
        let shutdown = CancellationToken::new();
        let metrics = Metrics::detached().unwrap();
        let service = chassis::service!();
        let (context, server) =
            Context::open(service, common, listener, &metrics, shutdown.clone()).unwrap();
        let address = context.address;
        let task = tokio::spawn(conversation_worker::run(context, config));
        Self { address, shutdown, task, server }
    }

    /// Stops it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.server.stop().await;
    }

    /// Waits until it has given up by itself.
    pub(crate) async fn failed(self) -> anyhow::Error {
        self.task.await.unwrap().unwrap_err()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        get(self.address, path).await
    }
}

pub(crate) fn read(settings: &[(&'static str, String)]) -> (Common, Config) {
    let map: HashMap<String, String> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut reader = Reader::new(Source::new(move |key| map.get(key).cloned()));
    let common = Common::read(&mut reader);
    let config = Config::read(&mut reader);
    let config = reader.finish(config).unwrap();
    (common, config)
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(crate) struct Child {
    process: tokio::process::Child,
    ready: PathBuf,
}

impl Child {
    pub(crate) async fn start(settings: &[(&'static str, String)], folder: &Path) -> Self {
        let ready = folder.join(format!("ready-{}", super::question::snowflake()));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("worker.log"))
            .unwrap();
        let process = tokio::process::Command::new(env!("CARGO_BIN_EXE_conversation-worker"))
            .env_clear()
            .envs(settings.iter().map(|(key, value)| (*key, value.as_str())))
            .env("READY_FILE", &ready)
            .env("KOTONOHA_ON_FAULT", "exit")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let child = Self { process, ready };
        child.address().await;
        child
    }

    pub(crate) async fn address(&self) -> SocketAddr {
        let address =
            eventually(async || std::fs::read_to_string(&self.ready).ok()?.trim().parse().ok())
                .await;
        address.expect("the worker never became ready")
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}
