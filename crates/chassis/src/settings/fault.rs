//! A fault is one thing wrong with the configuration and what to do about it.

use std::fmt;

/// What a person can do about a fault: English, and Japanese where it is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    english: String,
    japanese: Option<String>,
}

impl Hint {
    /// The English sentence.
    pub fn english(&self) -> &str {
        &self.english
    }

    /// The Japanese sentence, if there is one.
    pub fn japanese(&self) -> Option<&str> {
        self.japanese.as_deref()
    }
}

impl From<&str> for Hint {
    fn from(english: &str) -> Self {
        Self { english: english.to_owned(), japanese: None }
    }
}

impl From<String> for Hint {
    fn from(english: String) -> Self {
        Self { english, japanese: None }
    }
}

impl From<(&str, &str)> for Hint {
    fn from((english, japanese): (&str, &str)) -> Self {
        Self { english: english.to_owned(), japanese: Some(japanese.to_owned()) }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.english)?;
        match &self.japanese {
            Some(japanese) => write!(formatter, " / {japanese}"),
            None => Ok(()),
        }
    }
}

/// One thing wrong with the configuration: where, what, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting, file or address at fault, e.g. `DISCORD_TOKEN`.
    pub key: String,
    /// What is wrong with it; never holds a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: Hint,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} ({})", self.key, self.problem, self.remedy)
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
        problem: impl Into<String>,
        remedy: impl Into<Hint>,
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
        let noun = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(formatter, "{} configuration {noun}:", self.0.len())?;
        for (number, fault) in self.0.iter().enumerate() {
            write!(formatter, "\n  {}. {} {}", number + 1, fault.key, fault.problem)?;
            write!(formatter, "\n     remedy: {}", fault.remedy.english())?;
            if let Some(japanese) = fault.remedy.japanese() {
                write!(formatter, "\n     対処: {japanese}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
