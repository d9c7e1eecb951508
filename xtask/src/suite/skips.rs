//! The skips that docs/testing.md allows, each with its reason.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The table stands below a heading that begins like this.
const HEADING: &str = "## Skips";

/// What tests may say instead of running.
#[derive(Debug, Default)]
pub(crate) struct Allowed {
    beginnings: Vec<String>,
}

impl Allowed {
    /// Reads the table of the workspace's own document.
    pub(crate) fn read(workspace: &Path) -> Result<Self> {
        let path = workspace.join("docs/testing.md");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("read the allowed skips from {}", path.display()))?;
        Self::parse(&text)
    }

    /// Whether a skip with this reason is on the list.
    pub(crate) fn holds(&self, reason: &str) -> bool {
        self.beginnings.iter().any(|beginning| reason.starts_with(beginning.as_str()))
    }

    /// Rows look like ``| `skipped: no description` | why that is no hole |``.
    fn parse(text: &str) -> Result<Self> {
        let table = text
            .lines()
            .skip_while(|line| !line.starts_with(HEADING))
            .skip(1)
            .take_while(|line| !line.starts_with("## "));
        let mut beginnings = Vec::new();
        for line in table {
            let mut cells = line.trim().trim_matches('|').split('|').map(str::trim);
            let Some(said) = cells.next().and_then(|cell| cell.strip_prefix("`skipped: ")) else {
                continue;
            };
            let said = said.trim_end_matches('`').trim();
            let reason = cells.next().unwrap_or_default();
            ensure!(!said.is_empty() && !reason.is_empty(), "read a skip with its reason: {line}");
            beginnings.push(said.to_owned());
        }
        Ok(Self { beginnings })
    }
}

#[cfg(test)]
mod tests {
    use super::Allowed;

    const TABLE: &str = "# Tests\n| `skipped: before` | not ours |\n\n## Skips that are allowed\n\n\
        | the test says | why |\n|---|---|\n| `skipped: no browser` | it is large |\n\n\
        ## After\n| `skipped: after` | not ours |\n";

    #[test]
    fn only_what_stands_under_the_heading_is_allowed() {
        let allowed = Allowed::parse(TABLE).unwrap();
        assert!(allowed.holds("no browser on this machine"));
        assert!(!allowed.holds("before") && !allowed.holds("after"));
        assert!(!allowed.holds("the test says"));
    }

    #[test]
    fn a_skip_without_a_reason_is_refused() {
        let text = "## Skips\n| `skipped: no browser` | |\n";
        assert!(Allowed::parse(text).is_err());
    }
}
