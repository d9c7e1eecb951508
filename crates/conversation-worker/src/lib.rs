//! Takes one turn at a time per conversation: history from SQLite, answer from a model, reply out.
//!
//! The crate owns the conversation database and everything between an event on the bus and the
//! commands and drafts that go back to it. It never speaks to Discord and knows none of its
//! limits; it never speaks to a model but through `llm`. Events are only read into the database;
//! from there the database alone drives turns, so that a crash at any point ends in the same one
//! answer.
#![forbid(unsafe_code)]

mod answer;
pub mod beginnings;
pub mod clock;
pub mod config;
pub mod conversation;
pub mod discord;
mod drafts;
pub mod engine;
pub mod eraser;
pub mod intake;
pub mod language;
pub mod migrate;
pub mod ollama;
pub mod outcomes;
pub mod persona;
pub mod prompt;
pub mod publisher;
pub mod speakers;
pub mod store;
pub mod texts;
pub mod thread_name;
pub mod turn;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Bus, BusConfig, Grounds, Standing};
use chassis::{Context, ExposeSecret as _, Faults, Outcome};
use contracts::access;
use llm::{Client, Provider};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use config::Config;
use discord::Shards;
use engine::{Engine, Parts};
use intake::Intake;
use ollama::Ollama;
use outcomes::Outcomes;
use persona::Personas;
use publisher::{Around, Publisher};
use store::Store;

/// Kept of the grace period for the last rows to be published and the database to be closed.
const CLOSING: Duration = Duration::from_secs(2);

/// Runs the service until `context.shutdown` is cancelled.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    context.health.headline("database", "connected", "disconnected");
    context.health.headline("discord", "connected", "disconnected");
    let client = client(&config)?;
    let store = Store::open(&config.database).await.map_err(|error| {
        let (english, japanese) = error.remedies();
        Faults::one("DATABASE_PATH", error.to_string(), (english, japanese))
    })?;
    let bus = Bus::connect(bus_config(&context)).await.context("read the settings of the bus")?;
    let shards = Shards::default();
    // Making them is not our right; we wait until they are there.
    let grounds = bus.grounds(&access::CONVERSATION_WORKER, context.shutdown.clone());
    checks(&context, &store, &grounds, &shards);
    let ollama = Ollama::new(&config.ollama_url).context("make a client for ollama")?;
    context.mount(ollama.router());

    let check = context.health.check("model");
    check.ok();
    let (ended, refused) = mpsc::unbounded_channel();
    let around = Around {
        erasing: Arc::default(),
        ended,
        finish: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let (publisher, publishing) = Publisher::new(store.clone(), bus.clone(), around.clone());
    let personas = Personas::new(config.personas.clone());
    let parts = Parts {
        config,
        store: store.clone(),
        bus: bus.clone(),
        client,
        publisher,
        personas,
        check,
    };
    let engine = Engine::new(parts);
    let tasks = TaskTracker::new();
    let publishing = tokio::spawn(publishing.run());
    let stopping = context.shutdown.clone();
    tasks.spawn(shards.listen(bus.clone(), stopping.clone()));
    let erasing = Arc::clone(&around.erasing);
    tasks.spawn(eraser::run(store.clone(), bus.clone(), erasing, stopping.clone()));
    if stopping.run_until_cancelled(grounds.wait_whole()).await.is_some() {
        let open = engine.resume().await.context("take up unfinished turns")?;
        tracing::info!(conversations = open, "unfinished turns are taken up");
        listen(&context, (&store, &bus, &engine), &around, &tasks);
        tasks.spawn(follow_refused(refused, engine.clone(), stopping.clone()));
    }
    stopping.cancelled().await;

    engine.drain(context.common.shutdown_grace.saturating_sub(CLOSING)).await;
    // What is left to publish is in the database; what can be published at once still is.
    around.finish.cancel();
    if tokio::time::timeout(CLOSING / 2, publishing).await.is_err() {
        tracing::info!("the rest of the outbox is left to the next start");
    }
    around.stop.cancel();
    tasks.close();
    tasks.wait().await;
    bus.drain().await;
    store.close().await;
    Ok(())
}

/// Starts the two loops that take in what comes from Discord.
fn listen(
    context: &Context,
    (store, bus, engine): (&Store, &Bus, &Engine),
    around: &Around,
    tasks: &TaskTracker,
) {
    let events = Intake {
        store: store.clone(),
        bus: bus.clone(),
        engine: engine.clone(),
        erasing: Arc::clone(&around.erasing),
        check: context.health.check("events"),
        stop: context.shutdown.clone(),
    };
    tasks.spawn(events.run());
    let outcomes = Outcomes {
        store: store.clone(),
        bus: bus.clone(),
        engine: engine.clone(),
        erasing: Arc::clone(&around.erasing),
        stop: around.stop.clone(),
    };
    tasks.spawn(outcomes.run());
}

/// Lets the lanes go on whose turn the bus itself has ended.
async fn follow_refused(
    mut refused: mpsc::UnboundedReceiver<i64>,
    engine: Engine,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            conversation = refused.recv() => match conversation {
                Some(conversation) => engine.wake(conversation),
                None => return,
            },
        }
    }
}

fn client(config: &Config) -> Result<Client, Faults> {
    let model = &config.model;
    let provider = Provider::openai(model.provider.clone(), model.base_url.clone())
        .with_api_key(model.api_key.clone());
    Client::new(provider).map_err(|error| {
        let key = match &error {
            llm::SetupError::ApiKey => "MODEL_API_KEY",
            _ => "MODEL_BASE_URL",
        };
        Faults::one(key, format!("does not work: {error}"), "correct the setting and start again")
    })
}

fn bus_config(context: &Context) -> BusConfig {
    let nats = &context.common.nats;
    BusConfig {
        url: nats.url.clone(),
        service: context.service.name.to_owned(),
        user: nats.user.clone(),
        password: nats.password.as_ref().map(|password| password.expose_secret().to_owned()),
        ca_file: nats.ca_file.clone(),
    }
}

fn checks(context: &Context, store: &Store, grounds: &Grounds, shards: &Shards) {
    let (trouble, rows) = (store.trouble(), store.clone());
    context.health.figure("database", "history_rows", move || rows.history_rows());
    context.health.computed("database", move || match &*trouble.borrow() {
        None => Outcome::Ok,
        Some(error) => Outcome::failing(error.to_string(), error.remedies()),
    });
    let (shards, heard) = (shards.clone(), grounds.clone());
    context.health.computed("discord", move || match heard.standing() {
        Standing::NotReached(_) => Outcome::failing(
            (
                "the gateway cannot be heard without NATS",
                "NATS がないため、ゲートウェイの様子が分かりません",
            ),
            ("start NATS first", "まず NATS を起動してください"),
        ),
        _ => shards.outcome(),
    });
    let grounds = grounds.clone();
    context.health.computed("bus", move || on_the_bus(&grounds.standing()));
}

fn on_the_bus(standing: &Standing) -> Outcome {
    standing
        .explanation()
        .map_or(Outcome::Ok, |explanation| Outcome::failing(explanation.reason, explanation.remedy))
}
