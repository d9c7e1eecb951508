//! The five processes of the demo: how each is started, where each is reached, in what order they stop.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::control::Control;
use super::folder::Folder;
use super::model::Model;
use super::phrases::Phrases;
use crate::external;
use crate::http::Http;
use crate::process::{Service, wait_for_both};

/// The programs cargo builds for the demo, by package.
pub(crate) const PROGRAMS: [&str; 5] =
    ["simulator", "prepare", "gateway", "conversation-worker", "backup-agent"];

/// What the processes are made of.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) folder: &'a Folder,
    /// Where cargo put the programs.
    pub(crate) programs: PathBuf,
    pub(crate) nats_server: PathBuf,
    /// The chat page's port; a free one when absent.
    pub(crate) port: Option<u16>,
    /// The language everything is played in.
    pub(crate) phrases: &'a Phrases,
}

/// Everything that runs. Fields are dropped, and so killed, in the order in which they stop.
#[derive(Debug)]
pub(crate) struct Fleet {
    backup: Service,
    gateway: Service,
    worker: Service,
    nats: Service,
    simulator: Service,
    /// What answers.
    pub(crate) model: Model,
    /// The way to the simulator's control API.
    pub(crate) control: Control,
    /// A client for health addresses.
    pub(crate) http: Http,
    /// What the simulator said when it was ready.
    pub(crate) stage: Value,
    /// `http://host:port` of the gateway's health.
    pub(crate) gateway_address: String,
    /// `http://host:port` of the worker's health.
    pub(crate) worker_address: String,
    /// `http://host:port` of the backup agent's health.
    pub(crate) backup_address: String,
    nats_address: String,
}

impl Fleet {
    /// Starts everything and waits until all of it is ready.
    pub(crate) fn start(plan: &Plan<'_>, model: Model) -> Result<Self> {
        let http = Http::new();
        prepare(plan, "folders", |_command| {})?;
        let mut nats = start_nats(plan)?;
        let mut simulator = start_simulator(plan)?;
        let (nats_url, mut stage) = wait_for_both(
            (&mut nats, || announced_nats(plan, &http)),
            (&mut simulator, || announced_stage(plan, &http)),
        )?;
        prepare(plan, "streams", |command| as_user(plan, command, &nats_url, "admin", "init"))?;
        let address = stage["address"].as_str().context("read the simulator's address")?.to_owned();
        let control = Control::new(http.clone(), &address);
        stage["guilds"] = guilds(&control, plan.phrases)?;

        let settings = Settings { plan, nats_url: &nats_url, simulator: &address };
        let mut gateway =
            settings.start("gateway", |command| settings.of_gateway(command, &stage))?;
        let mut worker =
            settings.start("conversation-worker", |command| settings.of_worker(command, &model))?;
        let (gateway_address, worker_address) = wait_for_both(
            (&mut gateway, || Ok(announced(plan, &http, "gateway"))),
            (&mut worker, || Ok(announced(plan, &http, "conversation-worker"))),
        )?;
        let mut backup = settings.start("backup-agent", |command| settings.of_backup(command))?;
        let backup_address =
            backup.wait_until_ready(|| Ok(announced_alive(plan, &http, "backup-agent")))?;
        Ok(Self {
            backup,
            gateway,
            worker,
            nats,
            simulator,
            model,
            control,
            http,
            stage,
            gateway_address,
            worker_address,
            backup_address,
            nats_address: nats_url,
        })
    }

    /// Address of the chat page.
    pub(crate) fn chat_page(&self) -> String {
        format!("http://{}/", self.stage["address"].as_str().unwrap_or_default())
    }

    /// The bot's user id.
    pub(crate) fn bot_id(&self) -> &str {
        self.stage["bot_id"].as_str().unwrap_or_default()
    }

    /// Fails when one of the processes ended by itself.
    pub(crate) fn expect_running(&mut self) -> Result<()> {
        self.all().into_iter().try_for_each(|(_, service)| service.expect_running())
    }

    /// Stops everything: first what takes work, last what others stand on.
    pub(crate) fn stop(&mut self) -> Value {
        let ended: Map<String, Value> = self
            .all()
            .into_iter()
            .map(|(name, service)| (name.to_owned(), service.stop()))
            .collect();
        Value::Object(ended)
    }

    /// Process id, ready time and memory of each.
    pub(crate) fn facts(&mut self) -> Value {
        let facts: Map<String, Value> = self
            .all()
            .into_iter()
            .map(|(name, service)| (name.to_owned(), service.facts()))
            .collect();
        Value::Object(facts)
    }

