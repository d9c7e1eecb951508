//! A version of the project (`1.2.3`) and how far a change moves it.

use std::fmt;

/// Major, minor, patch: nothing before, nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

/// How much a change asks of the one who runs the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Something was mended.
    Patch,
    /// Something is new, and what was there works as before.
    Minor,
    /// Something must be changed by whoever upgrades.
    Major,
}

impl Version {
    /// Reads `1.2.3`; a leading `v` and leading zeros are refused.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(number);
        let [major, minor, patch] = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self { major, minor, patch })
    }

    /// The next version. Before 1.0.0 a breaking change moves the minor number: 1.0.0 itself is a
    /// promise that people make, so only `--version` makes it.
    pub(crate) fn after(self, step: Step) -> Self {
        match step {
            Step::Major if self.major > 0 => Self { major: self.major + 1, minor: 0, patch: 0 },
            Step::Major | Step::Minor => Self { minor: self.minor + 1, patch: 0, ..self },
            Step::Patch => Self { patch: self.patch + 1, ..self },
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn number(part: &str) -> Option<u32> {
    let plain =
        part == "0" || (!part.starts_with('0') && part.bytes().all(|it| it.is_ascii_digit()));
    if plain { part.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Step, Version};

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn only_three_plain_numbers_are_a_version() {
        assert_eq!(version("1.20.3").to_string(), "1.20.3");
        for bad in ["v1.2.3", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "1.2.", "", "1.+2.3"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_seeds_examples_hold() {
        assert_eq!(version("1.0.0").after(Step::Patch), version("1.0.1"));
        assert_eq!(version("1.0.1").after(Step::Minor), version("1.1.0"));
        assert_eq!(version("1.1.0").after(Step::Major), version("2.0.0"));
    }

    #[test]
    fn nothing_becomes_one_by_itself() {
        assert_eq!(version("0.1.4").after(Step::Major), version("0.2.0"));
    }
}
