//! The release notes, in the headings that the operators agreed on.

use std::fmt::Write as _;

use super::commits::{Commit, Heading};
use super::version::Version;

/// What the notes say beside the commits.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// Known problems, one sentence each.
    pub(crate) known_issues: Vec<String>,
    /// What to do before or after the upgrade, in order.
    pub(crate) upgrade_steps: Vec<String>,
}

/// Writes the notes of one release.
pub(crate) fn write(version: Version, commits: &[Commit], remarks: &Remarks) -> String {
    let mut text = format!("# v{version} リリースノート\n");
    for (title, heading) in [
        ("新機能", Heading::Features),
        ("改善", Heading::Improvements),
        ("バグ修正", Heading::Fixes),
    ] {
        let notes = commits.iter().filter_map(|commit| commit.note.as_ref());
        let items: Vec<&str> =
            notes.filter(|(its, _)| *its == heading).map(|(_, text)| text.as_str()).collect();
        section(&mut text, title, items.iter().map(|item| format!("- {item}")), "- ありません");
    }
    let known = commits.iter().flat_map(|commit| &commit.known_issues);
    let known = remarks.known_issues.iter().chain(known).map(|item| format!("- {item}"));
    section(&mut text, "既知の問題", known, "- ありません");
    let steps = commits.iter().flat_map(|commit| &commit.upgrade_steps);
    let steps = (1..).zip(remarks.upgrade_steps.iter().chain(steps));
    let steps = steps.map(|(number, step)| format!("{number}. {step}"));
    section(
        &mut text,
        "アップグレード手順",
        steps,
        "1. 新しい版にするだけです。ほかにすることはありません",
    );
    text
}

fn section(text: &mut String, title: &str, items: impl Iterator<Item = String>, none: &str) {
    let items: Vec<String> = items.collect();
    let items = if items.is_empty() { none.to_owned() } else { items.join("\n") };
    write!(text, "\n## {title}\n\n{items}\n").expect("a string takes everything");
}

/// The items of a list in a document: lines that begin with `- ` or a number, joined with what follows them.
pub(crate) fn items(document: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in document.lines() {
        let item = line.strip_prefix("- ").or_else(|| {
            let (number, rest) = line.split_once(". ")?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
        });
        match (item, items.last_mut()) {
            (Some(item), _) => items.push(item.trim().to_owned()),
            (None, Some(last)) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => {}
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::{Remarks, items, write};
    use crate::release::version::Version;

    #[test]
    fn a_release_without_remarks_says_so_under_every_heading() {
        let text = write(Version::parse("1.2.0").unwrap(), &[], &Remarks::default());
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            headings,
            [
                "# v1.2.0 リリースノート",
                "## 新機能",
                "## 改善",
                "## バグ修正",
                "## 既知の問題",
                "## アップグレード手順"
            ]
        );
        assert_eq!(text.matches("- ありません").count(), 4);
        assert!(text.contains("1. 新しい版にするだけです"));
    }

    #[test]
    fn items_are_read_from_lists_of_both_kinds() {
        let document = "# Words\n\nSomething.\n\n- one\n  more\n- two\n1. three\nno item\n";
        assert_eq!(items(document), ["one more", "two", "three"]);
    }
}
