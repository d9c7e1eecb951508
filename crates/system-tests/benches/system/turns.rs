//! (b) What a turn costs beside the model's own time, and (c) the memory it takes.

use std::time::Duration;

use bytes::Bytes;

use crate::Scope;
use crate::chain::Chain;
use crate::figures::{Aim, Figure, Samples, Section, wide};
use crate::frames::{self, Author};
use crate::kernel::{Watch, resident_bytes};
use crate::pace::{LATE_MS, Pace, between_ms};
use crate::stage::{Stage, Times};

/// How long answers may stay away after the model's time is over.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the services may settle before their idle memory is read.
const SETTLE: Duration = Duration::from_secs(4);
const TURNS_PER_SECOND: f64 = 50.0;

/// One kind of load, and how often it is repeated.
struct Load {
    name: &'static str,
    model_ms: u64,
    pace: Pace,
    rounds: usize,
}

fn loads(scope: &Scope) -> Vec<Load> {
    let steady = |count| Pace { count, per_second: Some(TURNS_PER_SECOND) };
    vec![
        Load {
            name: "model 20 ms, 50/s",
            model_ms: 20,
            pace: steady(scope.sized(500, 250)),
            rounds: scope.sized(3, 1),
        },
        Load {
            name: "model 2 s, 50/s",
            model_ms: 2_000,
            pace: steady(scope.sized(600, 250)),
            rounds: scope.sized(2, 1),
        },
        Load {
            name: "model 20 s, 50/s",
            model_ms: 20_000,
            pace: steady(scope.sized(2_000, 500)),
            rounds: 1,
        },
        Load {
            name: "1,000 at once, model 2 s",
            model_ms: 2_000,
            pace: Pace { count: 1_000, per_second: None },
            rounds: scope.sized(2, 1),
        },
    ]
}

/// What all rounds of one load found, in milliseconds.
#[derive(Default)]
struct Found {
    overhead: Samples,
    chain: Samples,
    first_text: Samples,
    whole: Samples,
    late: Samples,
    sent: usize,
    incomplete: usize,
    in_flight_max: usize,
}

/// Measures turns and memory in one house.
pub(crate) async fn measure(scope: &Scope) -> anyhow::Result<(Section, Section)> {
    let mut turns = Section::new("b", "Turns: what is added to the model's own time");
    let mut memory = Section::new("c", "Memory");
    let mut stage = Stage::build(false, Vec::new()).await?;
    let durations: Vec<u64> = loads(scope).iter().map(|load| load.model_ms).collect();
    stage.script(&durations).await?;
    let payload = payload(&stage)?;
    let mut chain = Chain::open(&stage.house, payload).await?;
    stage.start().await?;
    tokio::time::sleep(SETTLE).await;
    let pids = pids(&stage);
    let idle = residents(&pids);
    let watch = Watch::start(pids.clone());
    for load in loads(scope) {
        scope.say(&format!("(b) turns, {}", load.name));
        let mut found = Found::default();
        for _ in 0..load.rounds {
            let baseline = Pace { count: load.pace.count.min(500), ..load.pace };
            let baseline = if load.pace.per_second.is_none() { load.pace } else { baseline };
            let chained = chain.round(baseline).await?;
            found.chain.extend(&chained.overhead);
            found.late.extend(&chained.late);
            let round = stage.round(load.pace, load.model_ms, PATIENCE).await?;
            found.take(&round.times);
            found.late.extend(&round.late);
            found.sent += load.pace.count;
            found.incomplete += round.incomplete;
        }
        report(&mut turns, &load, &found);
    }
    let peaks = watch.stop();
    tokio::time::sleep(SETTLE).await;
    weigh(&mut memory, &idle, &peaks, &residents(&pids));
    describe(&mut turns);
    stage.house.worker.stop().await?;
    stage.house.gateway.stop().await?;
    Ok((turns, memory))
}

