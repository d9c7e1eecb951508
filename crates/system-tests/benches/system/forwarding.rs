//! (a) How fast dispatches go from the websocket into JetStream, and what each costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use contracts::stream::DISCORD_EVENTS;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use simulator::world::entity::channel_type;
use simulator::world::id::Id;
use system_tests::{House, Options};
use twilight_gateway::EventTypeFlags;

use crate::Scope;
use crate::chain::connect;
use crate::feeder::{Feeder, Login};
use crate::figures::{Aim, Figure, Samples, Section, as_f64, wide};
use crate::frames::{self, Author};
use crate::kernel::{cpu_seconds, thread_cpu_seconds};
use crate::listener;

const CHANNELS: usize = 1_000;
/// Publishes under way at once; the gateway's own limit.
const WINDOW: usize = 256;
/// Frames on their way between feeder and stream, well below what the gateway holds for the bus.
const FED_AHEAD: u64 = 8_000;
const STAND_STILL: Duration = Duration::from_secs(20);

/// What the rounds of one storage found.
#[derive(Default)]
struct Rounds {
    bare_per_second: Samples,
    gateway_per_second: Samples,
    bare_cpu_us: Samples,
    gateway_cpu_us: Samples,
}

/// Measures both storages and the costs.
pub(crate) async fn measure(scope: &Scope) -> anyhow::Result<Section> {
    let mut section = Section::new("a", "Gateway: from the websocket into JetStream");
    let mut costs = Costs::default();
    for (storage, name) in [
        (stream::StorageType::File, "file, sync_interval always"),
        (stream::StorageType::Memory, "memory"),
    ] {
        scope.say(&format!("(a) forwarding, {name}"));
        let count = match storage {
            stream::StorageType::File => scope.sized(10_000, 4_000),
            stream::StorageType::Memory => scope.sized(30_000, 10_000),
        };
        let mut stage = Stage::build(storage).await?;
        let rounds = stage.rounds(scope.sized(3, 2), count).await?;
        let measured = rounds.gateway_per_second.median();
        section.add(
            Figure::new(format!("dispatches forwarded, {name}"), measured, "/s")
                .against(rounds.bare_per_second.median())
                .aim(Aim::RatioAtLeast(0.8)),
        );
        if storage == stream::StorageType::Memory {
            costs.forwarded_us = rounds.gateway_cpu_us.median();
            costs.published_us = rounds.bare_cpu_us.median();
            stage.costs(&mut costs, count).await?;
        }
        stage.house.gateway.stop().await?;
    }
    report(&mut section, &costs);
    Ok(section)
}

/// Processor time for one dispatch, in microseconds.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "the unit stands last in every name")]
struct Costs {
    forwarded_us: f64,
    published_us: f64,
    passed_over_us: f64,
    parsed_us: f64,
    listened_us: f64,
}

fn report(section: &mut Section, costs: &Costs) {
    for (name, cost_us) in
        [("forwarded", costs.forwarded_us), ("passed over", costs.passed_over_us)]
    {
        section.add(
            Figure::new(
                format!("processor time, dispatch {name}, to a twilight parse"),
                cost_us,
                "µs",
            )
            .against(costs.parsed_us)
            .aim(Aim::RatioAtMost(0.35)),
        );
        section.add(
            Figure::new(
                format!("processor time, dispatch {name}, to receiving and parsing"),
                cost_us,
                "µs",
            )
            .against(costs.listened_us),
        );
    }
    section.add(
        Figure::new(
            "processor time, dispatch forwarded, to the bare publisher",
            costs.forwarded_us,
            "µs",
        )
        .against(costs.published_us),
    );
    let receiving_us = costs.listened_us - costs.parsed_us;
    section.add(
        Figure::new(
            "processor time, dispatch passed over, receiving left out, to a twilight parse",
            costs.passed_over_us - receiving_us,
            "µs",
        )
        .against(costs.parsed_us)
        .aim(Aim::RatioAtMost(0.35)),
    );
    section.remark(format!(
        "Frames of 1.5 KB, as the simulator makes them, compressed by zstd beforehand and sent as \
         fast as the gateway takes them, over {CHANNELS} channels; a frame counts when the stream \
         holds it. The baseline publishes the same payloads under the same subjects with message \
         ids and {WINDOW} in flight. Rounds alternate; medians."
    ));
    section.remark(
        "Processor time of the whole gateway process (utime + stime: socket, decompression, \
         reading, publishing, acknowledgements). Its baselines: a full twilight parse of the same \
         text in memory and nothing else; and a program that holds a twilight shard, receives \
         the same frames and parses each fully, which is what a gateway without raw forwarding \
         would have to do before it could publish anything. Receiving is that program's time \
         less the parse: it is left out of one line, which then compares reading with parsing."
            .to_owned(),
    );
}

