//! The measurements behind docs/performance.md; `cargo xtask bench` builds and runs them.
//!
//! Everything is measured from outside, on the release programs, with its baseline beside it in
//! the same run. What it knows of the services comes over the wire, from the simulator's records
//! and from the kernel.

mod chain;
mod feeder;
mod figures;
mod forwarding;
mod frames;
mod fsyncs;
mod history;
mod kernel;
mod limited;
mod listener;
mod machine;
mod pace;
mod paper;
mod stage;
mod starting;
mod turns;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;

use crate::figures::{Report, Section};
use crate::machine::Machine;

/// Measures the system and says how it stands against its aims.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Take about two minutes instead of about ten: fewer rounds, smaller loads.
    #[arg(long)]
    quick: bool,
    /// Measure only these parts: a, b, c, d, e (c comes with b).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write the report to this file; remarks that people wrote into it are kept.
    #[arg(long)]
    write: Option<PathBuf>,
    /// What cargo says to every program of this kind.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured, and how thoroughly.
#[derive(Debug)]
pub(crate) struct Scope {
    quick: bool,
    only: Vec<String>,
}

impl Scope {
    /// One of two sizes.
    pub(crate) fn sized<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// Says how far we are.
    #[expect(clippy::unused_self, reason = "whoever has the scope may speak")]
    pub(crate) fn say(&self, text: &str) {
        paper::aside(text);
    }

    fn wants(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == key)
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, url, count] = &words[..]
        && word == listener::WORD
    {
        let count = count.parse().context("a count of messages")?;
        return runtime.block_on(listener::become_listener(url.clone(), count));
    }
    let arguments = Arguments::parse();
    let report = runtime.block_on(measure(&arguments))?;
    if let Some(path) = &arguments.write {
        write(path, &report).with_context(|| format!("write {}", path.display()))?;
    }
    if arguments.json {
        paper::line(&serde_json::to_string_pretty(&report)?);
    } else {
        paper::line(&paper::table(&report));
    }
    Ok(())
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let scope = Scope { quick: arguments.quick, only: arguments.only.clone() };
    let machine = Machine::describe()?;
    let begun = Instant::now();
    let mut sections: Vec<Section> = Vec::new();
    if scope.wants("a") {
        sections.push(forwarding::measure(&scope).await.context("(a) forwarding")?);
    }
    if scope.wants("b") || scope.wants("c") {
        let (mut turns, memory) = turns::measure(&scope).await.context("(b) turns")?;
        if scope.wants("b") {
            limited::measure(&scope, &mut turns).await.context("(b) under limits")?;
            fsyncs::measure(&scope, &mut turns).await.context("(b) fsyncs")?;
        }
        sections.extend([turns, memory]);
    }
    if scope.wants("d") {
        sections.push(starting::measure(&scope).await.context("(d) start")?);
    }
    if scope.wants("e") {
        sections.push(history::measure(&scope).await.context("(e) history")?);
    }
    anyhow::ensure!(!sections.is_empty(), "there is nothing to measure: --only a,b,c,d,e");
    Ok(Report {
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string(),
        machine,
        quick: scope.quick,
        took_seconds: begun.elapsed().as_secs_f64(),
        sections,
    })
}

/// Writes the document; what stands under its last heading is people's own and stays.
fn write(path: &Path, report: &Report) -> anyhow::Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let remarks = old.split_once(paper::REMARKS).map_or("", |(_, remarks)| remarks);
    std::fs::write(path, paper::document(report, remarks))?;
    Ok(())
}
