//! `plan`: what a restore would read, before anything is touched.

use chassis::{Answer, Command, Reader};
use replica::tree::{At, Plan};
use serde_json::{Value, json};

use super::words::Words;
use super::{Refusal, answer, config};
use crate::config::{Config, Place};
use crate::copies;
use crate::runner::Done;

/// `backup-agent plan`.
pub(super) const COMMAND: Command = Command {
    name: "plan",
    usage: "plan [--at WHEN] [--database NAME]   what a restore would read; WHEN is latest (the\n\
            \u{20}                          default), a time, or txid:NUMBER",
    run,
};

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    answer(words, &["--at=", "--database="], |words| {
        words.no_more().map_err(Refusal::usage)?;
        let config = config(reader)?;
        let wished = Wished::read(&config, words)?;
        Ok(Done { lines: wished.lines(&config), report: wished.report() })
    })
}

/// A point of a database's history, and the files that bring it back.
pub(super) struct Wished<'a> {
    pub(super) database: &'a Place,
    pub(super) plan: Plan,
}

impl<'a> Wished<'a> {
    /// Finds what `--at` and `--database` mean.
    pub(super) fn read(config: &'a Config, words: &Words) -> Result<Self, Refusal> {
        let database =
            copies::database(config, words.value("--database=")).map_err(Refusal::usage)?;
        let at = match words.value("--at=") {
            None => At::Latest,
            Some(text) => copies::point(text, &config.schedule.zone).map_err(Refusal::usage)?,
        };
        let timelines = copies::timelines(&config.repository, database);
        let plan = timelines.plan(at).map_err(Refusal::failed)?;
        Ok(Self { database, plan })
    }

    /// The plan in lines for people.
    pub(super) fn lines(&self, config: &Config) -> Vec<String> {
        let plan = &self.plan;
        let point = copies::shown(plan.time_ms, &config.schedule.zone);
        let mut lines = vec![
            format!("{}: transaction {}, as it was seen at {point}", self.database.name, plan.txid),
            format!(
                "{} files, {} bytes, from {}",
                plan.entries.len(),
                plan.bytes(),
                plan.root.display()
            ),
        ];
        lines.extend(plan.entries.iter().map(|entry| {
            let kind = if entry.is_full() { "full" } else { "changes" };
            format!(
                "  {kind:<8} {:>12} bytes  transactions {} to {}",
                entry.bytes, entry.min_txid, entry.max_txid
            )
        }));
        lines
    }

    /// The plan for programs.
    pub(super) fn report(&self) -> Value {
        let plan = &self.plan;
        let files: Vec<Value> = plan
            .files()
            .map(|(entry, path)| {
                json!({
                    "path": path, "level": entry.level, "min_txid": entry.min_txid,
                    "max_txid": entry.max_txid, "time_ms": entry.time_ms, "bytes": entry.bytes,
                })
            })
            .collect();
        json!({
            "database": self.database.name, "txid": plan.txid, "time_ms": plan.time_ms,
            "bytes": plan.bytes(), "root": plan.root, "files": files,
        })
    }
}
