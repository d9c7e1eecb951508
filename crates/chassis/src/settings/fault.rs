//! A fault is one thing wrong with the configuration and what to do about it.

use std::fmt;

use crate::words::{Reading, Words};

/// One thing wrong with the configuration: where, what, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting, file or address at fault, e.g. `DISCORD_TOKEN`.
    pub key: String,
    /// What is wrong with it; reads on after the key, never holds a secret.
    pub problem: Words,
    /// What to do about it.
    pub remedy: Words,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} ({})", self.key, self.problem.english(), self.remedy.english())?;
        if self.problem.japanese().is_none() && self.remedy.japanese().is_none() {
            return Ok(());
        }
        let (problem, remedy) = (self.problem.in_language(true), self.remedy.in_language(true));
        write!(formatter, " / {} {problem} ({remedy})", self.key)
    }
}

/// Everything found wrong with the configuration.
///
/// A service that learns of such a fault late (Discord answers 401) returns one of these from its
/// `run`; it is then treated exactly as a fault found at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A single fault: `key` names the setting, `problem` reads on after it.
    pub fn one(
        key: impl Into<String>,
        problem: impl Into<Words>,
        remedy: impl Into<Words>,
    ) -> Self {
        Self(vec![Fault { key: key.into(), problem: problem.into(), remedy: remedy.into() }])
    }

    /// The faults in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All faults on one line, for a log.
    pub fn one_line(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|fault| fault.to_string().replace('\n', " ")).collect();
        parts.join("; ")
    }

    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.listed(Reading::Both))
    }
}

impl Faults {
    /// The faults as a list for the person at the terminal.
    pub(crate) fn listed(&self, reading: Reading) -> String {
        let noun = if self.0.len() == 1 { "fault" } else { "faults" };
        let mut lines = vec![match reading {
            Reading::Japanese => format!("設定に {} 件の問題があります:", self.0.len()),
            Reading::English | Reading::Both => format!("{} configuration {noun}:", self.0.len()),
        }];
        for (number, fault) in self.0.iter().enumerate() {
            let (number, key) = (number + 1, &fault.key);
            let japanese = reading == Reading::Japanese;
            let problem = fault.problem.in_language(japanese);
            let remedy = fault.remedy.in_language(japanese);
            let word = if japanese { "対処" } else { "remedy" };
            lines.push(format!("  {number}. {key} {problem}"));
            lines.push(format!("     {word}: {remedy}"));
            if reading == Reading::Both {
                let problem = fault.problem.japanese();
                lines.extend(problem.map(|problem| format!("     問題: {key} {problem}")));
                let remedy = fault.remedy.japanese();
                lines.extend(remedy.map(|remedy| format!("     対処: {remedy}")));
            }
        }
        lines.join("\n")
    }
}

impl std::error::Error for Faults {}
