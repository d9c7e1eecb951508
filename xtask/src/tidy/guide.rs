//! The people's page for a NAS as steps, which a rule holds to the files they speak of.
//!
//! Above each step stands a mark that no reader sees: `<!-- step NAME -->` for what can be
//! followed without a person, `<!-- click NAME -->` for what only a person can do.

/// The page in both languages; the first is the one that people are led to.
pub(crate) const PAGES: [&str; 2] = ["docs/deploy-nas.ja.md", "docs/deploy-nas.md"];

/// The steps of one page, in order.
#[derive(Debug, Default)]
pub(crate) struct Guide {
    pub(crate) steps: Vec<Step>,
}

/// One step: from its mark to the next heading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Whether only a person can do it.
    pub(crate) by_hand: bool,
    text: String,
}

impl Guide {
    /// Reads a page.
    pub(crate) fn parse(page: &str) -> Self {
        let mut guide = Self::default();
        let mut inside = false;
        for line in page.lines() {
            if let Some((by_hand, name)) = mark(line) {
                guide.steps.push(Step { name: name.to_owned(), by_hand, text: String::new() });
                inside = true;
            } else if line.starts_with('#') {
                inside = false;
            } else if let Some(step) = guide.steps.last_mut().filter(|_| inside) {
                step.text.push_str(line);
                step.text.push('\n');
            }
        }
        guide
    }

    /// The step of that name.
    pub(crate) fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }
}

impl Step {
    /// What stands in backticks at the head of a table's row or of a list's item.
    pub(crate) fn heads(&self) -> Vec<&str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("| `").or_else(|| line.strip_prefix("- `")))
            .filter_map(|rest| rest.split_once('`').map(|(head, _)| head))
            .collect()
    }
}

/// What stands in backticks, outside of fenced blocks, with its line counted from 1.
pub(crate) fn quoted(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(page.lines()) {
        fenced ^= line.starts_with("```");
        if !fenced && !line.starts_with("```") {
            found.extend(line.split('`').skip(1).step_by(2).map(|text| (number, text)));
        }
    }
    found
}

fn mark(line: &str) -> Option<(bool, &str)> {
    let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    inner
        .strip_prefix("step ")
        .map(|name| (false, name))
        .or_else(|| inner.strip_prefix("click ").map(|name| (true, name)))
}

#[cfg(test)]
mod tests {
    use super::{Guide, quoted};

    const PAGE: &str = "# Page\n\n## One\n\n<!-- click first -->\n\nDo `this`.\n\n## Two\n\n\
        <!-- step second -->\n\n| line | what |\n|---|---|\n| `A` | `b` |\n\n- `c/d`\n\n## After\n\n| `E` | no step |\n";

    #[test]
    fn steps_are_read_in_order_with_what_they_name() {
        let guide = Guide::parse(PAGE);
        let names: Vec<(&str, bool)> =
            guide.steps.iter().map(|step| (step.name.as_str(), step.by_hand)).collect();
        assert_eq!(names, [("first", true), ("second", false)]);
        assert_eq!(guide.step("second").unwrap().heads(), ["A", "c/d"]);
        assert_eq!(guide.step("third"), None);
    }

    #[test]
    fn what_is_fenced_is_no_name() {
        assert_eq!(quoted("a `b` `c`\n```json\n`d`\n```\n`e`\n"), [(1, "b"), (1, "c"), (5, "e")]);
    }
}