impl Found {
    fn take(&mut self, times: &[Times]) {
        for one in times {
            self.overhead.push(between_ms(one.sent, one.asked));
            self.first_text.push(between_ms(one.first_token, one.first_text));
            self.whole.push(between_ms(one.last_token, one.whole));
        }
        let mut changes: Vec<(u64, bool)> =
            times.iter().flat_map(|one| [(one.asked, true), (one.last_token, false)]).collect();
        changes.sort_unstable();
        let mut in_flight: usize = 0;
        for (_, begins) in changes {
            in_flight = if begins { in_flight + 1 } else { in_flight.saturating_sub(1) };
            self.in_flight_max = self.in_flight_max.max(in_flight);
        }
    }
}

fn report(section: &mut Section, load: &Load, found: &Found) {
    let name = load.name;
    for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
        section.add(
            Figure::new(
                format!("{name}: message sent → model asked, {word}"),
                found.overhead.quantile(share),
                "ms",
            )
            .against(found.chain.quantile(share))
            .aim(Aim::RatioAtMost(2.0)),
        );
    }
    let first = |share| found.first_text.quantile(share);
    section.add(Figure::new(format!("{name}: first token → first text, p50"), first(0.5), "ms"));
    section.add(
        Figure::new(format!("{name}: first token → first text, p99"), first(0.99), "ms")
            .aim(Aim::AtMost(5.0)),
    );
    for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
        let value = found.whole.quantile(share);
        section.add(Figure::new(format!("{name}: last token → final edit, {word}"), value, "ms"));
    }
    let late = found.late.p99();
    let verdict = if late > LATE_MS { "FELL BEHIND" } else { "kept its times" };
    section.remark(format!(
        "{name}: {} questions, {} not answered whole in time, at most {} model calls in flight; the \
         generator {verdict} (late by {late:.2} ms at p99, {:.2} ms at most).",
        found.sent,
        found.incomplete,
        found.in_flight_max,
        found.late.max(),
    ));
}

fn describe(section: &mut Section) {
    section.remark(
        "Mentions by 50 people in 100 channels, each of which opens its own thread, in an open \
         loop with intended times; the limits of Discord are off on both sides. Times from the \
         simulator's records in microseconds: the dispatch of the question, the model's request, \
         its first and last token, the POST of the reply and the write after which it is whole. \
         The answer has 20 chunks. First text is late by design where Discord's own pace would \
         demand it; here nothing does.",
    );
    section.remark(
        "Baseline in alternating rounds at the same pace: a JetStream publish with a message id \
         (file, sync_interval always), its delivery to another connection, and one SQLite commit \
         (WAL, synchronous FULL) of what has arrived. It does nothing else, and asks no model over \
         HTTP.",
    );
}

/// A dispatch as the chain's payload.
fn payload(stage: &Stage) -> anyhow::Result<Bytes> {
    let author = Author { person: stage.people[0], channels: stage.channels.clone() };
    let mut data = frames::messages(stage.house.simulator(), &author, 1, true)?;
    Ok(Bytes::from(data.remove(0)))
}

fn pids(stage: &Stage) -> Vec<u32> {
    let house = &stage.house;
    [house.gateway.id(), house.worker.id(), house.nats.pid()].into_iter().flatten().collect()
}

fn residents(pids: &[u32]) -> Vec<u64> {
    pids.iter().map(|pid| resident_bytes(*pid).unwrap_or_default()).collect()
}

fn weigh(section: &mut Section, idle: &[u64], peaks: &[u64], after: &[u64]) {
    let mib = |bytes: u64| wide(bytes) / (1024.0 * 1024.0);
    let both = |values: &[u64]| mib(values.iter().take(2).sum());
    for (index, name) in ["gateway", "conversation-worker", "nats-server"].into_iter().enumerate() {
        for (when, values) in [("idle", idle), ("at most under load", peaks), ("after it", after)] {
            let bytes = values.get(index).copied().unwrap_or_default();
            section.add(Figure::new(format!("{name}, {when}"), mib(bytes), "MiB"));
        }
    }
    section.add(
        Figure::new("gateway and worker together, idle", both(idle), "MiB").aim(Aim::AtMost(40.0)),
    );
    section.add(
        Figure::new(
            "gateway and worker together, under load (sum of both maxima)",
            both(peaks),
            "MiB",
        )
        .aim(Aim::AtMost(100.0)),
    );
    section.remark(
        "Resident memory (VmRSS), read every 200 ms during all loads of (b), up to 1,000 turns in \
         flight; idle = 4 s after both were ready.",
    );
}