    /// Where each is reached.
    pub(crate) fn addresses(&self) -> Value {
        serde_json::json!({
            "chat_page": self.chat_page(),
            "gateway_health": format!("{}/health", self.gateway_address),
            "worker_health": format!("{}/health", self.worker_address),
            "backup_health": format!("{}/health", self.backup_address),
            "nats": self.nats_address,
        })
    }

    /// The ends of the logs that explain a reply that did not come.
    pub(crate) fn last_words(&self) -> String {
        format!("{}\n{}", self.gateway.last_words(), self.worker.last_words())
    }

    fn all(&mut self) -> Vec<(&'static str, &mut Service)> {
        let mut all = vec![
            ("backup-agent", &mut self.backup),
            ("gateway", &mut self.gateway),
            ("conversation-worker", &mut self.worker),
            ("nats-server", &mut self.nats),
            ("simulator", &mut self.simulator),
        ];
        if let Model::Real(real) = &mut self.model {
            all.push(("model", &mut real.service));
        }
        all
    }
}

/// What runs once and ends before the services start, as in production.
fn prepare(plan: &Plan<'_>, chore: &str, adjust: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = Command::new(plan.programs.join("prepare"));
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    // Services are never root; a demo that root plays reads the files anyway.
    let owner = format!("{}:{}", user.as_raw().max(1), group.as_raw().max(1));
    command
        .arg(chore)
        .env_clear()
        .env("PREPARE_ROOT", plan.folder.root())
        .env("PREPARE_OWNER", owner);
    adjust(&mut command);
    external::quiet(&mut command).map(drop).with_context(|| format!("prepare {chore}"))
}

/// Tells a program where nats-server is and who it is there.
fn as_user(plan: &Plan<'_>, command: &mut Command, url: &str, user: &str, folder: &str) {
    let password = plan.folder.kept("data/secrets").join(folder).join("nats-password");
    command.env("NATS_URL", url).env("NATS_USER", user).env("NATS_PASSWORD_FILE", password);
}

fn start_nats(plan: &Plan<'_>) -> Result<Service> {
    let ports = plan.folder.run("ports");
    if ports.exists() {
        std::fs::remove_dir_all(&ports).context("forget the ports of an earlier run")?;
    }
    std::fs::create_dir(&ports).context("create a folder for nats-server's ports")?;
    let file = plan.folder.run("nats.conf");
    let store = plan.folder.kept("nats");
    std::fs::write(&file, nats_configuration(&store, &ports)).context("write nats.conf")?;
    Service::start("nats-server", &plan.nats_server, plan.folder.log("nats-server"), |command| {
        command.arg("--config").arg(&file);
    })
}

/// JSON strings are valid strings of that configuration language too.
fn nats_configuration(store: &std::path::Path, ports: &std::path::Path) -> String {
    let quoted = |path: &std::path::Path| Value::from(path.to_string_lossy()).to_string();
    format!(
        "# Written by `cargo xtask demo`.\n\
         server_name: demo\n\
         listen: \"127.0.0.1:-1\"\n\
         http: \"127.0.0.1:-1\"\n\
         ports_file_dir: {}\n\
         max_payload: 8MB\n\
         # Relative to this file, whatever it begins with.\n\
         include \"../data/secrets/nats/users.conf\"\n\
         jetstream {{\n  store_dir: {}\n  sync_interval: always\n}}\n",
        quoted(ports),
        quoted(store)
    )
}

/// The server's address, once it wrote it down and its own health is good.
fn announced_nats(plan: &Plan<'_>, http: &Http) -> Result<Option<String>> {
    let entries = std::fs::read_dir(plan.folder.run("ports")).context("look for the ports file")?;
    for entry in entries.filter_map(Result::ok) {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        // Half-written is not ready yet.
        let Ok(ports) = serde_json::from_str::<Value>(&text) else { continue };
        if let (Some(nats), Some(monitor)) =
            (ports["nats"][0].as_str(), ports["monitoring"][0].as_str())
            && http.is_ok(&format!("{monitor}/healthz"))
        {
            return Ok(Some(nats.to_owned()));
        }
    }
    Ok(None)
}

fn start_simulator(plan: &Plan<'_>) -> Result<Service> {
    let ready = plan.folder.run("simulator.ready");
    forget(&ready)?;
    let program = plan.programs.join("simulator");
    // Another seed every time, or the words drawn at run time would be the same in every demo.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = since_epoch.as_micros().to_string();
    Service::start("simulator", &program, plan.folder.log("simulator"), |command| {
        command.args(["--seed", &seed]);
        command.args(["--listen", &format!("127.0.0.1:{}", plan.port.unwrap_or(0))]);
        command.args(["--world", "demo", "--ready-file"]).arg(&ready);
    })
}

