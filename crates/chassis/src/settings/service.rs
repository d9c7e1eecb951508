//! The settings every service has: listener, log, NATS, shutdown, conduct on a fault.

use std::fmt;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::log::LogConfig;
use super::reader::Reader;
use super::source::Source;

const SHUTDOWN_GRACE_DEFAULT: Duration = Duration::from_secs(20);

/// The settings common to all services. Each has a default, so reading always gives a value.
#[derive(Debug, Clone)]
pub struct Common {
    /// Where `/health`, `/metrics` and the service's own routes are served (`HEALTH_LISTEN`).
    pub health_listen: SocketAddr,
    /// Where the bound address is written once the listener stands (`READY_FILE`).
    pub ready_file: Option<PathBuf>,
    /// Level, format and file of the log.
    pub log: LogConfig,
    /// How to reach NATS.
    pub nats: NatsSettings,
    /// How long a stop may take before the process ends anyway (`SHUTDOWN_GRACE_SECONDS`).
    pub shutdown_grace: Duration,
    /// What to do about a configuration fault (`KOTONOHA_ON_FAULT`); unset means to stay inside a
    /// container without a terminal, and to exit elsewhere.
    pub on_fault: OnFault,
}

/// How to reach NATS (`NATS_URL`, `NATS_USER`, `NATS_PASSWORD`, `NATS_CA_FILE`).
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// The user, when the server asks for one.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<SecretString>,
    /// A PEM file with the authority behind the server's certificate, for `tls://` addresses.
    pub ca_file: Option<PathBuf>,
}

/// What to do about a configuration fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// Print every fault and exit 64: right on a terminal.
    Exit,
    /// Stay up, not ready, with every fault on `/health`: right under `restart: unless-stopped`,
    /// where an exit would restart without end and burn Discord's identify budget.
    Stay,
}

impl FromStr for OnFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "exit" => Ok(Self::Exit),
            "stay" => Ok(Self::Stay),
            _ => Err("expected exit or stay".to_owned()),
        }
    }
}

impl fmt::Display for OnFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exit => "exit",
            Self::Stay => "stay",
        })
    }
}

impl Default for Common {
    /// What an empty environment gives.
    fn default() -> Self {
        Self::read(&mut Reader::new(Source::empty()))
    }
}

impl Common {
    /// Reads the common settings; where one is at fault its default stands in its place, so that
    /// the fault itself can still be logged and served.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            health_listen: reader.or("HEALTH_LISTEN", SocketAddr::from(([0, 0, 0, 0], 8080))),
            ready_file: reader.optional("READY_FILE"),
            log: LogConfig::read(reader),
            nats: NatsSettings::read(reader),
            shutdown_grace: reader
                .duration_seconds("SHUTDOWN_GRACE_SECONDS", SHUTDOWN_GRACE_DEFAULT),
            on_fault: reader.optional("KOTONOHA_ON_FAULT").unwrap_or(if is_supervised() {
                OnFault::Stay
            } else {
                OnFault::Exit
            }),
        }
    }
}

impl NatsSettings {
    fn read(reader: &mut Reader) -> Self {
        let url = reader.or("NATS_URL", "nats://127.0.0.1:4222".to_owned());
        let user: Option<String> = reader.optional("NATS_USER");
        let password = reader.optional_secret("NATS_PASSWORD");
        let ca_file = reader.optional("NATS_CA_FILE");
        if user.is_some() && password.is_none() {
            reader.fault(
                "NATS_USER",
                ("is set without NATS_PASSWORD", "だけがあり、NATS_PASSWORD がありません"),
                (
                    "set NATS_PASSWORD or NATS_PASSWORD_FILE too, or unset NATS_USER",
                    "NATS_PASSWORD(または NATS_PASSWORD_FILE)も設定してください",
                ),
            );
        }
        Self { url, user, password, ca_file }
    }
}

/// The marks that Docker, Podman and Kubernetes leave in their containers.
const CONTAINER_MARKS: [&str; 3] =
    ["/.dockerenv", "/run/.containerenv", "/var/run/secrets/kubernetes.io"];

/// Whether a supervisor would restart this process: it runs in a container, and nobody sits before
/// it at a terminal who could read the message and correct the setting.
fn is_supervised() -> bool {
    is_contained() && !std::io::stderr().is_terminal()
}

/// Whether this process runs in a container.
pub(crate) fn is_contained() -> bool {
    CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists())
}
