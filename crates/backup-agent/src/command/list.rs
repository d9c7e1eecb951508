//! `list`: every copy there is, why it is kept, and what retention would let go.

use chassis::{Answer, Command, Reader};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Refusal, answer, config};
use crate::archive::Archive;
use crate::config::{Config, Place};
use crate::copies;
use crate::job::Job;
use crate::record::RecordFile;
use crate::runner::Done;

/// `backup-agent list`.
pub(super) const COMMAND: Command = Command {
    name: "list",
    usage: "list [--json]             every copy, why it is kept, and what would go next",
    run,
};

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    answer(words, &[], |words| {
        words.no_more().map_err(Refusal::usage)?;
        let config = config(reader)?;
        let (mut lines, now) = (Vec::new(), Timestamp::now());
        let jobs = jobs(&config, now, &mut lines)?;
        let mut databases = Vec::new();
        for database in &config.databases {
            databases.push(history(&config, database, now, &mut lines)?);
        }
        let snapshots = snapshots(&config, now, &mut lines)?;
        let report = json!({ "jobs": jobs, "databases": databases, "snapshots": snapshots });
        Ok(Done { lines, report })
    })
}

fn jobs(config: &Config, now: Timestamp, lines: &mut Vec<String>) -> Result<Value, Refusal> {
    let record = RecordFile::look(&config.repository, now).map_err(Refusal::failed)?;
    let zone = &config.schedule.zone;
    let shown = |time: Timestamp| copies::shown(time.as_millisecond(), zone);
    let mut report = serde_json::Map::new();
    lines.push("jobs:".to_owned());
    for job in Job::ALL {
        let standing = record.of(job);
        let next = config.schedule.next(job, &record, now);
        let last = standing.succeeded.map_or_else(|| "never yet".to_owned(), shown);
        let next_shown = next.map_or_else(|| "only when asked".to_owned(), shown);
        lines.push(format!("  {job:<13} last {last}, next {next_shown}"));
        if let Some(failure) = &standing.failure {
            lines.push(format!("    failed {}: {}", shown(failure.at), failure.error));
        }
        report.insert(job.word().to_owned(), json!({ "standing": standing, "next": next }));
    }
    Ok(report.into())
}

fn history(
    config: &Config,
    database: &Place,
    now: Timestamp,
    lines: &mut Vec<String>,
) -> Result<Value, Refusal> {
    let zone = &config.schedule.zone;
    let mut timelines = Vec::new();
    lines.push(format!("history of {}:", database.name));
    for timeline in
        copies::timelines(&config.repository, database).list().map_err(Refusal::failed)?
    {
        let rules = config.keep.history();
        let verdicts =
            timeline.tree.judge(&rules, now.as_millisecond()).map_err(Refusal::failed)?;
        let newest = verdicts.iter().map(|verdict| verdict.entry.max_txid).max();
        lines.push(format!(
            "  timeline {}: {} files, newest transaction {}",
            timeline.number,
            verdicts.len(),
            newest.map_or_else(|| "none".to_owned(), |txid| txid.to_string())
        ));
        let mut files = Vec::new();
        for verdict in &verdicts {
            let entry = &verdict.entry;
            // Single changes by the thousand tell nobody anything; fulls and merged ones do.
            if entry.level > 0 || !verdict.reason.stays() {
                let (stays, time) = (verdict.reason.stays(), copies::shown(entry.time_ms, zone));
                lines.push(format!(
                    "    {time}  level {}  to transaction {:<8} {:>12} bytes  {}: {}",
                    entry.level,
                    entry.max_txid,
                    entry.bytes,
                    if stays { "stays" } else { "goes" },
                    verdict.reason.name().replace('_', " ")
                ));
            }
            files.push(json!({
                "level": entry.level, "min_txid": entry.min_txid, "max_txid": entry.max_txid,
                "time_ms": entry.time_ms, "bytes": entry.bytes,
                "stays": verdict.reason.stays(), "reason": verdict.reason.name(),
            }));
        }
        timelines.push(json!({
            "number": timeline.number, "began": timeline.tree.manifest().began,
            "newest_txid": newest, "files": files,
        }));
    }
    Ok(json!({ "name": database.name, "timelines": timelines }))
}

fn snapshots(config: &Config, now: Timestamp, lines: &mut Vec<String>) -> Result<Value, Refusal> {
    let archive = match Archive::open(&config.repository, &config.password, false) {
        Ok(archive) => archive,
        Err(snapshots::Error::Missing { .. }) => {
            lines.push("no snapshots yet: the first full copy makes them".to_owned());
            return Ok(json!([]));
        }
        Err(error) => return Err(Refusal::failed(error)),
    };
    let zone = &config.schedule.zone;
    let planned = archive.let_go(&config.keep, now, zone, true).map_err(Refusal::failed)?;
    let mut report = Vec::new();
    for one in planned {
        lines.push(format!("snapshots in {}:", one.name));
        for (snapshot, decision) in &one.forgotten.decisions {
            let (id, name) = (&snapshot.id[..8], &snapshot.name);
            let time = copies::shown(snapshot.time.as_millisecond(), zone);
            lines.push(format!("    {id}  {time}  {name:<20} {decision}"));
            report.push(json!({
                "repository": one.name, "snapshot": snapshot, "decision": decision,
            }));
        }
    }
    Ok(report.into())
}
