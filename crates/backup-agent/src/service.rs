//! The agent's life: take up the record, follow the databases, run what is due; then stop cleanly.

use std::sync::Arc;

use anyhow::Context as _;
use bus::{Bus, BusConfig};
use chassis::{Context, ExposeSecret as _, Faults, Health, Outcome};
use contracts::access;
use jiff::Timestamp;
use objects::Envelope;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Place};
use crate::control::Socket;
use crate::heartbeats::Heartbeats;
use crate::offsite::{Queues, Source};
use crate::record::RecordFile;
use crate::runner::{Counter, Journal, Runner};
use crate::sheet::{KeyPair, Sheet};
use crate::work::Workshop;
use crate::{copies, follow, watch};

/// Runs the agent until it is told to stop.
pub async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let stop = context.shutdown.clone();
    let file = RecordFile::open(&config.repository, Timestamp::now())
        .map_err(|error| Faults::one("BACKUP_DIR", error.to_string(), "see docs/backup.md"))?;
    if let Some(aside) = &file.set_aside {
        tracing::warn!(file = %aside.display(), "the record of what ran was damaged; begun anew");
    }
    let journal = Journal::new(file);
    let bus = Bus::connect(bus_config(&context)).await.context("read the settings of the bus")?;
    let tasks = TaskTracker::new();
    let (heartbeats, carrier) = Heartbeats::new();

    let mut sheet = open_sheet(&config)?;
    confirm(&context.health, &config, &mut sheet);
    let followed = follow::begin(&config, &context.health).context("start the followers")?;
    let queues = Arc::new(send_elsewhere(&config, &sheet, (&tasks, &stop))?);
    let (handles, elsewhere) = (followed.handles(), Arc::clone(&queues));
    let workshop = Arc::new(Workshop::new(config.clone(), handles, journal.clone(), elsewhere));
    tasks.spawn(Arc::clone(&workshop).merge_minutes(stop.clone()));
    let (runner, counter) = Runner::new(
        config.schedule.clone(),
        journal.clone(),
        heartbeats,
        Arc::new(move |job, stop, say| workshop.work(job, stop, say)),
        config.limits.look_every,
    );
    watch::declare(&context.health, &config, &journal, queues.targets().len());
    queues.declare(&context.health);
    tasks.spawn(Queues::figures(queues.watched(), stop.clone()));
    on_the_bus(&context.health, &bus, &stop);
    tasks.spawn(watch::figures(config.clone(), journal, followed.handles(), stop.clone()));
    let carrying = tokio::spawn(carrier.run(bus.clone(), stop.clone()));
    listen(&context.health, &config, counter, &stop, &tasks).await;
    let running = tokio::spawn(runner.run(stop.clone()));
    tracing::info!(databases = config.databases.len(), "following");

    stop.cancelled().await;
    running.await.context("end the jobs")?;
    followed.stop().await;
    carrying.await.context("end the heartbeats")?;
    tasks.close();
    tasks.wait().await;
    bus.drain().await;
    Ok(())
}

/// Lets what is followed be sent to every target.
fn send_elsewhere(
    config: &Config,
    sheet: &Sheet,
    life: (&TaskTracker, &CancellationToken),
) -> Result<Queues, Faults> {
    let source = |place: &Place| Source {
        database: place.name.clone(),
        timelines: copies::timelines(&config.repository, place),
    };
    let sources: Vec<Source> = config.databases.iter().map(source).collect();
    let queues = Queues::start(&config.elsewhere, sheet.recipient(), &sources, &config.state, life);
    queues.map_err(|error| {
        let problem = (format!("cannot be used: {error}"), format!("を使えません: {error}"));
        let remedy = (
            "do what the message says, then start again",
            "上の内容に従って直してから、もう一度起動してください",
        );
        Faults::one("BACKUP_TARGETS", problem, remedy)
    })
}

/// The recovery sheet, which is made at the first start.
fn open_sheet(config: &Config) -> Result<Sheet, Faults> {
    let generate = || {
        let (recipient, identity) = Envelope::generate();
        KeyPair { identity, recipient }
    };
    Sheet::open(&config.state, &config.password, Timestamp::now(), generate).map_err(|error| {
        let japanese = format!("の復旧シートを用意できません: {error}");
        let problem = (format!("holds no recovery sheet: {error}"), japanese);
        let remedy = (
            "let this user write into that folder, then start again",
            "そのフォルダに書き込めるようにしてから、もう一度起動してください",
        );
        Faults::one("BACKUP_STATE_DIR", problem, remedy)
    })
}

/// Takes the sheet's code from the settings, for those who have no terminal. A wrong one is told
/// and keeps nothing from working.
fn confirm(health: &Health, config: &Config, sheet: &mut Sheet) {
    let Some(code) = config.sheet_code.as_ref().filter(|_| sheet.confirmed().is_none()) else {
        return;
    };
    if let Err(error) = sheet.confirm(code, Timestamp::now()) {
        health.check("sheet.code").degraded(
            (
                format!("BACKUP_SHEET_CODE is not taken: {error}"),
                format!("BACKUP_SHEET_CODE を確認できません: {error}"),
            ),
            (
                "read the code from the newest recovery sheet",
                "いちばん新しい復旧シートの確認コードを書いてください",
            ),
        );
    }
}

/// Opens the socket for commands. Without it everything still runs by the clock, so that it is no
/// reason not to start.
async fn listen(
    health: &Health,
    config: &Config,
    counter: Counter,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    let check = health.check("commands");
    match Socket::open(&config.socket).await {
        Ok(socket) => {
            check.ok();
            tasks.spawn(socket.serve(counter, stop.clone()));
        }
        Err(error) => check.degraded(
            (
                format!("commands cannot reach this agent: {error}"),
                format!("コマンドを受け付けられません: {error}"),
            ),
            ("correct BACKUP_SOCKET", "BACKUP_SOCKET を直してください"),
        ),
    }
}

/// Without the bus nobody hears heartbeats; backups go on.
fn on_the_bus(health: &Health, bus: &Bus, stop: &CancellationToken) {
    let grounds = bus.grounds(&access::BACKUP_AGENT, stop.clone());
    health.computed("bus", move || {
        let explained = grounds.standing().explanation();
        explained.map_or(Outcome::Ok, |why| Outcome::degraded(why.reason, why.remedy))
    });
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
