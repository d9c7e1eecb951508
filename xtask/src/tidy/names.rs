//! Rules for words: no drawers without a noun, and no names of one machine or of registry hosts.

use super::Finding;
use super::code;
use super::tree::Tree;

/// Words that say nothing about what is inside.
const DRAWERS: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "manager", "core", "shared", "misc", "stuff"];

/// Folders that exist on one person's machine only; written in halves so as not to find itself.
const MACHINE_FOLDERS: [(&str, &str); 4] =
    [("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")];

/// Hosts that package managers know by themselves, which mirrors replace.
const REGISTRY_HOSTS: [(&str, &str); 8] = [
    ("sta", "tic.crates.io"),
    ("in", "dex.crates.io"),
    ("pyp", "i.org"),
    ("python", "hosted.org"),
    ("registry.npm", "js.org"),
    ("de", "b.debian.org"),
    ("ft", "p.debian.org"),
    ("archive.ubu", "ntu.com"),
];

/// Checks file names, module names and every text.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".rs") {
        findings.extend(drawers(path, text));
    }
    for file in &tree.files {
        if let Some(text) = &file.text {
            findings.extend(foreign_names(&file.path, text));
        }
    }
    findings
}

fn drawers(path: &str, text: &str) -> Vec<Finding> {
    let says_nothing = |name: &str| DRAWERS.contains(&name);
    let mut findings = Vec::new();
    let mut parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
    if let Some(name) = parts.find(|part| says_nothing(part)) {
        findings
            .push(Finding::of_file(path, format!("`{name}` is not a noun: say what is inside")));
    }
    for (number, line) in (1..).zip(code::only(text).lines()) {
        let module =
            line.split_once("mod ").map(|(_, rest)| rest.trim_end_matches([' ', '{', ';']));
        if let Some(name) = module.filter(|name| says_nothing(name)) {
            let advice = format!("`{name}` is not a noun: say what is inside");
            findings.push(Finding::at_line(path, number, advice));
        }
    }
    findings
}

fn foreign_names(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (first, second) in MACHINE_FOLDERS {
            let folder = format!("{first}{second}");
            if stands_alone(line, &folder) {
                let advice = format!("`{folder}` is a folder of one machine");
                findings.push(Finding::at_line(path, number, advice));
            }
        }
        for (first, second) in REGISTRY_HOSTS {
            let host = format!("{first}{second}");
            if line.contains(&host) {
                let advice =
                    format!("`{host}`: leave the host to the package manager's own settings");
                findings.push(Finding::at_line(path, number, advice));
            }
        }
    }
    findings
}

/// Whether an absolute path begins here, rather than a path or address going on.
fn stands_alone(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| {
            before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '}' | '~' | '*')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{MACHINE_FOLDERS, REGISTRY_HOSTS, drawers, foreign_names};

    #[test]
    fn drawers_are_found_as_file_folder_and_module() {
        assert_eq!(drawers("crates/bus/src/util.rs", "").len(), 1);
        assert_eq!(drawers("crates/common/src/lib.rs", "").len(), 1);
        assert_eq!(drawers("crates/bus/src/lib.rs", "pub(crate) mod helpers {\n").len(), 1);
        assert_eq!(
            drawers("crates/bus/src/commonplace.rs", "mod core_of_it;\n// mod util;\n").len(),
            0
        );
    }

    #[test]
    fn folders_of_one_machine_are_found() {
        for (first, second) in MACHINE_FOLDERS {
            assert_eq!(foreign_names("a.md", &format!("see {first}{second}x")).len(), 1);
            assert_eq!(foreign_names("a.md", &format!("see docs{first}{second}x")).len(), 0);
        }
    }

    #[test]
    fn registry_hosts_are_found() {
        for (first, second) in REGISTRY_HOSTS {
            assert_eq!(foreign_names("a.md", &format!("https://{first}{second}/x")).len(), 1);
        }
    }
}
