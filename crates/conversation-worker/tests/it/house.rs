//! A house to test in: nats-server, model, database, the worker, and a stand-in for the gateway.

pub(crate) mod discord;
pub(crate) mod model;
pub(crate) mod question;
pub(crate) mod worker;

use std::path::PathBuf;
use std::time::Duration;

use bus::Bus;
use bus::server::NatsServer;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

pub(crate) use discord::Discord;
pub(crate) use model::Model;
pub(crate) use question::Question;
pub(crate) use worker::{Child, Worker};

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Everything but the worker.
pub(crate) struct House {
    pub(crate) nats: NatsServer,
    pub(crate) bus: Bus,
    pub(crate) discord: Discord,
    pub(crate) model: Model,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl House {
    pub(crate) async fn build() -> Self {
        chassis::lifecycle::install_crypto_provider();
        log_to_test();
        let nats = NatsServer::start().await.unwrap();
        let bus = Bus::connect(nats.config("test")).await.unwrap();
        bus.wait_connected().await;
        bus.declare().await.unwrap();
        let model = Model::start().await;
        let discord = Discord::start(&bus).await;
        let folder = tempfile::tempdir().unwrap();
        let settings = vec![
            ("NATS_URL", nats.url()),
            ("DATABASE_PATH", folder.path().join("conversation.db").display().to_string()),
            ("MODEL_BASE_URL", model.base_url()),
            ("MODEL_NAME", "scripted".to_owned()),
            ("MODEL_API_KEY", "sk-test-0123456789".to_owned()),
            ("HEALTH_LISTEN", "127.0.0.1:0".to_owned()),
            ("SHUTDOWN_GRACE_SECONDS", "5".to_owned()),
            ("OLLAMA_URL", "http://127.0.0.1:9".to_owned()),
            ("TURNS_PER_USER_PER_DAY", "100000".to_owned()),
            ("TURNS_PER_GUILD_PER_DAY", "100000".to_owned()),
        ];
        Self { nats, bus, discord, model, folder, settings }
    }

    pub(crate) fn set(&mut self, key: &'static str, value: impl std::fmt::Display) {
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, format!("{value}")));
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        let path = self.settings.iter().find(|(key, _)| *key == "DATABASE_PATH");
        PathBuf::from(&path.unwrap().1)
    }

    /// The worker inside this process.
    pub(crate) async fn worker(&self) -> Worker {
        Worker::start(&self.settings).await
    }

    /// The worker as a process of its own, which can be killed.
    pub(crate) async fn child(&self) -> Child {
        Child::start(&self.settings, self.folder.path()).await
    }

    /// A look at the database from outside.
    pub(crate) async fn database(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.database_path())
            .busy_timeout(Duration::from_secs(10))
            .pragma("query_only", "1");
        // The worker may not have made it yet.
        let opened = eventually(async || SqlitePool::connect_with(options.clone()).await.ok());
        opened.await.expect("no database was made")
    }

    /// Asks, and waits until the answer is complete in Discord and `done` in the database.
    pub(crate) async fn ask(&self, question: &Question) -> String {
        self.discord.ask(question).await;
        self.answer(question).await
    }

    /// Waits for the complete answer to a question.
    pub(crate) async fn answer(&self, question: &Question) -> String {
        let text = self.discord.finished(question.id).await;
        self.state(question.id, "done").await;
        text
    }

    /// Waits until a turn is in that state.
    pub(crate) async fn state(&self, turn: u64, state: &'static str) {
        let database = self.database().await;
        let mut last = None;
        let reached = eventually(async || {
            let found: Option<String> = sqlx::query_scalar("SELECT state FROM turns WHERE id = ?")
                .bind(turn.cast_signed())
                .fetch_optional(&database)
                .await
                // The worker may not have made its tables yet.
                .unwrap_or_default();
            last.clone_from(&found);
            (found.as_deref() == Some(state)).then_some(())
        })
        .await;
        assert!(reached.is_some(), "turn {turn} is {last:?}, not {state}");
        database.close().await;
    }
}

/// The worker's log beside a test's own output, shown where the test fails.
fn log_to_test() {
    let filter = tracing_subscriber::EnvFilter::new("info,conversation_worker=debug");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    // Every test of this process wants the same.
    drop(log.try_init());
}

/// Polls until there is something, or until the deadline.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if tokio::time::Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(POLL).await;
    }
}
