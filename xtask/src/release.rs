//! `cargo xtask release`: the next version, its notes and its changelog, committed and tagged here.
//!
//! It never pushes: a release is published by a person, on the page where the notes are read.

mod changes;
mod commits;
mod notes;
#[cfg(test)]
pub(crate) mod repository;
mod texts;
mod version;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::external;
use crate::fault::Usage;
use crate::say;
use crate::surroundings;
use changes::Changes;
pub(crate) use changes::required;
use commits::Commit;
use version::{Step, Version};

/// The branch that releases are made from.
const BRANCH: &str = "main";

/// How to release.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Show everything and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The version, where it should be another than the commits ask for.
    #[arg(long)]
    version: Option<String>,
    /// Only check that this tag (v1.2.3) names the version that stands here.
    #[arg(long, conflicts_with_all = ["dry_run", "version"])]
    verify: Option<String>,
}

/// Releases, shows what a release would be, or checks a tag.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = surroundings::workspace()?;
    if let Some(tag) = &options.verify {
        return verify(&root, tag);
    }
    let plan = plan(&root, options)?;
    for line in &plan.reasons {
        say::aside(line);
    }
    if options.dry_run {
        say::line(&plan.changes.notes);
        say::line(&plan.changes.difference(&root)?);
        say::aside(&format!("release: v{} was not made: this was only a look", plan.version));
        return Ok(());
    }
    carry_out(&root, &plan)?;
    say::line(&format!("v{}", plan.version));
    say::aside(&format!(
        "release: made the commit and the tag here; nothing was pushed. To go on:\n  \
         git push origin {BRANCH} v{version}\n  then publish the release v{version} with the text of {}",
        changes::notes_path(plan.version),
        version = plan.version,
    ));
    Ok(())
}

/// A release that could be made.
#[derive(Debug)]
struct Plan {
    version: Version,
    /// Why it is this version, one line each.
    reasons: Vec<String>,
    changes: Changes,
}

/// The tag of the last release below this commit, if there is one.
pub(crate) fn last_tag(root: &Path) -> Result<Option<String>> {
    Ok(last_version(root)?.map(|version| format!("v{version}")))
}

fn last_version(root: &Path) -> Result<Option<Version>> {
    let told = git(root, &["tag", "--list", "v*", "--merged", "HEAD"])?;
    Ok(told.lines().filter_map(|tag| Version::parse(tag.strip_prefix('v')?)).max())
}

fn plan(root: &Path, options: &Options) -> Result<Plan> {
    git(root, &["rev-parse", "--verify", "HEAD"])
        .context("find a commit here: a release is made in a git checkout")?;
    let mut reasons = unready(root, options.dry_run)?;
    let last = last_version(root)?;
    let tag = last.map(|version| format!("v{version}"));
    let commits = commits::since(root, tag.as_deref())?;
    if commits.is_empty() {
        return Err(usage(format!(
            "there is nothing to release: no commit since {}",
            tag.as_deref().unwrap_or("the beginning")
        )));
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("read Cargo.toml")?;
    let version = choose(last, texts::version(&manifest)?, &commits, options)?;
    reasons.extend(why(last, version, &commits));
    let changes = Changes::plan(root, tag.as_deref(), version, &commits)?;
    Ok(Plan { version, reasons, changes })
}

/// What keeps a release from being made here; for a look it is only said.
fn unready(root: &Path, look: bool) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let dirty = git(root, &["status", "--porcelain"])?;
    if !dirty.trim().is_empty() {
        let files: Vec<&str> = dirty.lines().map(|line| line.get(3..).unwrap_or(line)).collect();
        faults.push(format!(
            "commit these files or put them aside (git stash -u) first: {}",
            files.join(", ")
        ));
    }
    let branch = git(root, &["rev-parse", "--abbrev-ref", "HEAD"])?;
    if branch.trim() != BRANCH {
        faults.push(format!(
            "switch to `{BRANCH}` first (git switch {BRANCH}): releases are made there, and this is `{}`",
            branch.trim()
        ));
    }
    if look || faults.is_empty() {
        return Ok(faults.into_iter().map(|fault| format!("release: to do it, {fault}")).collect());
    }
    Err(usage(faults.join("\n")))
}

