//! The gateway's life: reach the bus, learn what is set, hold sessions and send; then drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Bucket, Bus, BusConfig, Grounds};
use chassis::check::clock::ClockWatch;
use chassis::{Context, ExposeSecret as _, Faults, Health, OnFault};
use contracts::{access, stream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use twilight_gateway::{ConfigBuilder, Intents, ShardId};
use twilight_model::gateway::payload::outgoing::identify::IdentifyProperties;

use crate::config::Config;
use crate::directory::Directory;
use crate::forward::Forwarder;
use crate::lookup::Lookup;
use crate::outbound::{self, Buckets, Sender, Stop};
use crate::rest::{Failure, Rest};
use crate::session::{Ended, Gate, GatewayInfo, Refusal, Report, Saved, ShardTask, Store, Wiring};
use crate::settings::Settings;
use crate::status::{self, Checks, Watched};

const RETRY: Duration = Duration::from_millis(500);
/// How long the first connection to the bus may take before that counts as a failure.
const STARTING: Duration = Duration::from_secs(2);
/// How long Discord is asked for its gateway while a kept session could be resumed without.
const ASK_WHILE_RESUMABLE: Duration = Duration::from_secs(3);
/// Where the gateway is when Discord cannot be asked.
const GATEWAY_URL: &str = "wss://gateway.discord.gg";
/// What is kept of the grace period for saving and saying goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the gateway stands on.
#[derive(Debug)]
pub struct Parts {
    /// The bus.
    pub bus: Bus,
    /// Where it says how it is.
    pub health: Health,
    /// Cancelled when it is to stop.
    pub shutdown: CancellationToken,
    /// What to do when Discord refuses the login.
    pub on_fault: OnFault,
    /// How long it may take to stop.
    pub grace: Duration,
}

/// Runs the gateway until it is told to stop.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let nats = context.common.nats.clone();
    let bus = Bus::connect(BusConfig {
        url: nats.url,
        service: context.service.name.to_owned(),
        user: nats.user,
        password: nats.password.map(|password| password.expose_secret().to_owned()),
        ca_file: nats.ca_file,
    })
    .await
    .map_err(|error| {
        let problem = (format!("cannot work: {error}"), format!("では接続できません: {error}"));
        let remedy = (
            "correct NATS_URL, NATS_USER and NATS_PASSWORD",
            "NATS_URL・NATS_USER・NATS_PASSWORD を確認してください",
        );
        Faults::one("NATS_URL", problem, remedy)
    })?;
    let parts = Parts {
        bus,
        health: context.health.clone(),
        shutdown: context.shutdown.clone(),
        on_fault: context.common.on_fault,
        grace: context.common.shutdown_grace,
    };
    Box::pin(serve(parts, config)).await
}

/// Runs the gateway on parts of one's own until it is told to stop.
pub async fn serve(parts: Parts, config: Config) -> anyhow::Result<()> {
    let checks = Checks::declare(&parts.health);
    if config.allowed_guilds.is_empty() {
        tracing::warn!(
            remedy = "set DISCORD_ALLOWED_GUILDS to the ids of the guilds the bot may speak in",
            "no guild is allowed: the bot stays silent everywhere"
        );
    }
    let rest = Rest::new(&config)?;
    rest.watch_clock(ClockWatch::over(&parts.health));
    let grounds = parts.bus.grounds(&access::GATEWAY, parts.shutdown.clone());
    let watching = watch_bus(parts.bus.clone(), grounds.clone(), checks.clone());
    let watching = tokio::spawn(parts.shutdown.clone().run_until_cancelled_owned(watching));
    let outcome = match Ground::reach(&parts, grounds).await {
        None => Ok(()),
        Some(ground) => Box::pin(Gateway { parts, config, checks, rest, ground }.live()).await,
    };
    watching.abort();
    outcome
}

/// Says how the bus is from the first moment on: without it nothing else begins.
async fn watch_bus(bus: Bus, grounds: Grounds, checks: Checks) {
    // A start is no failure: the first connection takes a moment.
    if tokio::time::timeout(STARTING, bus.wait_connected()).await.is_err() {
        tracing::debug!("nats-server is not reached yet");
    }
    loop {
        checks.bus(&grounds.standing());
        // Why it is away, and that it stores nothing, change without a word of the connection.
        tokio::time::sleep(status::LOOK_EVERY).await;
    }
}

/// What everything else needs.
struct Ground {
    sessions: Bucket,
    settings: Bucket,
    turns: Bucket,
}

