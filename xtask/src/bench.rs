//! `cargo xtask bench`: builds the release programs and measures them, everything side by side.

use std::process::Command;

use anyhow::{Context, Result};

use crate::external;
use crate::nats;
use crate::say;
use crate::suite;
use crate::surroundings;

/// Where `--write` puts the report.
const DOCUMENT: &str = "docs/performance.md";
/// The folder below the target folder in which streams and databases are written: on the same
/// disk as everything else, as the system's folder for temporary files may stand in memory, where
/// an fsync costs nothing.
const SCRATCH: &str = "bench";

/// Measure the release programs: forwarding, turns, memory, start, history.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Take about two minutes instead of about ten.
    #[arg(long)]
    quick: bool,
    /// Measure only these parts: a forwarding, b turns, c memory, d start, e history.
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<String>,
    /// Write the report to docs/performance.md; its remarks are kept.
    #[arg(long)]
    write: bool,
}

/// Builds, then measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let workspace = surroundings::workspace()?;
    let target = suite::target_folder(&workspace)?;
    let server = nats::provide()?;
    say::aside("building the release programs; the first time takes some minutes");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--bins", "--package", "gateway"]);
    build.args(["--package", "conversation-worker"]);
    external::show(build.current_dir(&workspace))?;
    let scratch = target.join(SCRATCH);
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("make a folder to measure in: {}", scratch.display()))?;
    let mut bench = Command::new("cargo");
    bench
        .current_dir(&workspace)
        .args(["bench", "--package", "system-tests", "--bench", "system", "--"])
        .env("KOTONOHA_BIN_DIR", target.join("release"))
        .env(nats::VARIABLE, &server.path)
        .env("TMPDIR", &scratch);
    for (flag, given) in [("--json", arguments.json), ("--quick", arguments.quick)] {
        if given {
            bench.arg(flag);
        }
    }
    for part in &arguments.only {
        bench.args(["--only", part]);
    }
    if arguments.write {
        bench.arg("--write").arg(workspace.join(DOCUMENT));
    }
    external::show(&mut bench)
}
