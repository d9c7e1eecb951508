//! `.env.example` names every setting with its default, and nothing else.

use std::collections::BTreeMap;

use chassis::settings::{Key, keys_of};
use chassis::{Reader, Source};

const EXAMPLE: &str = include_str!("../../../../.env.example");

/// The keys of the file: value and whether the line is active, not a comment.
fn example() -> BTreeMap<String, (String, bool)> {
    EXAMPLE
        .lines()
        .filter_map(|line| {
            let (text, active) = match line.strip_prefix("# ") {
                Some(text) => (text, false),
                None => (line, true),
            };
            let (key, value) = text.split_once('=')?;
            let is_key = !key.is_empty()
                && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            // What Compose reads is no setting of a service; `cargo xtask tidy` checks those.
            let of_compose = key.starts_with("COMPOSE_") || compose_alone(key);
            (is_key && !of_compose).then(|| (key.to_owned(), (value.to_owned(), active)))
        })
        .collect()
}

/// Names of the images and of the ports they are published on.
fn compose_alone(key: &str) -> bool {
    key.strip_prefix("KOTONOHA_")
        .is_some_and(|rest| ["PORT", "DEMO_PORT", "IMAGES", "VERSION", "PULL"].contains(&rest))
}

fn of_the_code() -> BTreeMap<String, Key> {
    let gateway = keys_of(gateway::config::Config::read);
    let worker = keys_of(conversation_worker::config::Config::read);
    let backup = keys_of(backup_agent::config::Config::read);
    gateway.into_iter().chain(worker).chain(backup).map(|key| (key.name.clone(), key)).collect()
}

#[test]
fn env_example_names_every_setting_with_its_default() {
    let (example, code) = (example(), of_the_code());
    let names = |map: Vec<&String>| map.into_iter().cloned().collect::<Vec<_>>().join("\n");
    assert_eq!(names(example.keys().collect()), names(code.keys().collect()));
    for (name, key) in code {
        let (value, active) = &example[&name];
        // What has no default stands there empty; what must be filled in is an active line.
        assert_eq!(value, &key.default.unwrap_or_default(), "the default of {name}");
        if key.required {
            assert!(active, "{name} must be filled in, so its line is no comment");
        }
    }
}

#[test]
fn env_example_marks_every_secret() {
    for (name, key) in of_the_code() {
        if !key.secret {
            continue;
        }
        let at = EXAMPLE.find(&format!("{name}=")).expect("every key is named");
        let comment = EXAMPLE[..at].trim_end_matches("# ").trim_end().lines().last();
        assert!(comment.is_some_and(|line| line.contains("(secret)")), "{name} is a secret");
    }
}

#[test]
fn all_services_can_share_one_settings_file() {
    let lines: Vec<String> =
        of_the_code().keys().map(|name| format!("{} = \"\"\n", name.to_lowercase())).collect();
    let toml = lines.concat();
    let source = || Source::empty().with_toml("settings.toml", &toml);
    // As a start reads them: a service's own key must not look like one of everybody's.
    let mut reader = Reader::new(source());
    chassis::Common::read(&mut reader);
    gateway::config::Config::read(&mut reader);
    let of_gateway = reader.finish(Some(())).expect_err("what is required is empty");
    let mut reader = Reader::new(source());
    chassis::Common::read(&mut reader);
    conversation_worker::config::Config::read(&mut reader);
    let of_worker = reader.finish(Some(())).expect_err("what is required is empty");
    let mut reader = Reader::new(source());
    backup_agent::config::Config::read(&mut reader);
    let of_backup = reader.finish(Some(())).expect_err("what is required is empty");
    for fault in of_gateway.iter().chain(&of_worker).chain(&of_backup) {
        let text = fault.to_string();
        assert!(!text.contains("not a setting of this service"), "{text}");
    }
}
