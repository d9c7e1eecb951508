//! The rule for arrows: which of our crates may use which, and where each foreign thing has its home.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::external;

/// Our crates and what each may use of ours, as in docs/architecture.md.
const OURS: [(&str, &[&str]); 21] = [
    ("gateway", &["bus", "chassis", "contracts"]),
    ("conversation-worker", &["bus", "chassis", "contracts", "database", "llm"]),
    ("backup-agent", &["bus", "chassis", "contracts", "objects", "replica", "snapshots"]),
    ("health-aggregator", &["bus", "chassis", "contracts", "database"]),
    ("webhook-receiver", &["bus", "chassis", "contracts"]),
    ("update-agent", &["bus", "chassis", "contracts"]),
    ("docker-guard", &["chassis"]),
    ("prepare", &["bus", "chassis", "contracts"]),
    ("kotonoha", &["bus", "chassis", "contracts"]),
    ("bus", &["contracts"]),
    ("database", &[]),
    ("llm", &[]),
    ("objects", &[]),
    ("replica", &["ltx"]),
    ("snapshots", &["objects"]),
    ("ltx", &[]),
    ("contracts", &[]),
    ("chassis", &[]),
    ("simulator", &[]),
    // Any: stories see services from outside, but hold the list of their settings to the code.
    (
        "system-tests",
        &[
            "backup-agent",
            "bus",
            "chassis",
            "contracts",
            "conversation-worker",
            "database",
            "gateway",
            "llm",
            "ltx",
            "objects",
            "prepare",
            "replica",
            "simulator",
            "snapshots",
        ],
    ),
    ("xtask", &[]),
];

/// Tests may have the stand-in for Discord and the models beside them.
const FOR_TESTS: &str = "simulator";

/// Foreign crates by the beginning of their name, who may use them, and who may in tests only.
const HOMES: [(&str, &[&str], &[&str]); 10] = [
    ("twilight-", &["gateway"], &["contracts", "simulator", "system-tests"]),
    ("async-nats", &["bus"], &["system-tests"]),
    ("sqlx", &["database", "conversation-worker", "health-aggregator", "system-tests"], &[]),
    ("rusqlite", &["replica"], &["backup-agent", "snapshots", "system-tests"]),
    ("rustic_core", &["snapshots"], &[]),
    ("opendal", &["objects"], &[]),
    ("russh", &["objects"], &[]),
    ("age", &["objects"], &[]),
    (
        "reqwest",
        &["gateway", "conversation-worker", "llm", "objects", "health-aggregator", "system-tests"],
        &["chassis", "simulator", "webhook-receiver"],
    ),
    ("ureq", &["xtask"], &[]),
];

/// One arrow, from the crate that uses to the crate that is used.
#[derive(Debug)]
pub(crate) struct Arrow {
    from: String,
    to: String,
    /// Used by tests only.
    test_only: bool,
    /// Both ends are ours.
    ours: bool,
}

/// Asks cargo for every arrow that leaves one of our crates.
pub(crate) fn read(workspace: &Path) -> Result<Vec<Arrow>> {
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(workspace);
    let text = external::quiet(&mut metadata)?;
    let value: Value = serde_json::from_str(&text).context("read cargo's metadata")?;
    Ok(arrows(&value))
}

fn arrows(metadata: &Value) -> Vec<Arrow> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let from = word(&package["name"]);
            list(&package["dependencies"]).into_iter().map(move |used| Arrow {
                from: from.clone(),
                to: word(&used["name"]),
                test_only: used["kind"] == "dev",
                ours: used["path"].is_string(),
            })
        })
        .collect()
}

/// Checks every arrow.
pub(crate) fn check(arrows: &[Arrow]) -> Vec<Finding> {
    arrows
        .iter()
        .filter_map(|arrow| if arrow.ours { between(arrow) } else { home(arrow) })
        .collect()
}

fn between(arrow: &Arrow) -> Option<Finding> {
    let Some((_, allowed)) = OURS.iter().find(|(name, _)| *name == arrow.from) else {
        return Some(finding(arrow, "is a crate that the table of arrows does not know"));
    };
    // A crate names itself to turn on a feature of its own for its tests.
    let beside = arrow.test_only && (arrow.to == FOR_TESTS || arrow.to == arrow.from);
    let fine = allowed.contains(&arrow.to.as_str()) || beside;
    (!fine)
        .then(|| finding(arrow, &format!("must not use `{}`: services meet on the bus", arrow.to)))
}

fn home(arrow: &Arrow) -> Option<Finding> {
    let (name, homes, in_tests) = HOMES.iter().find(|(name, ..)| arrow.to.starts_with(name))?;
    let from = arrow.from.as_str();
    let fine = homes.contains(&from) || (arrow.test_only && in_tests.contains(&from));
    (!fine).then(|| {
        let homes = homes.join(", ");
        finding(arrow, &format!("must not use `{}`: {name} has its home in {homes}", arrow.to))
    })
}

fn finding(arrow: &Arrow, text: &str) -> Finding {
    Finding::of_file(&format!("crate {}", arrow.from), text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{arrows, check};

    fn found(from: &str, to: &str, kind: Option<&str>, ours: bool) -> Vec<String> {
        let path = ours.then_some("crates/x");
        let metadata = json!({"packages": [
            {"name": from, "dependencies": [{"name": to, "kind": kind, "path": path}]}
        ]});
        check(&arrows(&metadata)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_point_down() {
        assert_eq!(found("gateway", "bus", None, true), [""; 0]);
        assert_eq!(found("gateway", "conversation-worker", None, true).len(), 1);
        assert_eq!(found("bus", "gateway", None, true).len(), 1);
        assert_eq!(found("newcomer", "bus", None, true).len(), 1);
    }

    #[test]
    fn only_tests_may_stand_beside_the_simulator() {
        assert_eq!(found("gateway", "simulator", Some("dev"), true), [""; 0]);
        assert_eq!(found("gateway", "simulator", None, true).len(), 1);
    }

    #[test]
    fn each_foreign_thing_has_one_home() {
        assert_eq!(found("gateway", "twilight-http", None, false), [""; 0]);
        assert_eq!(found("conversation-worker", "twilight-model", None, false).len(), 1);
        assert_eq!(found("contracts", "twilight-model", Some("dev"), false), [""; 0]);
        assert_eq!(found("contracts", "twilight-model", None, false).len(), 1);
        assert_eq!(found("gateway", "async-nats", None, false).len(), 1);
        assert_eq!(found("gateway", "serde", None, false), [""; 0]);
    }
}
