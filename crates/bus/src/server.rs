//! A real nats-server in a folder of its own, to be started, killed and started again by tests.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::connection::BusConfig;

/// The variable that names the binary; `cargo xtask test` sets it.
pub const BINARY_VARIABLE: &str = "KOTONOHA_NATS_SERVER";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running nats-server, killed when dropped.
#[derive(Debug)]
pub struct NatsServer {
    folder: tempfile::TempDir,
    binary: PathBuf,
    port: u16,
    child: Child,
}

impl NatsServer {
    /// Starts a server with JetStream on disk (`sync_interval: always`) on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        Self::start_with("", None).await
    }

    /// Like [`NatsServer::start`], with its streams in `store`: a small disk, for instance.
    pub async fn start_on(store: &Path) -> io::Result<Self> {
        Self::start_with("", Some(store)).await
    }

    /// Starts a server without JetStream, with these lines for its configuration.
    pub async fn start_bare(configuration: &str) -> io::Result<Self> {
        Self::start_in(tempfile::tempdir()?, configuration).await
    }

    /// Like [`NatsServer::start`], with more lines for its configuration and perhaps another place
    /// for its streams.
    pub async fn start_with(configuration: &str, store: Option<&Path>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = store.map_or_else(|| folder.path().join("store"), Path::to_path_buf);
        // Without a limit of its own the server takes three quarters of the free disk, and then
        // refuses streams whose limits add up to more on a small one.
        let text = format!(
            "jetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 16GB }}\n\
             max_payload: 8MB\n{configuration}\n",
            store.display()
        );
        Self::start_in(folder, &text).await
    }

    async fn start_in(folder: tempfile::TempDir, configuration: &str) -> io::Result<Self> {
        let binary = binary();
        std::fs::write(folder.path().join("nats.conf"), configuration)?;
        let (child, port) = launch(&binary, folder.path(), None).await?;
        Ok(Self { folder, binary, port, child })
    }

    /// The server's address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The settings with which `service` connects to it.
    pub fn config(&self, service: &str) -> BusConfig {
        BusConfig {
            url: self.url(),
            service: service.to_owned(),
            user: None,
            password: None,
            ca_file: None,
        }
    }

    /// The settings with which a user of it connects.
    pub fn config_of(&self, user: &str, password: &str) -> BusConfig {
        BusConfig {
            user: Some(user.to_owned()),
            password: Some(password.to_owned()),
            ..self.config(user)
        }
    }

    /// The process id, where it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Removes what a killed server has stored in its own folder.
    pub fn forget_streams(&self) -> io::Result<()> {
        std::fs::remove_dir_all(self.folder.path().join("store"))
    }

    /// Starts it again on the same port and folder.
    pub async fn restart(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill().await?;
        }
        let (child, _port) = launch(&self.binary, self.folder.path(), Some(self.port)).await?;
        self.child = child;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "tests find their server by a variable")]
fn binary() -> PathBuf {
    std::env::var_os(BINARY_VARIABLE).map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

async fn launch(binary: &Path, folder: &Path, port: Option<u16>) -> io::Result<(Child, u16)> {
    let ports = folder.join("ports");
    if ports.exists() {
        std::fs::remove_dir_all(&ports)?;
    }
    std::fs::create_dir(&ports)?;
    let mut child = Command::new(binary)
        .args(["--addr", "127.0.0.1", "--config"])
        .arg(folder.join("nats.conf"))
        .args(["--port", &port.map_or_else(|| "-1".to_owned(), |port| port.to_string())])
        .arg("--ports_file_dir")
        .arg(&ports)
        .arg("--log")
        .arg(folder.join("nats.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let hint = "run `cargo xtask nats-server` and set KOTONOHA_NATS_SERVER to its answer";
            io::Error::new(error.kind(), format!("start {}: {error}; {hint}", binary.display()))
        })?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(port) = announced_port(&ports)?
            && tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        {
            return Ok((child, port));
        }
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(folder.join("nats.log")).unwrap_or_default();
            return Err(io::Error::other(format!("nats-server ended with {status}: {log}")));
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("nats-server did not open its port in time"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The port that the server wrote into its ports file, once it has.
fn announced_port(ports: &Path) -> io::Result<Option<u16>> {
    for entry in std::fs::read_dir(ports)? {
        let text = std::fs::read_to_string(entry?.path())?;
        let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let url = json["nats"][0].as_str().unwrap_or_default();
        if let Some(port) = url.rsplit(':').next().and_then(|port| port.parse().ok()) {
            return Ok(Some(port));
        }
    }
    Ok(None)
}