fn announced_stage(plan: &Plan<'_>, http: &Http) -> Result<Option<Value>> {
    let Ok(text) = std::fs::read_to_string(plan.folder.run("simulator.ready")) else {
        return Ok(None);
    };
    let stage: Value = serde_json::from_str(&text).context("read the simulator's ready file")?;
    let address = stage["address"].as_str().unwrap_or_default();
    let health = format!("http://{address}/health/live");
    Ok(http.is_ok(&health).then_some(stage))
}

/// Every guild there is, with one in the language that is played.
fn guilds(control: &Control, phrases: &Phrases) -> Result<Value> {
    let of = |world: &Value| world["guilds"].as_array().cloned().unwrap_or_default();
    let there = of(&control.world()?);
    if there.iter().all(|guild| guild["preferred_locale"] != phrases.locale) {
        control.add_guild("Kotonoha", phrases.locale, phrases.channel)?;
    }
    Ok(Value::from(of(&control.world()?)))
}

/// The address a service wrote into its ready file, once it says that it is ready.
fn announced(plan: &Plan<'_>, http: &Http, service: &str) -> Option<String> {
    let ready = plan.folder.run(&format!("{service}.ready"));
    let address = std::fs::read_to_string(ready).ok()?;
    let base = format!("http://{}", address.trim());
    http.is_ok(&format!("{base}/health/ready")).then_some(base)
}

/// The same, once it lives: how well backups stand also depends on how full this disk is.
fn announced_alive(plan: &Plan<'_>, http: &Http, service: &str) -> Option<String> {
    let ready = plan.folder.run(&format!("{service}.ready"));
    let address = std::fs::read_to_string(ready).ok()?;
    let base = format!("http://{}", address.trim());
    http.is_ok(&format!("{base}/health/live")).then_some(base)
}

fn forget(file: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// What our services are told by their environment.
struct Settings<'a> {
    plan: &'a Plan<'a>,
    nats_url: &'a str,
    simulator: &'a str,
}

impl Settings<'_> {
    fn start(&self, service: &'static str, special: impl FnOnce(&mut Command)) -> Result<Service> {
        let folder = self.plan.folder;
        let ready = folder.run(&format!("{service}.ready"));
        forget(&ready)?;
        let program = self.plan.programs.join(service);
        Service::start(service, &program, folder.log(service), |command| {
            command
                .env("HEALTH_LISTEN", "127.0.0.1:0")
                .env("READY_FILE", &ready)
                .env("LOG_FORMAT", "human")
                .env("SHUTDOWN_GRACE_SECONDS", "10")
                .env("KOTONOHA_ON_FAULT", "exit");
            as_user(self.plan, command, self.nats_url, service, service);
            special(command);
        })
    }

    fn of_gateway(&self, command: &mut Command, stage: &Value) {
        let guilds = stage["guilds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<&str> = guilds.iter().filter_map(|guild| guild["id"].as_str()).collect();
        command
            .env("DISCORD_TOKEN", stage["bot_token"].as_str().unwrap_or_default())
            .env("DISCORD_API_URL", format!("http://{}", self.simulator))
            .env("DISCORD_ALLOWED_GUILDS", ids.join(","));
    }

    fn of_worker(&self, command: &mut Command, model: &Model) {
        command
            .env("DATABASE_PATH", self.plan.folder.kept("conversation.db"))
            .env("OLLAMA_URL", format!("http://{}/model/ollama", self.simulator));
        model.configure(command, self.simulator);
    }

    fn of_backup(&self, command: &mut Command) {
        let folder = self.plan.folder;
        let database = folder.kept("conversation.db");
        let password = folder.kept("data/secrets/backup-agent/repository-password");
        command
            .env("BACKUP_DIR", folder.kept("backups"))
            .env("BACKUP_STATE_DIR", folder.kept("data/backup-agent"))
            .env("BACKUP_SOCKET", folder.run("backup-agent.sock"))
            .env("BACKUP_DATABASES", format!("conversations={}", database.display()))
            .env("BACKUP_FOLDERS", format!("config:settings={}", folder.kept("config").display()))
            .env("BACKUP_REPOSITORY_PASSWORD_FILE", password);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::nats_configuration;

    #[test]
    fn a_folder_with_a_quote_in_its_name_stays_one_string() {
        let text = nats_configuration(Path::new("a \"b\" c"), Path::new("ports"));
        assert!(text.contains(r#"store_dir: "a \"b\" c""#), "{text}");
        assert!(text.contains("sync_interval: always"));
    }
}
