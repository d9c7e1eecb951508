//! `cargo xtask tidy`: the rules of this codebase that no compiler knows.

mod arrows;
mod code;
mod compose;
mod documents;
mod guide;
mod manifests;
mod names;
mod pages;
mod requirements;
mod sources;
mod tree;

use std::fmt;

use anyhow::Result;

use crate::fault::AlreadySaid;
use crate::say;
use crate::surroundings;
use tree::Tree;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: Option<usize>,
    text: String,
}

impl Finding {
    /// A rule broken by a file as a whole.
    fn of_file(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, text: text.into() }
    }

    /// A rule broken at one line, counted from 1.
    fn at_line(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.text),
            None => write!(formatter, "{}: {}", self.path, self.text),
        }
    }
}

/// Every rule looks at the same tree and gives back what it found.
const RULES: [fn(&Tree) -> Vec<Finding>; 8] = [
    sources::check,
    names::check,
    manifests::check,
    compose::check,
    documents::check,
    pages::check,
    requirements::check,
    tree::check,
];

/// Checks every rule and lists every place that breaks one.
pub(crate) fn run() -> Result<()> {
    let workspace = surroundings::workspace()?;
    let tree = Tree::read(&workspace)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.extend(arrows::check(&arrows::read(&workspace)?));
    for finding in &findings {
        say::aside(&finding.to_string());
    }
    if findings.is_empty() {
        say::aside(&format!("tidy: {} files, nothing to mend", tree.files.len()));
        return Ok(());
    }
    say::aside(&format!("tidy: {} places to mend", findings.len()));
    Err(AlreadySaid.into())
}
