//! `cargo xtask deny`: licences, sources, advisories and the homes of foreign crates, by cargo-deny.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::external;
use crate::fault::Interrupted;
use crate::say;
use crate::surroundings;

/// The version `deny.toml` is written for.
const VERSION: &str = "0.20.2";
/// Versions of this line read the same `deny.toml`.
const LINE: &str = "cargo-deny 0.20.";
/// What cargo-deny says when it could not get the advisories at all.
const UNREACHABLE: &str = "failed to fetch advisory database";

/// Checks everything; what cannot be checked here is said by name and is no failure.
pub(crate) fn run() -> Result<()> {
    let workspace = surroundings::workspace()?;
    let tool = match provide() {
        Ok(tool) => tool,
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => {
            say::aside(&format!(
                "deny: SKIPPED: there is no cargo-deny and it could not be installed: {error:#}"
            ));
            return Ok(());
        }
    };
    check(&tool, &workspace)?;
    advisories(&tool, &workspace).map(|_| ())
}

/// Checks everything where being unable to is a failure: before something is deployed.
pub(crate) fn insist() -> Result<()> {
    let workspace = surroundings::workspace()?;
    let tool = provide()?;
    check(&tool, &workspace)?;
    match advisories(&tool, &workspace)? {
        Advisories::Fine => Ok(()),
        Advisories::Unreachable => bail!("check the advisories: their database is out of reach"),
    }
}

/// What needs nothing but the lock file and the sources cargo has already.
fn check(tool: &Path, workspace: &Path) -> Result<()> {
    let mut check = Command::new(tool);
    check.current_dir(workspace).args([
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    external::show(&mut check)
}

/// Whether the advisories could be looked at; a finding among them is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advisories {
    Fine,
    Unreachable,
}

/// What needs a database that is fetched, and so may be out of reach.
fn advisories(tool: &Path, workspace: &Path) -> Result<Advisories> {
    let mut check = Command::new(tool);
    check
        .current_dir(workspace)
        .args(["--log-level", "error", "check", "advisories"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_HTTP_LOW_SPEED_LIMIT", "1000")
        .env("GIT_HTTP_LOW_SPEED_TIME", "30");
    let ended = external::capture(&mut check)?;
    if ended.status.success() {
        say::aside("advisories ok");
        return Ok(Advisories::Fine);
    }
    if ended.errors.contains(UNREACHABLE) {
        say::aside("advisories SKIPPED: the database of advisories cannot be reached from here");
        return Ok(Advisories::Unreachable);
    }
    say::aside(&ended.errors);
    bail!("check the advisories: see above")
}

/// cargo-deny from `PATH` or the cache folder, else built once into the cache folder.
fn provide() -> Result<PathBuf> {
    let tools = surroundings::cache()?.join("tools");
    let cached = tools.join("bin").join("cargo-deny");
    let candidates = surroundings::find_on_path("cargo-deny").into_iter().chain([cached.clone()]);
    for candidate in candidates.filter(|file| surroundings::is_executable(file)) {
        let said = external::quiet(Command::new(&candidate).arg("--version"))?;
        if said.starts_with(LINE) {
            return Ok(candidate);
        }
        say::aside(&format!("deny: passing over {}: {}", candidate.display(), said.trim()));
    }
    say::aside(&format!("deny: building cargo-deny {VERSION} once; this takes some minutes"));
    let mut install = Command::new("cargo");
    install.args(["install", "cargo-deny", "--quiet", "--locked"]);
    install.args(["--version", &format!("={VERSION}"), "--root"]).arg(&tools);
    external::quiet(&mut install)?;
    Ok(cached)
}
