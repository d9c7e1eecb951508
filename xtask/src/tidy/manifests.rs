//! Rules for Cargo manifests: versions in one place, sorted, and the same lints everywhere.

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

const ROOT: &str = "Cargo.toml";
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the root's manifest and every member's.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending("Cargo.toml") {
        match text.parse::<Table>() {
            Err(error) => findings.push(Finding::of_file(path, format!("is no TOML: {error}"))),
            Ok(manifest) if path == ROOT => findings.extend(root(text, &manifest)),
            Ok(manifest) => findings.extend(member(path, &manifest)),
        }
    }
    findings
}

/// Our own crates come first, then the foreign ones; each part in order.
fn root(text: &str, manifest: &Table) -> Vec<Finding> {
    let own = |name: &str| {
        let entry = manifest.get("workspace").and_then(|part| part.get("dependencies"));
        entry.and_then(|part| part.get(name)).is_some_and(|entry| entry.get("path").is_some())
    };
    let names: Vec<(usize, &str)> = (1..)
        .zip(text.lines())
        .skip_while(|(_, line)| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter_map(|(number, line)| Some((number, line.split_once('=')?.0.trim())))
        .collect();
    names
        .windows(2)
        .filter(|pair| (!own(pair[0].1), pair[0].1) > (!own(pair[1].1), pair[1].1))
        .map(|pair| {
            let advice = format!("`{}` stands after `{}`: sort them", pair[1].1, pair[0].1);
            Finding::at_line(ROOT, pair[1].0, advice)
        })
        .collect()
}

fn member(path: &str, manifest: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let inherits = |value: Option<&Value>| {
        value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
    };
    if !inherits(manifest.get("lints")) {
        findings
            .push(Finding::of_file(path, "take the workspace's lints: `[lints] workspace = true`"));
    }
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets =
        targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    for table in std::iter::once(manifest).chain(targets) {
        for section in SECTIONS {
            let entries = table.get(section).and_then(Value::as_table).into_iter().flatten();
            for (name, _) in entries.filter(|(_, entry)| !inherits(Some(entry))) {
                let advice =
                    format!("`{name}`: its version belongs in the root, `{name}.workspace = true`");
                findings.push(Finding::of_file(path, advice));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::tree::Tree;

    const GOOD_ROOT: &str = "[workspace.dependencies]\nbus = { path = \"crates/bus\" }\n\nanyhow = \"1\"\nserde = \"1\"\n\n[profile.dev]\n";
    const GOOD: &str = "[package]\nname = \"bus\"\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_manifests_have_nothing_to_mend() {
        assert_eq!(found(&[("Cargo.toml", GOOD_ROOT), ("crates/bus/Cargo.toml", GOOD)]), [""; 0]);
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let text = GOOD.replace("serde.workspace = true", "serde = \"1\"");
        let found = found(&[("crates/bus/Cargo.toml", &text)]);
        assert!(found.len() == 1 && found[0].contains("`serde`"), "{found:?}");
    }

    #[test]
    fn missing_lints_and_target_sections_are_found() {
        let text = "[package]\nname = \"a\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n";
        assert_eq!(found(&[("crates/a/Cargo.toml", text)]).len(), 2);
    }

    #[test]
    fn an_unsorted_root_is_found_at_its_line() {
        let text = GOOD_ROOT.replace("anyhow", "zstd");
        assert_eq!(
            found(&[("Cargo.toml", &text)]),
            ["Cargo.toml:5: `serde` stands after `zstd`: sort them"]
        );
    }
}
