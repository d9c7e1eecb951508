//! The world of a test: a nats-server, a simulated Discord, and a gateway that can be killed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use bus::server::NatsServer;
use bus::{Bus, ConsumerSpec, Deliveries, Delivery, Outgoing, Start};
use chassis::{Health, OnFault, ServiceInfo};
use contracts::command::{Action, Command, CommandResult, Outcome, Place, ThreadPlan};
use contracts::draft::Draft;
use contracts::envelope;
use contracts::event::EventMeta;
use contracts::id::{ChannelId, CommandId, GuildId, MessageId, TurnId};
use contracts::stream;
use gateway::{Config, Parts};
use serde_json::{Value, json};
use simulator::{RunningSimulator, Simulator};
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub nats: NatsServer,
    pub simulator: RunningSimulator,
    http: reqwest::Client,
    bus: Option<Bus>,
    pub guild: GuildId,
    pub channel: ChannelId,
    pub user: u64,
    pub bot: u64,
}

/// A gateway in a runtime of its own, so that it can be killed at any moment.
pub(crate) struct Gateway {
    runtime: Option<tokio::runtime::Runtime>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    pub health: Health,
    shutdown: CancellationToken,
}

fn id(value: &Value) -> u64 {
    value.as_str().expect("an id is a string").parse().expect("an id is a number")
}

impl World {
    pub(crate) async fn new() -> Self {
        let nats = NatsServer::start().await;
        Self::over(nats.expect("nats-server starts")).await
    }

    pub(crate) async fn over(nats: NatsServer) -> Self {
        chassis::lifecycle::install_crypto_provider();
        let simulator = Simulator::start(simulator::Config::default()).await.expect("it starts");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut world = Self {
            nats,
            simulator,
            http,
            bus: None,
            guild: GuildId(0),
            channel: ChannelId(0),
            user: 0,
            bot: 0,
        };
        let known = world.get("world").await;
        world.guild = GuildId(id(&known["guilds"][0]["id"]));
        let channels = known["guilds"][0]["channels"].as_array().expect("channels");
        let text = channels.iter().find(|channel| channel["type"] == 0).expect("a text channel");
        world.channel = ChannelId(id(&text["id"]));
        world.bot = id(&known["bot"]["id"]);
        let humans = known["users"].as_array().expect("users");
        world.user = id(&humans.iter().find(|user| user["bot"] != true).expect("a person")["id"]);
        // Tests want the wire as it is, not ten seconds of it.
        world.post("gateway/config", json!({"identify_interval_ms": 0})).await;
        let bus = Bus::connect(world.nats.config("test")).await.expect("settings");
        bus.wait_connected().await;
        bus.declare().await.expect("declared");
        world.bus = Some(bus);
        world
    }

    pub(crate) fn bus(&self) -> &Bus {
        self.bus.as_ref().expect("connected")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.control(reqwest::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.control(reqwest::Method::GET, path, None).await
    }

    pub(crate) async fn control(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        let url = format!("{}/control/{path}", self.simulator.base_url());
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the simulator answers");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            token: self.simulator.bot_token().into(),
            api_url: self.simulator.base_url().parse().expect("an address"),
            gateway_url: None,
            allowed_guilds: HashSet::from([self.guild]),
            requests_per_second: 50,
            limits: gateway::config::Limits::default(),
        }
    }

    pub(crate) fn gateway(&self) -> Gateway {
        self.gateway_with(self.config(), OnFault::Stay)
    }

    pub(crate) fn gateway_with(&self, config: Config, on_fault: OnFault) -> Gateway {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let shutdown = CancellationToken::new();
        let health = Health::new(ServiceInfo { name: "gateway", version: "0.0.0", log: "gateway" });
        let (bus_config, stop, told) =
            (self.nats.config("gateway"), shutdown.clone(), health.clone());
        let task = runtime.spawn(async move {
            let bus = Bus::connect(bus_config).await?;
            let grace = Duration::from_secs(10);
            let parts = Parts { bus, health: told, shutdown: stop, on_fault, grace };
            gateway::serve(parts, config).await
        });
        Gateway { runtime: Some(runtime), task, health, shutdown }
    }