/// A house with the gateway at the feeder, and a connection to the broker.
struct Stage {
    house: House,
    feeder: Feeder,
    login: Login,
    author: Author,
    jetstream: jetstream::Context,
    published: usize,
}

impl Stage {
    async fn build(storage: stream::StorageType) -> anyhow::Result<Self> {
        let mut house = House::build(Options::default()).await?;
        let guild: Id = house.guild.parse()?;
        let person: Id = house.person.parse()?;
        let state = house.simulator();
        let channels = state.with(|core| {
            (0..CHANNELS)
                .map(|n| core.world.create_channel(guild, &format!("c{n}"), channel_type::TEXT))
                .collect()
        });
        let author = Author { person, channels };
        let login = Login {
            bot: house.discord.bot_id.clone(),
            guild: house.guild.clone(),
            guild_data: frames::guild(state, guild)?,
        };
        let feeder = Feeder::start(login.clone()).await?;
        let jetstream = jetstream::new(connect(&house).await?);
        declare(&jetstream, storage).await?;
        house.gateway.set("DISCORD_GATEWAY_URL", feeder.url());
        house.gateway.start().await?;
        Ok(Self { house, feeder, login, author, jetstream, published: 0 })
    }

    async fn rounds(&mut self, rounds: usize, count: usize) -> anyhow::Result<Rounds> {
        let mut found = Rounds::default();
        for _ in 0..rounds {
            let data = frames::messages(self.house.simulator(), &self.author, count, true)?;
            let (per_second, cpu_us) = self.bare(&data).await?;
            found.bare_per_second.push(per_second);
            found.bare_cpu_us.push(cpu_us);
            let (per_second, cpu_us) = self.gateway(data, count).await?;
            found.gateway_per_second.push(per_second);
            found.gateway_cpu_us.push(cpu_us);
        }
        Ok(found)
    }

