//! How many fsyncs follow one another before the model is asked, counted by strace.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::Scope;
use crate::figures::{Aim, Figure, Samples, Section, as_f64};
use crate::pace::Pace;
use crate::stage::Stage;

const TURNS: usize = 15;
const MODEL_MS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(20);
/// Far enough apart that turns never meet, and not in step with what happens every second.
const PER_SECOND: f64 = 1.7;

/// What somebody waits for: the messages of streams. Where a consumer stands is written beside
/// them, ten times a second at most, and nobody waits for it.
const WAITED_FOR: &str = "/msgs/";
/// The stream that a question passes.
const EVENTS: &str = "/DISCORD_EVENTS/msgs/";

/// One fsync: when it began, in microseconds since the Unix epoch, on which thread, of which file.
#[derive(Debug, Clone)]
struct Sync {
    at_us: u64,
    thread: u32,
    file: String,
}

/// Counts them in turns that nothing else disturbs.
pub(crate) async fn measure(scope: &Scope, section: &mut Section) -> anyhow::Result<()> {
    scope.say("(b) fsyncs of one turn");
    let mut stage = Stage::build(false, Vec::new()).await?;
    stage.script(&[MODEL_MS]).await?;
    stage.start().await?;
    // Connections are made and pages allocated before anything is counted.
    stage.round(Pace { count: 5, per_second: Some(5.0) }, MODEL_MS, PATIENCE).await?;
    let worker = stage.house.worker.id().context("the worker runs")?;
    let nats = stage.house.nats.pid().context("nats-server runs")?;
    let trace = stage.house.folder().join("fsyncs.txt");
    let Ok(mut tracer) = spawn(&trace, [worker, nats]) else {
        section.remark("fsyncs were not counted: strace is not installed here.");
        return Ok(());
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    if tracer.try_wait()?.is_some() {
        section.remark("fsyncs were not counted: strace may not attach to processes here.");
        return Ok(());
    }
    let threads = [threads(worker)?, threads(nats)?];
    let pace = Pace { count: TURNS, per_second: Some(PER_SECOND) };
    let round = stage.round(pace, MODEL_MS, PATIENCE).await?;
    let pid = tracer.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("strace runs")?, Signal::INT).context("stop strace")?;
    tracer.wait().await?;
    let threads = [merged(&threads[0], worker), merged(&threads[1], nats)];
    let syncs = parse(&std::fs::read_to_string(&trace).context("read the trace")?);
    let count = |from: u64, to: u64, (of, file): (&[u32], &str)| {
        let within = |sync: &&Sync| {
            (from..to).contains(&sync.at_us)
                && of.contains(&sync.thread)
                && sync.file.contains(file)
        };
        as_f64(syncs.iter().filter(within).count())
    };
    let mut before = [Samples::default(), Samples::default(), Samples::default()];
    let mut text = Samples::default();
    for times in &round.times {
        let worker = count(times.sent, times.asked, (&threads[0], ""));
        let nats = count(times.sent, times.asked, (&threads[1], EVENTS));
        before[0].push(worker);
        before[1].push(nats);
        before[2].push(worker + nats);
        let (from, to) = (times.first_token, times.first_text);
        text.push(count(from, to, (&threads[0], "")) + count(from, to, (&threads[1], WAITED_FOR)));
    }
    report(section, &before, &text);
    stage.house.worker.stop().await?;
    stage.house.gateway.stop().await?;
    Ok(())
}

fn report(section: &mut Section, [worker, nats, all]: &[Samples; 3], text: &Samples) {
    section.add(
        Figure::new("fsyncs in series, message sent → model asked, median", all.median(), "")
            .aim(Aim::AtMost(2.0)),
    );
    section.add(Figure::new("… of the worker's database", worker.median(), ""));
    section.add(Figure::new("… of nats-server", nats.median(), ""));
    section.add(Figure::new(
        "fsyncs from the first token to the first text, median",
        text.median(),
        "",
    ));
    section.remark(format!(
        "fsyncs counted by `strace -f -e fsync,fdatasync` on the worker and nats-server in {} turns \
         one by one ({} to {} in a turn): those of the stream of events and of the worker's database. \
         What is written beside them and waited for by nobody does not count: where a consumer \
         stands, the command that opens the thread while the model is asked, the gateway's \
         checkpoint. From the first token to the first text all are counted, in series \
         or not.",
        all.len(),
        all.quantile(0.0),
        all.max(),
    ));
}

fn spawn(trace: &Path, pids: [u32; 2]) -> std::io::Result<tokio::process::Child> {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-ttt", "-e", "trace=fsync,fdatasync", "-o"]).arg(trace);
    for pid in pids {
        command.args(["-p", &pid.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn()
}

fn threads(pid: u32) -> anyhow::Result<Vec<u32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).context("list threads")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The threads seen before, and those that came while we looked.
fn merged(before: &[u32], pid: u32) -> Vec<u32> {
    let mut all = before.to_vec();
    all.extend(threads(pid).unwrap_or_default());
    all
}

/// Reads lines such as `1234 1700000000.123456 fdatasync(9</a/file>) = 0`; the second half of a call that
/// was cut in two (`<... fsync resumed>`) is no call of its own.
fn parse(trace: &str) -> Vec<Sync> {
    trace
        .lines()
        .filter_map(|line| {
            let mut parts = line.split_whitespace();
            let thread = parts.next()?.parse().ok()?;
            let (seconds, micros) = parts.next()?.split_once('.')?;
            let call = parts.next()?;
            let begins = call.starts_with("fsync(") || call.starts_with("fdatasync(");
            let at_us = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
            let file = line.split_once('<').map_or("", |(_, rest)| rest).to_owned();
            begins.then_some(Sync { at_us, thread, file })
        })
        .collect()
}