    /// A gateway that is in session.
    pub(crate) async fn connected(&self) -> Gateway {
        let before = self.ledger("dispatch").await.len();
        let gateway = self.gateway();
        eventually("the gateway is in session", async || {
            let dispatches = self.ledger("dispatch").await;
            dispatches[before..].iter().any(|d| d["t"] == "READY" || d["t"] == "RESUMED")
        })
        .await;
        eventually("the gateway says so", async || gateway.is_healthy("discord")).await;
        gateway
    }

    pub(crate) async fn ledger(&self, kind: &str) -> Vec<Value> {
        let read = self.get(&format!("ledger?limit=100000&kind={kind}")).await;
        read["entries"].as_array().expect("entries").clone()
    }

    /// Requests on a route so far, by method and a part of the path.
    pub(crate) async fn requests(&self, method: &str, part: &str) -> Vec<Value> {
        let mut requests = self.ledger("rest").await;
        requests.retain(|entry| {
            entry["method"] == method
                && entry["path"].as_str().is_some_and(|path| path.contains(part))
        });
        requests
    }

    /// How many IDENTIFYs (2) or RESUMEs (6) Discord has seen.
    pub(crate) async fn count_op(&self, op: u64) -> usize {
        self.ledger("gateway_in").await.iter().filter(|frame| frame["op"] == op).count()
    }

    pub(crate) async fn say(&self, content: &str) -> MessageId {
        self.say_in(self.channel, self.user, content).await
    }

    pub(crate) async fn mention(&self, content: &str) -> MessageId {
        self.say(&format!("<@{}> {content}", self.bot)).await
    }

    pub(crate) async fn say_in(&self, channel: ChannelId, user: u64, content: &str) -> MessageId {
        let body = json!({"author_id": user.to_string(), "content": content});
        let said = self.post(&format!("channels/{channel}/messages"), body).await;
        MessageId(id(&said["id"]))
    }

    /// The messages of a channel, oldest first.
    pub(crate) async fn messages(&self, channel: ChannelId) -> Vec<Value> {
        let read = self.get(&format!("channels/{channel}/messages")).await;
        read.as_array().cloned().unwrap_or_default()
    }

    /// What the bot has said in a channel, oldest first.
    pub(crate) async fn own_texts(&self, channel: ChannelId) -> Vec<String> {
        let bot = self.bot.to_string();
        let messages = self.messages(channel).await;
        messages
            .iter()
            .filter(|message| {
                message["author"]["id"] == bot && matches!(message["type"].as_u64(), Some(0 | 19))
            })
            .map(|message| message["content"].as_str().expect("content").to_owned())
            .collect()
    }

    /// A consumer of a stream, from its beginning.
    pub(crate) async fn consume(&self, stream: &'static str) -> Deliveries {
        let spec = ConsumerSpec {
            stream,
            durable: "test",
            filters: Vec::new(),
            start: Start::All,
            fresh: true,
            ack_wait: PATIENCE,
            in_flight_max: 10_000,
            deliver_max: None,
        };
        self.bus().consume(&spec).await.expect("a consumer")
    }

    pub(crate) async fn events(&self) -> Events {
        Events { deliveries: self.consume(stream::DISCORD_EVENTS.name).await }
    }

    pub(crate) fn place(&self, question: MessageId) -> Place {
        Place { guild_id: Some(self.guild), channel_id: self.channel, question, thread: None }
    }

    pub(crate) fn place_in_thread(&self, question: MessageId) -> Place {
        let thread = Some(ThreadPlan { name: "a thread".to_owned() });
        Place { thread, ..self.place(question) }
    }

    pub(crate) async fn command(&self, place: &Place, action: Action) -> CommandId {
        let id = CommandId {
            turn: TurnId::from(place.question),
            generation: 0,
            part: 0,
            purpose: action.purpose(),
        };
        self.send(Command { id, place: place.clone(), action }).await;
        id
    }

