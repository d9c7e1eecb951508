//! The whole system in a folder of its own: broker, Discord stand-in, gateway, worker.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bus::server::NatsServer;
use simulator::{Config, Preset, RunningSimulator, Simulator};

use crate::discord::Discord;
use crate::keys::{self, Keys};
use crate::service::Service;

/// What a house may be built with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The seed of everything that the simulator draws.
    pub seed: u64,
    /// More settings for the gateway.
    pub gateway: Vec<(&'static str, String)>,
    /// More settings for the worker.
    pub worker: Vec<(&'static str, String)>,
    /// Where the broker keeps its streams, if not in the house's own folder.
    pub nats_store: Option<PathBuf>,
}

/// A running system. Everything in it ends when it is dropped.
pub struct House {
    /// The broker.
    pub nats: NatsServer,
    /// The gateway's process.
    pub gateway: Service,
    /// The worker's process.
    pub worker: Service,
    /// The backup agent's process, which most stories do not start.
    pub backup: Service,
    /// Discord, as people see it.
    pub discord: Discord,
    /// One person, member of the guild.
    pub person: String,
    /// The guild that the bot may answer in.
    pub guild: String,
    /// A text channel of it.
    pub channel: String,
    simulator: RunningSimulator,
    folder: tempfile::TempDir,
}

impl House {
    /// Builds a house and waits until every part of it is ready.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut house = Self::build(options).await?;
        house.gateway.start().await?;
        house.worker.start().await?;
        house.gateway.ready().await?;
        house.worker.ready().await?;
        Ok(house)
    }

    /// Builds a house in which broker and simulator run, and the services do not yet.
    pub async fn build(options: Options) -> anyhow::Result<Self> {
        install_crypto_provider();
        let http = reqwest::Client::builder().no_proxy().build().context("an HTTP client")?;
        let folder = tempfile::tempdir().context("a folder for the house")?;
        let keys = Keys::make(&folder.path().join("project"))?;
        let nats = NatsServer::start_with(&keys.users()?, options.nats_store.as_deref())
            .await
            .context("start nats-server")?;
        keys.declare(&nats).await?;
        let config = Config { seed: options.seed, world: Preset::Empty, ..Config::default() };
        let simulator = Simulator::start(config).await?;
        let base = simulator.base_url();
        let discord = Discord::connect(base.clone(), http.clone()).await?;
        let person = discord.person("はる").await?;
        let (guild, channel) = discord.guild("ことのは広場", &[&person]).await?;

        let mut gateway = Service::new("gateway", folder.path(), http.clone());
        keys.give(&mut gateway, "gateway", &nats);
        gateway.set("DISCORD_TOKEN", simulator.bot_token());
        gateway.set("DISCORD_API_URL", &base);
        gateway.set("DISCORD_ALLOWED_GUILDS", &guild);
        let mut backup = Service::new("backup-agent", folder.path(), http.clone());
        keys.give(&mut backup, "backup-agent", &nats);
        for (key, value) in backups(folder.path()) {
            backup.set(key, value);
        }
        let mut worker = Service::new("conversation-worker", folder.path(), http);
        keys.give(&mut worker, "conversation-worker", &nats);
        worker.set("DATABASE_PATH", folder.path().join("conversation.db").display().to_string());
        worker.set("MODEL_BASE_URL", format!("{base}/model/openai/v1"));
        worker.set("MODEL_API_KEY", "sk-simulated-0000000000000000");
        worker.set("MODEL_NAME", "simulated");
        for (key, value) in options.gateway {
            gateway.set(key, value);
        }
        for (key, value) in options.worker {
            worker.set(key, value);
        }
        Ok(Self {
            nats,
            gateway,
            worker,
            backup,
            discord,
            person,
            guild,
            channel,
            simulator,
            folder,
        })
    }

    /// The folder that holds the services' files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The worker's database file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("conversation.db")
    }

    /// Where the simulator serves.
    pub fn simulator_url(&self) -> String {
        self.simulator.base_url()
    }

    /// The simulator itself, for what HTTP would be too slow or too coarse for.
    pub fn simulator(&self) -> &simulator::State {
        self.simulator.state()
    }

    /// The name and password of a user of the broker who may do everything.
    pub const fn story_user(&self) -> (&'static str, &'static str) {
        (keys::STORY, keys::STORY)
    }

    /// A connection of its own to the broker, for looking at streams.
    pub async fn bus(&self) -> anyhow::Result<bus::Bus> {
        let config = self.nats.config_of(keys::STORY, keys::STORY);
        let bus = bus::Bus::connect(config).await?;
        bus.wait_connected().await;
        Ok(bus)
    }
}

/// What the backup agent is told: the worker's database, and the folders that were prepared.
fn backups(folder: &Path) -> [(&'static str, String); 6] {
    let path = |name: &str| folder.join(name).display().to_string();
    [
        ("BACKUP_DIR", path("project/backups")),
        ("BACKUP_STATE_DIR", path("project/data/backup-agent")),
        ("BACKUP_SOCKET", path("backup-agent.sock")),
        ("BACKUP_DATABASES", format!("conversations={}", path("conversation.db"))),
        ("BACKUP_FOLDERS", format!("config:settings={}", path("project/config"))),
        (
            "BACKUP_REPOSITORY_PASSWORD_FILE",
            path("project/data/secrets/backup-agent/repository-password"),
        ),
    ]
}

/// Makes ring the process's TLS provider; without one an HTTP client cannot even be built.
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider().install_default().is_err()
    {
        // Another story of this process was first: then there is one, which is all we want.
    }
}
