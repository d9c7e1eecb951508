//! The rule for docs/requirements.md: every requirement once, each with a test, `later`, or a reason.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const DOCUMENT: &str = "docs/requirements.md";
/// The requirements are numbered R1 to this.
const LAST: usize = 127;

/// Checks that no requirement is missing, doubled, or mapped to a test that is not there.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(DOCUMENT) else {
        return vec![Finding::of_file(DOCUMENT, "is missing")];
    };
    let functions = function_names(tree);
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((requirement, mapping)) = row(line) else { continue };
        if !(1..=LAST).contains(&requirement) || !seen.insert(requirement) {
            let advice = format!("R{requirement} stands here twice or is no requirement");
            findings.push(Finding::at_line(DOCUMENT, number, advice));
        }
        for fault in faults(mapping, tree, &functions) {
            findings.push(Finding::at_line(DOCUMENT, number, format!("R{requirement}: {fault}")));
        }
    }
    let missing = (1..=LAST).filter(|requirement| !seen.contains(requirement));
    findings
        .extend(missing.map(|number| Finding::of_file(DOCUMENT, format!("R{number} is missing"))));
    findings
}

/// A table row whose first cell is `R<number>`; its last cell says what holds the requirement.
fn row(line: &str) -> Option<(usize, &str)> {
    let cells = line.trim().strip_prefix('|')?.trim_end().trim_end_matches('|');
    let (first, rest) = cells.split_once('|')?;
    let requirement = first.trim().trim_matches('*').strip_prefix('R')?.parse().ok()?;
    Some((requirement, rest.rsplit('|').next().unwrap_or(rest).trim()))
}

fn faults(mapping: &str, tree: &Tree, functions: &BTreeSet<&str>) -> Vec<String> {
    let lower = mapping.to_lowercase();
    if lower.starts_with("later") {
        return Vec::new();
    }
    if let Some(reason) = lower.strip_prefix("not applicable") {
        let reason = reason.trim_start_matches([',', ' ']).strip_prefix("because");
        let given = reason.is_some_and(|reason| !reason.trim_matches(['…', '.', ' ']).is_empty());
        return if given {
            Vec::new()
        } else {
            vec!["say `not applicable, because …`".to_owned()]
        };
    }
    let cited: Vec<&str> = mapping.split('`').skip(1).step_by(2).collect();
    if cited.is_empty() {
        return vec!["name a test, or say `later`, or `not applicable, because …`".to_owned()];
    }
    cited
        .iter()
        .filter(|name| !exists(name, tree, functions))
        .map(|name| format!("`{name}` is neither a test nor a file of this tree"))
        .collect()
}

/// A path of the tree, a function by its last segment, or a chore.
fn exists(name: &str, tree: &Tree, functions: &BTreeSet<&str>) -> bool {
    let function = name.rsplit("::").next().unwrap_or(name);
    functions.contains(function) || tree.has(name) || name.starts_with("cargo xtask ")
}

fn function_names(tree: &Tree) -> BTreeSet<&str> {
    tree.with_ending(".rs")
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.trim_start().split_once("fn "))
        .filter_map(|(_, rest)| rest.split(['(', '<']).next())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::{LAST, check, faults, function_names, row};
    use crate::tidy::tree::Tree;

    const TESTS: &str = "//! T.\n#[tokio::test]\nasync fn a_mention_is_answered() {}\n";

    fn document(mapping_of: impl Fn(usize) -> String) -> String {
        (1..=LAST).fold(
            String::from("| no | what | held by |\n|---|---|---|\n"),
            |mut text, number| {
                writeln!(text, "| R{number} | words | {} |", mapping_of(number)).unwrap();
                text
            },
        )
    }

    fn found(document: &str) -> Vec<String> {
        let tree =
            Tree::of(&[("docs/requirements.md", document), ("crates/a/tests/it/a.rs", TESTS)]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_document_has_nothing_to_mend() {
        let text = document(|number| match number % 3 {
            0 => "later".to_owned(),
            1 => "`a::it::a_mention_is_answered`".to_owned(),
            _ => "not applicable, because it is about another bot".to_owned(),
        });
        assert_eq!(found(&text), [""; 0]);
    }

    #[test]
    fn missing_and_doubled_requirements_are_found() {
        let text = document(|_| "later".to_owned()).replace("| R7 ", "| R8 ");
        let found = found(&text);
        assert!(found.iter().any(|text| text.contains("R8 stands here twice")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("R7 is missing")), "{found:?}");
    }

    #[test]
    fn a_mapping_must_say_something_true() {
        let tree = Tree::of(&[("crates/a/tests/it/a.rs", TESTS)]);
        let functions = function_names(&tree);
        for bad in ["", "soon", "not applicable", "not applicable, because …", "`no_such_test`"] {
            assert_eq!(faults(bad, &tree, &functions).len(), 1, "{bad}");
        }
        assert_eq!(
            faults("`crates/a/tests/it/a.rs` and `it::a_mention_is_answered`", &tree, &functions)
                .len(),
            0
        );
    }

    #[test]
    fn rows_are_told_from_other_lines() {
        assert_eq!(row("| R12 | words | later |"), Some((12, "later")));
        assert_eq!(row("| no | what | held by |"), None);
        assert_eq!(row("R12 in a sentence"), None);
    }
}