    pub(crate) async fn send(&self, command: Command) {
        let outgoing = Outgoing {
            subject: command.subject(),
            id: Some(command.id.to_string()),
            headers: Vec::new(),
            payload: envelope::encode(&command).into(),
        };
        self.bus().publish(&outgoing).await.expect("the command is stored");
    }

    /// Sends a command and waits for what became of it.
    pub(crate) async fn done(&self, place: &Place, action: Action) -> Outcome {
        let id = self.command(place, action).await;
        self.result(id).await
    }

    pub(crate) async fn result(&self, command: CommandId) -> Outcome {
        let mut results = self.consume(stream::DISCORD_RESULTS.name).await;
        let wait = async {
            loop {
                let delivery = results.next().await.expect("a result");
                let result: CommandResult =
                    envelope::decode(&delivery.payload).expect("a result that can be read");
                if result.command == command {
                    return result.outcome;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the command is answered in time")
    }

    pub(crate) async fn draft(&self, place: &Place, revision: u64, text: &str) {
        let turn = TurnId::from(place.question);
        let draft =
            Draft { turn, generation: 0, revision, place: place.clone(), text: text.to_owned() };
        let subject = contracts::subject::draft(turn);
        self.bus().publish_core(subject, envelope::encode(&draft)).await.expect("published");
    }

    /// The saved session of the only shard.
    pub(crate) async fn saved_sequence(&self) -> Option<u64> {
        let bucket = self.bus().bucket(stream::GATEWAY_SESSIONS.name).await.ok()?;
        let keys = bucket.keys("session.").await.ok()?;
        let entry = bucket.get(keys.first()?).await.ok()??;
        serde_json::from_slice::<Value>(&entry.value).ok()?["sequence"].as_u64()
    }

    /// The sequence of the last dispatch that Discord sent.
    pub(crate) async fn last_sequence(&self) -> u64 {
        self.ledger("dispatch").await.iter().filter_map(|d| d["s"].as_u64()).max().unwrap_or(0)
    }
}

impl Gateway {
    pub(crate) fn is_healthy(&self, check: &str) -> bool {
        self.outcome(check) == Some(chassis::Outcome::Ok)
    }

    pub(crate) fn outcome(&self, check: &str) -> Option<chassis::Outcome> {
        self.health.outcomes().into_iter().find(|(name, _)| name == check).map(|(_, o)| o)
    }

    /// Ends it as `kill -9` would: nothing more is sent or saved.
    pub(crate) fn kill(mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }

    /// Stops it as SIGTERM would, and waits until it has ended.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        let ended = self.ended().await;
        self.runtime.take().expect("it runs").shutdown_background();
        ended
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        ended.expect("it ends in time").expect("it does not panic")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the gateway published.
pub(crate) struct Events {
    deliveries: Deliveries,
}

pub(crate) struct Event {
    pub subject: String,
    pub meta: EventMeta,
    pub frame: Value,
}

impl Events {
    pub(crate) async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(PATIENCE, self.deliveries.next()).await;
        let delivery: Delivery = next.expect("an event in time").expect("a delivery");
        delivery.ack().await.expect("acknowledged");
        Event {
            subject: delivery.subject.clone(),
            meta: EventMeta::from_headers(|name| delivery.header(name)),
            frame: serde_json::from_slice(&delivery.payload).expect("a frame"),
        }
    }

    /// The next event of a type, passing over others.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.frame["t"] == kind {
                return event;
            }
        }
    }

    /// Everything published until the message with this content, that one included.
    pub(crate) async fn until(&mut self, content: &str) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let found =
                event.frame["d"]["content"].as_str().is_some_and(|text| text.contains(content));
            events.push(event);
            if found {
                return events;
            }
        }
    }
}

/// Polls until something is so.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Polls until there is something.
pub(crate) async fn appears<T: Debug>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never appeared: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The messages of an outcome that is done.
pub(crate) fn messages_of(outcome: &Outcome) -> Vec<MessageId> {
    match outcome {
        Outcome::Done { messages, .. } => messages.clone(),
        Outcome::Failed { .. } => panic!("not done: {outcome:?}"),
    }
}