impl Ground {
    /// Waits until streams and buckets are there: making them is not our right. None: told to
    /// stop.
    async fn reach(parts: &Parts, grounds: Grounds) -> Option<Self> {
        loop {
            let reached = Box::pin(Self::try_reach(&parts.bus, &grounds));
            match parts.shutdown.run_until_cancelled(reached).await? {
                Ok(ground) => return Some(ground),
                Err(error) => tracing::warn!(%error, "waiting for the bus"),
            }
            parts.shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await?;
        }
    }

    async fn try_reach(bus: &Bus, grounds: &Grounds) -> Result<Self, bus::BusError> {
        grounds.wait_whole().await;
        Ok(Self {
            sessions: bus.bucket(stream::GATEWAY_SESSIONS.name).await?,
            settings: bus.bucket(stream::SETTINGS.name).await?,
            turns: bus.bucket(stream::TURNS.name).await?,
        })
    }
}

struct Gateway {
    parts: Parts,
    config: Config,
    checks: Checks,
    rest: Rest,
    ground: Ground,
}

/// What was found out about the sessions to hold.
struct Layout {
    url: String,
    shards: u32,
    saved: Vec<Option<Saved>>,
}

impl Gateway {
    async fn live(self) -> anyhow::Result<()> {
        let shutdown = self.parts.shutdown.clone();
        let directory = Arc::new(Directory::new(self.config.allowed_guilds.clone()));
        let settings = Settings::new(self.ground.settings.clone(), Arc::clone(&directory));
        let Some(watch) = settings.load(&shutdown).await else { return Ok(()) };
        let following = tokio::spawn(settings.follow(watch, shutdown.clone()));
        // Sending begins at once: a reply that was interrupted should not wait for a session.
        let hurry = CancellationToken::new();
        let outbound = self.start_outbound(&directory, &hurry);
        let lived = self.hold_sessions(directory).await;
        shutdown.cancel();
        let ending = async {
            for task in outbound.into_iter().chain([following]) {
                task.await.context("end a task of the gateway")?;
            }
            anyhow::Ok(())
        };
        let overdue = async {
            tokio::time::sleep(self.parts.grace.saturating_sub(FAREWELL)).await;
            hurry.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = ending => ended?,
            () = overdue => {}
        }
        self.parts.bus.drain().await;
        lived
    }

    fn start_outbound(
        &self,
        directory: &Arc<Directory>,
        hurry: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let buckets =
            Buckets { turns: self.ground.turns.clone(), settings: self.ground.settings.clone() };
        let (commands, drafts) = outbound::open(
            (&self.parts.bus, buckets),
            &self.rest,
            Arc::clone(directory),
            Stop { soon: self.parts.shutdown.clone(), now: hurry.clone() },
            self.config.limits.command_ack_wait,
        );
        vec![tokio::spawn(commands.run()), tokio::spawn(drafts.run())]
    }

    async fn hold_sessions(&self, directory: Arc<Directory>) -> anyhow::Result<()> {
        let shutdown = &self.parts.shutdown;
        let store = Store::new(self.ground.sessions.clone(), &self.config.token);
        let gate = Gate::open(
            self.rest.clone(),
            store.clone(),
            self.config.limits.refused_logins_per_hour_max,
            shutdown.clone(),
        )
        .await;
        let Some(layout) = self.find_layout(&gate, &store).await? else { return Ok(()) };
        // What is still on its way when the shutdown begins is given its time.
        let hurry = CancellationToken::new();
        let lookup = Lookup::new(self.rest.clone(), Arc::clone(&directory));
        let (forwarder, carrier) = Forwarder::new(
            self.parts.bus.clone(),
            Arc::clone(&directory),
            lookup,
            &self.config.limits,
            hurry.clone(),
        );
        let mut forwarding = tokio::spawn(carrier.run());
        let wiring = Wiring {
            config: self.shard_config(&gate, &layout.url),
            gate: gate.clone(),
            store,
            directory: Arc::clone(&directory),
            forwarder: forwarder.clone(),
            settings: self.ground.settings.clone(),
            limits: self.config.limits.clone(),
            refusal_ends: self.parts.on_fault == OnFault::Exit,
            stop: shutdown.clone(),
            grace: self.parts.grace.saturating_sub(FAREWELL),
        };
        let changed = Arc::<Notify>::default();
        let (shards, reports) = start_shards(&wiring, layout, &changed);
        let watched = Watched {
            bus: self.parts.bus.clone(),
            reports,
            gate,
            rest: self.rest.clone(),
            directory,
            sender: Sender::sole(),
            forwarder: forwarder.clone(),
            changed,
        };
        let looking = tokio::spawn(status::watch(watched, self.checks.clone(), shutdown.clone()));
        let ended = tokio::select! {
            ended = self.wait_for(shards) => ended,
            // It ends only when it is told to: a session without it would forward nothing.
            ended = &mut forwarding => return ended.context("carry events to the bus"),
        };
        hurry.cancel();
        forwarding.await.context("carry events to the bus")?;
        looking.await.context("end the status")?;
        ended
    }