/// The version that was asked for, if it may be, or the one that the commits ask for.
fn choose(
    last: Option<Version>,
    standing: Version,
    commits: &[Commit],
    options: &Options,
) -> Result<Version> {
    let step = commits.iter().filter_map(|commit| commit.step).max();
    // Before the first release the version that stands in the manifest was never given away.
    let asked = match (last, step) {
        (None, _) => Some(standing),
        (Some(last), Some(step)) => Some(last.after(step)),
        (Some(_), None) => None,
    };
    let Some(wish) = &options.version else {
        return asked.ok_or_else(|| {
            usage(
                "nothing since the last release is noticed by people (no feat, fix or perf): \
             give --version to release all the same"
                    .to_owned(),
            )
        });
    };
    let wish = Version::parse(wish.strip_prefix('v').unwrap_or(wish)).ok_or_else(|| {
        usage(format!("`{wish}` is no version: write three numbers, such as 1.2.0"))
    })?;
    if let Some(last) = last.filter(|last| wish <= *last) {
        return Err(usage(format!(
            "{wish} does not grow: the last release is {last}, and whoever runs it would not upgrade"
        )));
    }
    if let Some(asked) = asked.filter(|asked| last.is_some() && wish < *asked) {
        let heaviest = commits.iter().find(|commit| commit.step == step);
        let heaviest = heaviest.map(|commit| commit.subject.as_str()).unwrap_or_default();
        return Err(usage(format!("{wish} is too small: `{heaviest}` asks for {asked} at least")));
    }
    Ok(wish)
}

fn why(last: Option<Version>, version: Version, commits: &[Commit]) -> Vec<String> {
    let mut reasons = vec![match last {
        Some(last) => format!("release: {last} → {version}, from {} commits", commits.len()),
        None => format!("release: {version}, the first: there is no tag yet"),
    }];
    for commit in commits.iter().filter(|commit| commit.step == Some(Step::Major)) {
        reasons.push(format!("release: BREAKING: {} {}", commit.hash, commit.subject));
        if commit.upgrade_steps.is_empty() {
            reasons.push(
                "release:   it does not say what to do: add a trailer `Upgrade: …` or a line to docs/releases/upgrade.md"
                    .to_owned(),
            );
        }
    }
    for commit in commits.iter().filter(|commit| !commit.understood) {
        reasons.push(format!(
            "release: not counted, because it is not `type(scope): words`: {} {}",
            commit.hash, commit.subject
        ));
    }
    reasons
}

fn carry_out(root: &Path, plan: &Plan) -> Result<()> {
    let tag = format!("v{}", plan.version);
    if !git(root, &["tag", "--list", &tag])?.trim().is_empty() {
        return Err(usage(format!(
            "the tag {tag} is there already, on another branch: choose a higher --version"
        )));
    }
    let paths = plan.changes.write(root)?;
    let mut add = Command::new("git");
    external::quiet(add.args(["add", "--"]).args(&paths).current_dir(root))?;
    let subject = format!("chore: release {}", plan.version);
    git(root, &["commit", "--quiet", "--message", &subject])
        .context("commit the release: the files are written; mend this, then `git commit`")?;
    // As it is: git would take the headings for comments.
    git(root, &["tag", "--annotate", "--cleanup=verbatim", "--message", &plan.changes.notes, &tag])
        .with_context(|| {
            format!("tag the release: the commit is made; mend this, then `git tag -a {tag}`")
        })?;
    Ok(())
}

/// The published tag and the sources must be the same version, or images would carry a wrong one.
fn verify(root: &Path, tag: &str) -> Result<()> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("read Cargo.toml")?;
    let standing = texts::version(&manifest)?;
    if tag == format!("v{standing}") {
        return Ok(());
    }
    Err(usage(format!(
        "the tag {tag} does not fit the sources, which are {standing}: let `cargo xtask release` make the tag"
    )))
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    external::quiet(Command::new("git").args(arguments).current_dir(root))
}

fn usage(text: String) -> anyhow::Error {
    Usage(text).into()
}

#[cfg(test)]
mod tests;
