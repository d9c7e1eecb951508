//! Rules for the Compose files: what an older Compose or a NAS's kernel refuses, and settings that would not arrive.

use super::Finding;
use super::tree::Tree;
use crate::images::{ComposeFile, Node};

const BASE: &str = "compose.yaml";
/// What runs on a NAS.
const NAS: [&str; 2] = [BASE, "compose.nas.yaml"];
/// Where people fill in settings.
const EXAMPLES: [&str; 2] = [".env.example", "deploy/nas/env"];

/// What may not stand in these files, and why.
const REFUSED: [(&str, &str); 8] = [
    ("cpus:", "many NAS kernels have no CPU quotas and refuse such a container: use cpu_shares"),
    ("cpu_quota:", "many NAS kernels have no CPU quotas and refuse such a container"),
    ("start_interval:", "needs Docker 25; a NAS has an older one"),
    ("!reset", "needs Compose 2.24; Container Manager has 2.20"),
    ("!override", "needs Compose 2.24; Container Manager has 2.20"),
    ("env_file:", "would give every secret to every service: name the settings one by one"),
    ("docker.sock", "nobody but docker-guard holds Docker's socket"),
    ("privileged:", "no service needs it"),
];

/// Settings that containers have from elsewhere, or that make no sense in one.
const ELSEWHERE: [&str; 6] = [
    "BACKUP_REPOSITORY_PASSWORD",
    "HEALTH_LISTEN",
    "INSTANCE_NAME",
    "KOTONOHA_ON_FAULT",
    "NATS_PASSWORD",
    "READY_FILE",
];

/// The version that images have where nobody says another.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Checks the Compose files and what fills them.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(base) = tree.text(BASE) else { return vec![Finding::of_file(BASE, "is missing")] };
    let mut findings = Vec::new();
    for path in NAS {
        findings.extend(tree.text(path).into_iter().flat_map(|text| refused(path, text)));
    }
    let file = ComposeFile::parse(base);
    let environment = environment(&file);
    for path in EXAMPLES {
        let keys = tree.text(path).into_iter().flat_map(keys);
        for key in keys.filter(|key| !ELSEWHERE.contains(key)) {
            let arrives = environment.iter().any(|known| known == key);
            if !arrives && !base.contains(&format!("${{{key}")) && !key.starts_with("COMPOSE_") {
                let advice = format!("`{key}` does not reach its service: name it in {BASE}");
                findings.push(Finding::of_file(path, advice));
            }
        }
    }
    for service in file.entries("services") {
        let name = service.key().unwrap_or_default();
        let image = service.child("image").map(Node::value);
        if image.is_some_and(|image| !image.ends_with(&format!("${{KOTONOHA_VERSION:-{VERSION}}}")))
        {
            let advice = format!("`{name}`: name the image's version {VERSION} as its default");
            findings.push(Finding::of_file(BASE, advice));
        }
        if service.child("profiles").is_none() {
            let advice = format!("`{name}` has no profile, so every profile would start it");
            findings.push(Finding::of_file(BASE, advice));
        }
    }
    // It wins over the default in the Compose file, and must name what the archive holds.
    let line = format!("KOTONOHA_VERSION={VERSION}");
    if tree.text(EXAMPLES[1]).is_some_and(|text| !text.lines().any(|it| it == line)) {
        let advice = format!("say `{line}`, the images it comes with");
        findings.push(Finding::of_file(EXAMPLES[1], advice));
    }
    findings
}

fn refused(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or(line);
        let found = REFUSED.iter().filter(|(word, _)| line.contains(word));
        findings.extend(
            found.map(|(word, why)| Finding::at_line(path, number, format!("`{word}`: {why}"))),
        );
    }
    findings
}

/// Every key that some service is given.
fn environment(file: &ComposeFile) -> Vec<String> {
    let own = file.entries("services").iter().filter_map(|service| service.child("environment"));
    let keys = own.flat_map(|node| &node.below).chain(file.entries("x-settings"));
    keys.filter_map(|node| node.key().map(str::to_owned)).collect()
}

/// The settings a file shows or sets.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (key, _) = line.strip_prefix("# ").unwrap_or(line).split_once('=')?;
        let is_key = !key.is_empty()
            && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        is_key.then_some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::{VERSION, check};
    use crate::tidy::tree::Tree;

    fn base() -> String {
        format!(
            "x-settings: &settings\n  LOG_LEVEL:\nservices:\n  one:\n    profiles: [home]\n    image: \
             ${{KOTONOHA_IMAGES:-kotonoha}}/one:${{KOTONOHA_VERSION:-{VERSION}}}\n    environment:\n      \
             <<: *settings\n      KEY:\n"
        )
    }

    fn found(base: &str, example: &str) -> Vec<String> {
        let tree = Tree::of(&[("compose.yaml", base), (".env.example", example)]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_has_nothing_to_mend() {
        let example =
            "KEY=\n# LOG_LEVEL=info\nCOMPOSE_PROFILES=home\nKOTONOHA_VERSION=1\nREADY_FILE=\n";
        assert_eq!(found(&base(), example), [""; 0]);
    }

    #[test]
    fn a_setting_that_would_not_arrive_is_found() {
        let found = found(&base(), "OTHER=1\n");
        assert!(found.len() == 1 && found[0].contains("`OTHER`"), "{found:?}");
    }

    #[test]
    fn what_a_nas_refuses_is_found_at_its_line_but_not_in_comments() {
        let text = format!("# no cpus: here\n{}    cpus: 1\n", base());
        let found = found(&text, "");
        assert!(found.len() == 1 && found[0].starts_with("compose.yaml:11:"), "{found:?}");
    }

    #[test]
    fn an_image_of_another_version_and_a_service_without_a_profile_are_found() {
        let text = base().replace(VERSION, "9.9.9").replace("    profiles: [home]\n", "");
        assert_eq!(found(&text, "").len(), 2);
    }
}