    /// Waits for the shards to end; a refused login ends them all.
    async fn wait_for(&self, mut shards: JoinSet<Ended>) -> anyhow::Result<()> {
        let mut refused = None;
        while let Some(ended) = shards.join_next().await {
            if let Ended::Refused(refusal) = ended.context("end a shard")? {
                refused = Some(refusal);
                self.parts.shutdown.cancel();
            }
        }
        refused.map_or(Ok(()), |refusal| Err(fault(refusal).into()))
    }

    /// How many shards there are, where they connect, and what they can resume. None: told to stop.
    async fn find_layout(&self, gate: &Gate, store: &Store) -> anyhow::Result<Option<Layout>> {
        let stop = &self.parts.shutdown;
        let first = store.session(0, stop).await;
        let known = first.as_ref().map(|saved| saved.shards);
        let asked = match known {
            None => self.ask_gateway(gate).await?,
            Some(_) => {
                match tokio::time::timeout(ASK_WHILE_RESUMABLE, self.ask_gateway(gate)).await {
                    Ok(asked) => asked?,
                    // A resume cannot wait long, and needs no more than what was kept.
                    Err(_elapsed) => None,
                }
            }
        };
        if stop.is_cancelled() {
            return Ok(None);
        }
        let shards = asked.as_ref().map_or(known.unwrap_or(1), |info| info.shards).max(1);
        let url = match (&self.config.gateway_url, asked) {
            (Some(url), _) => url.as_str().to_owned(),
            (None, Some(info)) => info.url.trim_end_matches('/').to_owned(),
            (None, None) => GATEWAY_URL.to_owned(),
        };
        let mut saved = vec![first];
        for shard in 1..shards {
            saved.push(store.session(shard, stop).await);
        }
        Ok(Some(Layout { url, shards, saved }))
    }

    /// Asks Discord for its gateway until it answers. None: told to stop.
    async fn ask_gateway(&self, gate: &Gate) -> anyhow::Result<Option<GatewayInfo>> {
        let stop = &self.parts.shutdown;
        loop {
            if let Some((refusal, at)) = gate.refusal().await {
                self.checks.refused(refusal, Some(at));
            }
            stop.run_until_cancelled(gate.wait_after_refusal(None)).await;
            let failure = match stop.run_until_cancelled(gate.ask()).await {
                None => return Ok(None),
                Some(Ok(info)) => return Ok(Some(info)),
                Some(Err(failure)) => failure,
            };
            let wait = match failure {
                Failure::Unauthorized(until) => {
                    let refusal = Refusal { code: 401 };
                    gate.refused(refusal).await;
                    self.checks.refused(refusal, None);
                    if self.parts.on_fault == OnFault::Exit {
                        return Err(fault(refusal).into());
                    }
                    tracing::error!(
                        remedy = refusal.remedy().0,
                        "Discord does not accept the bot token"
                    );
                    until.saturating_duration_since(std::time::Instant::now())
                }
                Failure::Limited(until) => {
                    until.saturating_duration_since(std::time::Instant::now())
                }
                failure => {
                    tracing::warn!(error = %failure, "Discord does not say where its gateway is");
                    self.config.limits.reconnect_delay_max
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    fn shard_config(&self, gate: &Gate, url: &str) -> twilight_gateway::Config<Gate> {
        let intents = Intents::GUILDS
            | Intents::GUILD_MESSAGES
            | Intents::DIRECT_MESSAGES
            | Intents::MESSAGE_CONTENT;
        let properties = IdentifyProperties::new("kotonoha", "kotonoha", std::env::consts::OS);
        ConfigBuilder::new(self.config.token.expose_secret().to_owned(), intents)
            .queue(gate.clone())
            .identify_properties(properties)
            .proxy_url(url.to_owned())
            .build()
    }
}

fn start_shards(
    wiring: &Wiring,
    layout: Layout,
    changed: &Arc<Notify>,
) -> (JoinSet<Ended>, Vec<Report>) {
    let mut tasks = JoinSet::new();
    let mut reports = Vec::new();
    for (shard, saved) in (0..layout.shards).zip(layout.saved) {
        let report = Report::new(shard, Arc::clone(changed));
        reports.push(report.clone());
        let id = ShardId::new(shard, layout.shards);
        tasks.spawn(ShardTask::new(wiring.clone(), id, report, saved).run());
    }
    (tasks, reports)
}

fn fault(refusal: Refusal) -> Faults {
    let code = refusal.code;
    let problem = (
        format!("{} (code {code})", refusal.problem()),
        format!("{}(コード {code})", refusal.problem_ja()),
    );
    Faults::one(refusal.setting(), problem, refusal.remedy())
}
