//! `cargo xtask test`: the whole test suite, with everything real that it needs.

mod equipment;
mod far_sides;
mod litestream;
mod skips;
mod tally;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::external;
use crate::fault::AlreadySaid;
use crate::say;
use crate::surroundings;
use equipment::Equipment;
pub(crate) use equipment::target_folder;
pub(crate) use tally::{Skip, Tally};

/// The profile in `.config/nextest.toml` that writes a report.
const PROFILE: &str = "suite";
/// What nextest writes down about every test, below the target folder.
const REPORT: &str = "nextest/suite/junit.xml";
/// How nextest ends when everything was built and run, and a test failed.
const TESTS_FAILED: i32 = 100;

/// What came out of the suite.
#[derive(Debug)]
pub(crate) struct Outcome {
    tally: Tally,
    passed: bool,
}

impl Outcome {
    /// Says the closing line, which is the last of the chore, and tells success from failure.
    pub(crate) fn close(&self) -> Result<()> {
        say::line(&self.tally.closing_line());
        if self.passed { Ok(()) } else { Err(AlreadySaid.into()) }
    }

    pub(crate) fn passed(&self) -> bool {
        self.passed
    }

    /// Takes what was counted elsewhere into the closing line, by the same rules for what is
    /// skipped.
    pub(crate) fn include(&mut self, tally: Tally) -> Result<()> {
        let allowed = skips::Allowed::read(&surroundings::workspace()?)?;
        self.passed &= tell_skips(&tally, &allowed) && tally.failed == 0;
        self.tally.add(tally);
        Ok(())
    }
}

/// Runs the suite and closes with one line of counts.
pub(crate) fn run(filter: &[OsString]) -> Result<()> {
    perform(filter)?.close()
}

/// Runs the suite; an error here means that it could not be run at all.
pub(crate) fn perform(filter: &[OsString]) -> Result<Outcome> {
    let workspace = surroundings::workspace()?;
    // A table that cannot be read should be known before everything has run.
    let allowed = skips::Allowed::read(&workspace)?;
    let equipment = Equipment::gather(&workspace)?;
    let (mut tally, mut passed) = if surroundings::find_on_path("cargo-nextest").is_some() {
        by_nextest(&equipment, filter)?
    } else {
        by_cargo(&equipment, filter)?
    };
    if filter.is_empty() {
        let (documented, fine) = doc_tests(&equipment)?;
        tally.add(documented);
        passed &= fine;
    }
    passed &= tell_skips(&tally, &allowed) && tally.failed == 0;
    Ok(Outcome { tally, passed })
}

/// Names every skip, and tells whether each is one that docs/testing.md allows.
fn tell_skips(tally: &Tally, allowed: &skips::Allowed) -> bool {
    let mut fine = true;
    for skip in &tally.skips {
        say::aside(&format!("skipped {}: {}", skip.test, skip.reason));
        if !allowed.holds(&skip.reason) {
            fine = false;
            say::aside(&format!(
                "error: {} was skipped ({}), which docs/testing.md does not allow: \
                 make it run, or list the skip there with its reason",
                skip.test, skip.reason
            ));
        }
    }
    fine
}

fn by_nextest(equipment: &Equipment, filter: &[OsString]) -> Result<(Tally, bool)> {
    let report = equipment.target_folder.join(REPORT);
    forget(&report)?;
    let mut nextest = equipment.cargo("nextest");
    nextest.args(["run", "--profile", PROFILE]);
    select(&mut nextest, filter);
    let status = external::watch(nextest.args(filter))?;
    // Anything else is no result (a build error, a filter that fits nothing): nextest said why.
    ensure!(status.success() || status.code() == Some(TESTS_FAILED), "run the tests: see above");
    let text = std::fs::read_to_string(&report).context("read what the test runner wrote down")?;
    Ok((Tally::from_junit(&text), status.success()))
}

fn by_cargo(equipment: &Equipment, filter: &[OsString]) -> Result<(Tally, bool)> {
    let mut test = equipment.cargo("test");
    test.args(["--lib", "--bins", "--tests", "--no-fail-fast"]);
    select(&mut test, filter);
    let (options, names): (Vec<_>, Vec<_>) =
        filter.iter().partition(|word| word.to_string_lossy().starts_with('-'));
    test.args(options).args(names).args(["--", "--show-output"]);
    let ended = external::tee(&mut test)?;
    Ok((Tally::from_libtest(&ended.output), ended.status.success()))
}

fn doc_tests(equipment: &Equipment) -> Result<(Tally, bool)> {
    say::aside("running the examples in the documentation");
    let mut test = equipment.cargo("test");
    let ended = external::capture(test.args(["--doc", "--workspace", "--no-fail-fast"]))?;
    if !ended.status.success() {
        say::aside(&ended.output);
        say::aside(&ended.errors);
    }
    Ok((Tally::from_libtest(&ended.output), ended.status.success()))
}

/// The whole workspace, unless the person named packages.
fn select(command: &mut Command, filter: &[OsString]) {
    let names_packages = filter.iter().any(|word| {
        let word = word.to_string_lossy();
        word.starts_with("-p") || word.starts_with("--package")
    });
    if !names_packages {
        command.arg("--workspace");
    }
}

fn forget(report: &Path) -> Result<()> {
    match std::fs::remove_file(report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("remove the test report of an earlier run")
        }
        _ => Ok(()),
    }
}
