//! The check of an environment: its settings are complete, its Discord application is its own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::Args;

use crate::release::required;
use crate::say;
use crate::surroundings;

/// The settings' own document, which says what has no default.
const EXAMPLE: &str = ".env.example";
/// The Discord application of every environment, as a JSON object of names and ids.
const APPLICATIONS: &str = "DISCORD_APPLICATIONS";
/// The environments there are, in the order in which a change travels.
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "production"];

/// Which environment.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// dev, staging or production.
    #[arg(long, value_parser = ENVIRONMENTS)]
    name: String,
}

/// Checks the settings that this process was given; no value is ever printed.
pub(crate) fn check(options: &Options) -> Result<()> {
    let path = surroundings::workspace()?.join(EXAMPLE);
    let example = std::fs::read_to_string(&path).with_context(|| format!("read {EXAMPLE}"))?;
    let lookup = |key: &str| surroundings::variable(key)?.into_string().ok();
    let faults = faults(&options.name, &example, &lookup);
    for fault in &faults {
        say::aside(&format!("{}: {fault}", options.name));
    }
    if faults.is_empty() { Ok(()) } else { bail!("check {}: see above", options.name) }
}

fn faults(name: &str, example: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults: Vec<String> = required(example)
        .filter(|key| lookup(key).is_none())
        .map(|key| format!("{key} is not set: set it in the environment `{name}`"))
        .collect();
    match lookup(APPLICATIONS).map(|text| serde_json::from_str(&text)) {
        None => faults.push(format!("{APPLICATIONS} is not set: {}", advice())),
        Some(Err(_)) => faults.push(format!("{APPLICATIONS} is no JSON object: {}", advice())),
        Some(Ok(applications)) => {
            faults.extend(application(name, &applications, lookup("DISCORD_TOKEN").as_deref()));
        }
    }
    faults
}

fn application(
    name: &str,
    applications: &BTreeMap<String, String>,
    token: Option<&str>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (position, environment) in ENVIRONMENTS.iter().enumerate() {
        let Some(id) = applications.get(*environment) else {
            faults.push(format!("{APPLICATIONS} has no `{environment}`: {}", advice()));
            continue;
        };
        let shared = ENVIRONMENTS[..position].iter().find(|it| applications.get(**it) == Some(id));
        if let Some(other) = shared {
            faults.push(format!(
                "`{environment}` and `{other}` have one Discord application: {}",
                "give each its own, or a test will answer people twice"
            ));
        }
    }
    if let Some(token) = token {
        match owner(token) {
            None => faults.push("DISCORD_TOKEN is no bot token: copy it again".to_owned()),
            Some(id) if applications.get(name).is_some_and(|own| *own != id) => faults
                .push(format!("DISCORD_TOKEN belongs to another application than `{name}`'s own")),
            Some(_) => {}
        }
    }
    faults
}

/// The bot's id, which is what a token's first part spells (Discord: reference, authentication).
///
/// It is also the application's id, except for bots made before September 2016.
fn owner(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let [first, _, _] = [parts.next()?, parts.next()?, parts.next()?];
    let id = STANDARD_NO_PAD.decode(first.trim_end_matches('=')).ok()?;
    let id = String::from_utf8(id).ok()?;
    (parts.next().is_none() && id.len() >= 17 && id.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(id)
}

fn advice() -> String {
    r#"set it for the repository, as {"dev": "<id>", "staging": "<id>", "production": "<id>"}"#
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ENVIRONMENTS, faults, required};

    const EXAMPLE: &str = "# a\nDISCORD_TOKEN=\n# X=1\n# Y=\nMODEL_NAME=\n";
    const APPLICATIONS: &str = r#"{"dev": "111111111111111111", "staging": "222222222222222222",
        "production": "333333333333333333"}"#;
    /// The first part spells the id of `dev`; the rest is made up.
    const TOKEN: &str = "MTExMTExMTExMTExMTExMTEx.made.up";

    fn found(name: &str, settings: &[(&str, &str)]) -> Vec<String> {
        let settings: BTreeMap<&str, &str> = settings.iter().copied().collect();
        faults(name, EXAMPLE, &|key| settings.get(key).map(|value| (*value).to_owned()))
    }

    #[test]
    fn a_whole_environment_with_its_own_application_passes() {
        let settings =
            [("DISCORD_TOKEN", TOKEN), ("MODEL_NAME", "m"), ("DISCORD_APPLICATIONS", APPLICATIONS)];
        assert_eq!(found("dev", &settings), [""; 0]);
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once_and_no_value_is_shown() {
        let faults = found("dev", &[("DISCORD_TOKEN", "hello")]);
        assert!(faults.iter().any(|fault| fault.starts_with("MODEL_NAME")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.starts_with("DISCORD_APPLICATIONS")), "{faults:?}");
        assert!(!faults.concat().contains("hello"), "{faults:?}");
    }

    #[test]
    fn the_token_of_another_environment_is_refused() {
        let settings =
            [("DISCORD_TOKEN", TOKEN), ("MODEL_NAME", "m"), ("DISCORD_APPLICATIONS", APPLICATIONS)];
        let faults = found("production", &settings);
        assert!(faults.len() == 1 && faults[0].contains("another application"), "{faults:?}");
        assert!(!faults[0].contains(TOKEN));
    }

    #[test]
    fn two_environments_never_share_an_application() {
        let shared = APPLICATIONS.replace("222222222222222222", "111111111111111111");
        let settings =
            [("DISCORD_TOKEN", TOKEN), ("MODEL_NAME", "m"), ("DISCORD_APPLICATIONS", &shared)];
        let faults = found("dev", &settings);
        assert!(faults.len() == 1 && faults[0].contains("`staging` and `dev`"), "{faults:?}");
    }

    #[test]
    fn the_workflow_hands_over_every_setting_without_a_default() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let (example, workflow) = (read(".env.example"), read(".github/workflows/deploy.yml"));
        let mut keys = 0;
        for key in required(&example) {
            keys += 1;
            assert!(workflow.contains(&format!(" {key}: ${{{{ ")), "{key} is not handed over");
        }
        assert!(keys > 0, "the document names nothing that must be set");
        for environment in ENVIRONMENTS {
            assert!(workflow.contains(&format!("'{environment}'")), "{environment}");
        }
    }
}
