//! A service without work, whose conduct its settings choose: the smallest whole service there is,
//! and the one the tests of this crate start and stop.

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use chassis::{Context, ExposeSecret as _, Faults, Outcome, Reader, SecretString};

fn main() -> ExitCode {
    chassis::main(chassis::service!(), Config::read, run)
}

/// The specimen's settings.
struct Config {
    conduct: Conduct,
    token: SecretString,
}

impl Config {
    fn read(reader: &mut Reader) -> Option<Self> {
        let conduct = reader.or("SPECIMEN_CONDUCT", Conduct::Steady);
        let hint = ("set it to anything", "何か値を設定してください");
        let token = reader.secret("SPECIMEN_TOKEN", hint);
        if let Some(database) = reader.optional::<std::path::PathBuf>("SPECIMEN_DATABASE") {
            reader.needs_database("SPECIMEN_DATABASE", &database);
        }
        Some(Self { conduct, token: token? })
    }
}

/// What the specimen does once it is up.
#[derive(Clone, Copy)]
enum Conduct {
    /// Runs until it is told to stop.
    Steady,
    /// Takes its time before it declares its checks.
    Slow,
    /// Hears that it should stop and does not.
    Stubborn,
    /// Comes to its end by itself.
    Brief,
    /// Fails.
    Failing,
    /// Panics.
    Panicking,
    /// Runs on, though one of its tasks panicked.
    Wounded,
    /// Learns late that it is badly configured.
    Refused,
    /// Logs without end, each line with its number.
    Chatty,
}

impl FromStr for Conduct {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "steady" => Self::Steady,
            "slow" => Self::Slow,
            "stubborn" => Self::Stubborn,
            "brief" => Self::Brief,
            "failing" => Self::Failing,
            "panicking" => Self::Panicking,
            "wounded" => Self::Wounded,
            "refused" => Self::Refused,
            "chatty" => Self::Chatty,
            _ => return Err("expected steady, stubborn, brief, failing …".to_owned()),
        })
    }
}

impl fmt::Display for Conduct {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Steady => "steady",
            Self::Slow => "slow",
            Self::Stubborn => "stubborn",
            Self::Brief => "brief",
            Self::Failing => "failing",
            Self::Panicking => "panicking",
            Self::Wounded => "wounded",
            Self::Refused => "refused",
            Self::Chatty => "chatty",
        })
    }
}

async fn hello() -> &'static str {
    tracing::debug!("somebody said hello");
    "hello"
}

/// As many lines at once as a writer can keep up with, whatever the machine.
async fn chat() {
    for number in 0_u64.. {
        tracing::info!(number, "one of many lines, {}", "and a long one at that ".repeat(4));
        if number.is_multiple_of(10) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    if matches!(config.conduct, Conduct::Slow) {
        // Holds its thread on purpose: the probes are asked meanwhile.
        std::thread::sleep(Duration::from_millis(500));
    }
    context.health.headline("database", "connected", "disconnected");
    context.health.check("database").ok();
    context.health.computed("clock", || Outcome::Ok);
    context.mount(
        axum::Router::new()
            .route("/hello", axum::routing::get(hello))
            .route("/forever", axum::routing::get(std::future::pending::<()>)),
    );
    tracing::info_span!("greeting", turn.id = 7).in_scope(|| speak(&config));
    match config.conduct {
        Conduct::Steady | Conduct::Slow => context.shutdown.cancelled().await,
        Conduct::Chatty => {
            context.shutdown.run_until_cancelled(chat()).await;
        }
        Conduct::Stubborn => std::future::pending().await,
        Conduct::Brief => {}
        Conduct::Failing => {
            anyhow::bail!("open the history: no such table");
        }
        Conduct::Panicking => panic!("a broken invariant"),
        Conduct::Wounded => {
            let wound = tokio::spawn(async { panic!("a task broke") });
            anyhow::ensure!(wound.await.is_err(), "see the task panic");
            context.shutdown.cancelled().await;
        }
        Conduct::Refused => {
            return Err(Faults::one(
                "SPECIMEN_TOKEN",
                "was refused by the server (401)",
                "copy the token again",
            )
            .into());
        }
    }
    Ok(())
}

/// Logs what must never reach the log, as a mistake in a service would.
fn speak(config: &Config) {
    let token = config.token.expose_secret();
    tracing::info!(token, "field by the name of a secret");
    tracing::info!(said = format!("Bearer {token}"), "value with the shape of a secret");
    tracing::info!("message with Bearer {token} for someone@example.com");
    tracing::info!(usage.input_tokens = 12, forged = "line\n\u{1b}[31mred", "こんにちは");
    tracing::debug!("seen at debug only");
    tracing::error!(fatal = true, "worst of six levels");
}
