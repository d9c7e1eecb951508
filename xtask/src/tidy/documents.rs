//! Rules for documents and workflows: the two commands first, links that lead somewhere, pinned actions.

use super::Finding;
use super::tree::Tree;

/// The readmes, each of which opens with the same two commands.
const READMES: [&str; 2] = ["README.md", "README.ja.md"];
/// What a newcomer types first.
const FIRST_COMMANDS: [&str; 2] = ["cargo xtask demo", "cargo xtask test"];

/// Checks the readmes, every document's links and every workflow.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in READMES {
        match tree.text(path) {
            None => findings.push(Finding::of_file(path, "is missing")),
            Some(text) => findings.extend(first_commands(path, text)),
        }
    }
    for (path, text) in tree.with_ending(".md") {
        findings.extend(links(tree, path, text));
    }
    for (path, text) in tree.with_ending(".yml") {
        if path.starts_with(".github/workflows/") {
            findings.extend(workflow(path, text));
        }
    }
    findings
}

fn first_commands(path: &str, text: &str) -> Option<Finding> {
    let commands: Vec<&str> = fenced(text)
        .map(|line| line.trim().trim_start_matches("$ "))
        .map(|line| line.split(" #").next().unwrap_or(line).trim())
        .filter(|line| line.starts_with("cargo ") || line.starts_with("docker "))
        .take(FIRST_COMMANDS.len())
        .collect();
    (commands != FIRST_COMMANDS).then(|| {
        let wanted = FIRST_COMMANDS.join("` and `");
        Finding::of_file(path, format!("the first two commands are `{wanted}`, found {commands:?}"))
    })
}

/// The lines inside fenced blocks.
fn fenced(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        inside && !fence
    })
}

fn links(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        inside ^= line.trim_start().starts_with("```");
        if inside {
            continue;
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = target.split('#').next().unwrap_or(target);
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !resolved(path, file).is_some_and(|file| tree.has(&file)) {
                findings.push(Finding::at_line(path, number, format!("`{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// The path from the root that a link in a document means; `None` above the root.
fn resolved(document: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn workflow(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.lines().any(|line| line.trim_end() == "permissions: {}") {
        findings.push(Finding::of_file(path, "begin without rights: `permissions: {}` at the top"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let Some((_, action)) = line.split_once("uses: ") else { continue };
        let pin = action.split_whitespace().next().and_then(|action| action.rsplit_once('@'));
        let pinned = pin.is_some_and(|(_, at)| {
            at.len() == 40 && at.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        // What begins with `$/` is a file of this repository at the same commit.
        if !pinned && !action.starts_with("$/") {
            findings.push(Finding::at_line(
                path,
                number,
                "pin the action by its whole commit hash",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{first_commands, links, workflow};
    use crate::tidy::tree::Tree;

    #[test]
    fn the_two_commands_come_first() {
        let good = "# K\n```sh\ncargo xtask demo   # talk to it\n```\n```console\n$ cargo xtask test\n```\n";
        assert_eq!(first_commands("README.md", good), None);
        let other = "```sh\ncargo build\ncargo xtask demo\ncargo xtask test\n```\n";
        assert!(first_commands("README.md", other).is_some());
        assert!(first_commands("README.md", "cargo xtask demo").is_some());
    }

    #[test]
    fn links_lead_to_files_and_folders_of_the_tree() {
        let tree = Tree::of(&[("docs/a.md", ""), ("docs/b/c.md", ""), ("README.md", "")]);
        let text =
            "[a](a.md#top) [b](b/) [up](../README.md) [web](https://example.org/x) [top](#top)";
        assert_eq!(links(&tree, "docs/a.md", text), []);
        let broken = "[x](x.md)\n[out](../../README.md)\n```\n[no link](y.md)\n```\n";
        assert_eq!(links(&tree, "docs/a.md", broken).len(), 2);
    }

    #[test]
    fn workflows_have_no_rights_and_pinned_actions() {
        let good = "permissions: {}\n  - uses: a/b@0123456789012345678901234567890123456789 # v1\n";
        assert_eq!(workflow("w.yml", good), []);
        assert_eq!(workflow("w.yml", "  - uses: a/b@v1\n").len(), 2);
        let own = "permissions: {}\n    uses: $/.github/workflows/checks.yml\n";
        assert_eq!(workflow("w.yml", own), []);
    }
}
