//! The settings every service has: listener, log, NATS, shutdown, conduct on a fault.

use std::fmt;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::source::Source;

const LOG_FILE_BYTES_DEFAULT: u64 = 10 * 1024 * 1024;
const LOG_FILE_BYTES_MIN: u64 = 64 * 1024;
const LOG_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const LOG_FILE_COUNT_DEFAULT: u32 = 5;
const LOG_FILE_COUNT_MAX: u32 = 100;
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

/// Level, format and file of the log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// What is logged (`LOG_LEVEL`).
    pub level: LogLevel,
    /// How standard output is written (`LOG_FORMAT`); unset asks whether it is a terminal.
    pub format: LogFormat,
    /// The folder of the rotated log file (`LOG_DIR`); unset writes none.
    pub directory: Option<PathBuf>,
    /// The size at which the file is rotated (`LOG_FILE_BYTES_MAX`).
    pub file_bytes_max: u64,
    /// How many rotated files are kept beside the current one (`LOG_FILE_COUNT`).
    pub file_count: u32,
    /// The time zone of the timestamps (`LOG_TIME_ZONE`).
    pub time_zone: TimeZone,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::default(),
            format: LogFormat::Auto,
            directory: None,
            file_bytes_max: LOG_FILE_BYTES_DEFAULT,
            file_count: LOG_FILE_COUNT_DEFAULT,
            time_zone: TimeZone::Utc,
        }
    }
}

/// A level (`trace` … `fatal`, `off`) or filter directives such as `info,bus=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The directives as the filter understands them: `fatal` events are errors there.
    pub(crate) fn directives(&self) -> &str {
        if self.fatal_only() { "error" } else { &self.0 }
    }

    /// Whether only events marked `fatal = true` are wanted.
    pub(crate) fn fatal_only(&self) -> bool {
        self.0.eq_ignore_ascii_case("fatal")
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected trace, debug, info, warn, error, fatal, off, or directives like info,bus=debug";
        let plain = text.chars().all(|letter| letter.is_ascii_alphabetic());
        let level = Self(text.to_owned());
        // A lone unknown word parses as a target, which would silently turn the log off.
        if plain
            && !level.fatal_only()
            && text.parse::<tracing::level_filters::LevelFilter>().is_err()
        {
            return Err(EXPECTED.to_owned());
        }
        EnvFilter::try_new(level.directives()).map_err(|error| format!("{error}; {EXPECTED}"))?;
        Ok(level)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How log lines are written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One coloured line for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("expected auto, human or json".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

/// The zone in which log timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    /// UTC, with a `Z`.
    Utc,
    /// The machine's zone (`TZ`), with its offset.
    Local,
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "utc" => Ok(Self::Utc),
            "local" => Ok(Self::Local),
            _ => Err("expected utc or local".to_owned()),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Utc => "utc",
            Self::Local => "local",
        })
    }
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

impl LogConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.or("LOG_LEVEL", LogLevel::default()),
            format: reader.or("LOG_FORMAT", LogFormat::Auto),
            directory: reader.optional("LOG_DIR"),
            file_bytes_max: reader.in_range(
                "LOG_FILE_BYTES_MAX",
                LOG_FILE_BYTES_DEFAULT,
                LOG_FILE_BYTES_MIN..=LOG_FILE_BYTES_MAX,
            ),
            file_count: reader.in_range(
                "LOG_FILE_COUNT",
                LOG_FILE_COUNT_DEFAULT,
                1..=LOG_FILE_COUNT_MAX,
            ),
            time_zone: reader.or("LOG_TIME_ZONE", TimeZone::Utc),
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
