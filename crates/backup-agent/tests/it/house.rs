//! A house with a database in it, an agent that runs, and people who give commands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_agent::Config;
use backup_agent::command::COMMANDS;
use bus::server::NatsServer;
use chassis::lifecycle::Server;
use chassis::metrics::Metrics;
use chassis::{Answer, Common, Context, Reader, Source};
use rusqlite::Connection;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Generous: test machines are slow and busy, and nothing is measured with it.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The house.
pub(crate) struct House {
    folder: tempfile::TempDir,
    nats: Option<String>,
}

/// An agent that runs in this process.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    life: tokio::task::JoinHandle<anyhow::Result<()>>,
    server: Server,
}

impl House {
    /// A house with an empty table in its database.
    pub(crate) fn build() -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap(), nats: None };
        std::fs::create_dir(house.path("config")).unwrap();
        std::fs::write(house.path("config/settings.toml"), "[log]\nlevel = \"info\"\n").unwrap();
        let database = house.database();
        database.execute_batch("CREATE TABLE said (id INTEGER PRIMARY KEY, what TEXT)").unwrap();
        house
    }

    /// The same, with a bus.
    pub(crate) fn with_bus(nats: &NatsServer) -> Self {
        Self { nats: Some(nats.url()), ..Self::build() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection such as the database's own service has.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.path("conversation.db")).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut settings = vec![
            ("BACKUP_DIR", path("backups")),
            ("BACKUP_STATE_DIR", path("state")),
            ("BACKUP_SOCKET", path("agent.sock")),
            ("BACKUP_DATABASES", format!("conversations={}", path("conversation.db"))),
            ("BACKUP_FOLDERS", format!("config:settings={}", path("config"))),
            ("BACKUP_REPOSITORY_PASSWORD", "correct horse battery staple".to_owned()),
            ("TZ", "Asia/Tokyo".to_owned()),
        ];
        settings.extend(self.nats.clone().map(|url| ("NATS_URL", url)));
        settings
    }

    fn source(&self) -> Source {
        let settings = self.settings();
        Source::new(move |key| {
            let found = settings.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| value.clone())
        })
    }

    /// Starts the agent and waits until its first full copy is there.
    pub(crate) async fn agent(&self) -> Agent {
        chassis::lifecycle::install_crypto_provider();
        for folder in ["backups", "state"] {
            std::fs::create_dir_all(self.path(folder)).unwrap();
        }
        let mut reader = Reader::new(self.source());
        let common = Common::read(&mut reader);
        let config = Config::read(&mut reader);
        let config = reader.finish(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let metrics = Metrics::detached().unwrap();
        let service = chassis::service!();
        let (context, server) =
            Context::open(service, common, listener, &metrics, stop.clone()).unwrap();
        let address = context.address;
        let life = tokio::spawn(backup_agent::run(context, config));
        let agent = Agent { address, stop, life, server };
        agent
            .until("the first full copy", |health| health["checks"]["full"]["status"] == "ok")
            .await;
        agent
    }

    /// Gives a command, as `backup-agent WORDS` does.
    pub(crate) async fn command(&self, words: &[&str]) -> Answer {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let source = self.source();
        let command = move || {
            let own = COMMANDS.iter().find(|own| own.name == words[0]).expect("a command");
            (own.run)(&mut Reader::new(source), &words[1..])
        };
        tokio::task::spawn_blocking(command).await.unwrap()
    }

    /// Gives a command that must be done, and reads its answer for programs.
    pub(crate) async fn done(&self, words: &[&str]) -> Value {
        let said = self.command(&[words, &["--json"]].concat()).await;
        assert_eq!((said.code, said.complaint.as_str()), (0, ""), "{words:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Waits until what is written so far is copied: the transaction after which it is.
    pub(crate) async fn copied(&self) -> u64 {
        let rows = rows(&self.path("conversation.db"));
        let begun = Instant::now();
        loop {
            let txid = self.done(&["plan"]).await["txid"].as_u64().unwrap();
            let at = format!("txid:{txid}");
            let to = self.path(&format!("look-{txid}.db"));
            if !to.exists() {
                self.done(&["restore", "--at", &at, "--to", to.to_str().unwrap()]).await;
            }
            if rows_of(&to) == rows {
                return txid;
            }
            assert!(begun.elapsed() < PATIENCE, "what was written is not copied");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Agent {
    /// Waits until `/health` is as `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let health = self.health().await;
            if wanted(&health) {
                return health;
            }
            assert!(begun.elapsed() < PATIENCE, "in vain: {what}: {health:#}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What `/health` says, whatever its code.
    pub(crate) async fn health(&self) -> Value {
        let said = chassis::lifecycle::ask(self.address, "/health").await;
        let text = said.unwrap_or_else(|error| error);
        let begins = text.find('{').unwrap_or(text.len());
        serde_json::from_str(&text[begins..]).unwrap_or(Value::Null)
    }

    /// Stops it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.life.await.unwrap().unwrap();
        self.server.stop().await;
    }
}

/// What was said, in a database that nobody has open.
pub(crate) fn rows_of(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut asked = connection.prepare("SELECT what FROM said ORDER BY id").unwrap();
    let rows = asked.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn rows(path: &Path) -> Vec<String> {
    rows_of(path)
}
