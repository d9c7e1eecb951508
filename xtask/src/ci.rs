//! `cargo xtask ci`: every check there is, the cheap ones first.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::containers;
use crate::demo;
use crate::deny;
use crate::external;
use crate::fault;
use crate::fault::AlreadySaid;
use crate::say;
use crate::suite;
use crate::surroundings;
use crate::tidy;
use crate::workflows;

/// One step: its name and what it does.
type Step = (&'static str, fn() -> Result<()>);

/// What comes before the tests.
const CHECKS: [Step; 6] = [
    ("fmt", || cargo(&["fmt", "--all", "--check"], &[])),
    ("tidy", tidy::run),
    ("workflows", workflows::run),
    ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    ("docs", || cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    ("deny", deny::run),
];

/// How each step went, for the table at the end.
#[derive(Debug, Default)]
struct Log(Vec<(&'static str, bool, Duration)>);

impl Log {
    /// Runs one step and remembers how it went.
    fn step<T>(&mut self, name: &'static str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        say::aside(&format!("── {name}"));
        let started = Instant::now();
        let result = run();
        self.0.push((name, result.is_ok(), started.elapsed()));
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if let Some(message) = fault::message(&error) {
                    say::aside(&format!("{name}: {message}"));
                }
                None
            }
        }
    }

    fn table(&self) -> String {
        let mut rows = vec![format!("{:<10} {:<7} {:>8}", "step", "result", "seconds")];
        for (name, fine, took) in &self.0 {
            let result = if *fine { "ok" } else { "FAILED" };
            rows.push(format!("{name:<10} {result:<7} {:>8.1}", took.as_secs_f64()));
        }
        rows.join("\n")
    }
}

/// Runs the steps in order and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let mut log = Log::default();
    for (name, check) in CHECKS {
        if log.step(name, check).is_none() {
            say::line(&log.table());
            return Err(AlreadySaid.into());
        }
    }
    let mut outcome = None;
    let tested = log.step("test", || {
        let outcome = outcome.insert(suite::perform(&[])?);
        ensure!(outcome.passed(), "pass every test: see above");
        Ok(())
    });
    let shown = tested.and_then(|()| log.step("demo", demonstrate));
    let contained = shown.and_then(|()| {
        log.step("containers", || {
            let tally = containers::perform(&containers::Arguments::of_ci())?;
            let held = tally.failed == 0;
            if let Some(outcome) = &mut outcome {
                outcome.include(tally)?;
            }
            ensure!(held, "hold every claim: see above");
            Ok(())
        })
    });
    say::line(&log.table());
    // The counts come last whatever failed.
    let Some(outcome) = outcome else { return Err(AlreadySaid.into()) };
    outcome.close()?;
    contained.ok_or_else(|| AlreadySaid.into())
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(arguments).envs(environment.iter().copied());
    external::show(command.current_dir(surroundings::workspace()?))
}

/// Runs the demo as a newcomer would, in a fresh folder, and reads its summary.
fn demonstrate() -> Result<()> {
    let folder = suite::target_folder(&surroundings::workspace()?)?.join("demo-of-ci");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("remove the demo's folder of an earlier run")?;
    }
    // Through cargo, as people do: the tests' build may have put another file in this one's place.
    let mut program = Command::new("cargo");
    program.args(["xtask", "demo", "--once", "--json", "--data"]).arg(&folder);
    program.current_dir(surroundings::workspace()?);
    let ended = external::tee(&mut program)?;
    ensure!(ended.status.success(), "play the demo: it ended with {}", ended.status);
    let summary: serde_json::Value =
        serde_json::from_str(&ended.output).context("read the demo's summary")?;
    demo::expect_whole_summary(&summary)
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn the_table_names_every_step_and_marks_the_failed_one() {
        let mut log = Log::default();
        assert_eq!(log.step("fmt", || Ok(7)), Some(7));
        assert_eq!(log.step::<()>("tidy", || anyhow::bail!("mend it")), None);
        let table = log.table();
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[1].starts_with("fmt        ok") && rows[2].starts_with("tidy       FAILED"));
    }
}