    /// Publishes with nothing but the client: messages a second and processor time of each.
    async fn bare(&mut self, data: &[String]) -> anyhow::Result<(f64, f64)> {
        self.empty().await?;
        let payloads: Vec<Bytes> = data
            .iter()
            .map(|data| format!(r#"{{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{data}}}"#).into())
            .collect();
        let pid = std::process::id();
        let (cpu, begun) = (cpu_seconds(pid)?, Instant::now());
        let mut under_way = FuturesUnordered::new();
        for (index, payload) in payloads.into_iter().enumerate() {
            if under_way.len() >= WINDOW {
                let acknowledged: Option<Result<_, _>> = under_way.next().await;
                acknowledged.context("an acknowledgement")??;
            }
            self.published += 1;
            let channel = self.author.channels[index % CHANNELS];
            let subject = format!("discord.event.MESSAGE_CREATE.{}.{channel}", self.house.guild);
            let message = jetstream::message::PublishMessage::build()
                .message_id(format!("bare:{}", self.published))
                .payload(payload);
            under_way.push(self.jetstream.send_publish(subject, message).await?.into_future());
        }
        while let Some(acknowledged) = under_way.next().await {
            acknowledged?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_us = (cpu_seconds(pid)? - cpu) * 1e6 / as_f64(data.len());
        Ok((as_f64(data.len()) / seconds, cpu_us))
    }

    /// Lets the gateway forward: dispatches a second and processor time of each. `expected` of
    /// them must arrive.
    async fn gateway(&self, data: Vec<String>, expected: usize) -> anyhow::Result<(f64, f64)> {
        self.empty().await?;
        let count = data.len();
        let settled = Arc::new(AtomicU64::new(0));
        let dispatches = data.into_iter().map(|data| ("MESSAGE_CREATE", data)).collect();
        // What is passed over never settles: it is fed without a window.
        let ahead = if expected == count { FED_AHEAD } else { u64::MAX };
        let prepared = self.feeder.prepare(dispatches, (ahead, Arc::clone(&settled))).await?;
        let pid = self.house.gateway.id().context("the gateway runs")?;
        let cpu = cpu_seconds(pid)?;
        let sending = tokio::spawn(prepared.go());
        let mut stream = self.jetstream.get_stream(DISCORD_EVENTS.name).await?;
        let (mut moved, mut seen) = (Instant::now(), 0);
        let last_us = loop {
            let state = &stream.info().await?.state;
            settled.store(state.messages, Ordering::Relaxed);
            if state.messages >= u64::try_from(expected)? {
                break u64::try_from(state.last_timestamp.unix_timestamp_nanos() / 1000)?;
            }
            if state.messages > seen {
                (moved, seen) = (Instant::now(), state.messages);
            }
            anyhow::ensure!(
                moved.elapsed() < STAND_STILL,
                "{seen} of {expected} dispatches forwarded, then nothing more:\n{}",
                self.house.gateway.log()?
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (first_us, _) = sending.await??;
        let cpu_us = (cpu_seconds(pid)? - cpu) * 1e6 / as_f64(count);
        Ok((as_f64(count) * 1e6 / wide(last_us.saturating_sub(first_us)), cpu_us))
    }

    /// What a dispatch costs: passed over by the gateway, parsed, received and parsed.
    async fn costs(&mut self, costs: &mut Costs, count: usize) -> anyhow::Result<()> {
        let (mut passed_over, mut parsed, mut listened) =
            (Samples::default(), Samples::default(), Samples::default());
        for _ in 0..3 {
            let state = self.house.simulator();
            let mut data = frames::messages(state, &self.author, count, false)?;
            listened.push(listener::cpu_us(&self.login, &data).await?);
            parsed.push(parse_us(data.clone()).await?);
            // The mark by which the end is known.
            data.extend(frames::messages(state, &self.author, 1, true)?);
            passed_over.push(self.gateway(data, 1).await?.1);
        }
        costs.passed_over_us = passed_over.median();
        costs.parsed_us = parsed.median();
        costs.listened_us = listened.median();
        Ok(())
    }

    async fn empty(&self) -> anyhow::Result<()> {
        self.jetstream.get_stream(DISCORD_EVENTS.name).await?.purge().await?;
        Ok(())
    }
}

/// Makes the events' stream anew, with a storage of our choice, before the gateway looks for it.
async fn declare(
    jetstream: &jetstream::Context,
    storage: stream::StorageType,
) -> anyhow::Result<()> {
    let spec = DISCORD_EVENTS;
    let config = stream::Config {
        name: spec.name.to_owned(),
        description: Some(spec.description.to_owned()),
        subjects: spec.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        storage,
        max_age: Duration::from_secs(spec.age_seconds_max),
        max_bytes: i64::try_from(spec.bytes_max)?,
        max_message_size: i32::try_from(spec.message_bytes_max)?,
        discard: stream::DiscardPolicy::New,
        duplicate_window: Duration::from_secs(spec.duplicate_window_seconds),
        allow_direct: true,
        ..stream::Config::default()
    };
    jetstream.delete_stream(spec.name).await.context("delete the events' stream")?;
    jetstream.create_stream(config).await.context("declare the events' stream")?;
    Ok(())
}

/// Processor time of a full twilight parse of each frame, in microseconds.
async fn parse_us(data: Vec<String>) -> anyhow::Result<f64> {
    let parse = move || {
        let count = data.len();
        let frames: Vec<String> = data
            .into_iter()
            .map(|data| format!(r#"{{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{data}}}"#))
            .collect();
        let begun = thread_cpu_seconds();
        for frame in frames {
            let event = twilight_gateway::parse(frame, EventTypeFlags::all())?;
            anyhow::ensure!(std::hint::black_box(event).is_some(), "twilight knows the event");
        }
        Ok((thread_cpu_seconds() - begun) * 1e6 / as_f64(count))
    };
    tokio::task::spawn_blocking(parse).await?
}
