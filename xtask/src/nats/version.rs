//! A version number of nats-server, read from what the server says about itself.

use std::fmt;

/// Major, minor, patch; what follows a patch (`-RC.1`) is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    /// The first word of a text that is a version, with or without its `v`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| Self::parse(word.trim_start_matches('v')))
    }

    fn parse(word: &str) -> Option<Self> {
        let mut parts = word.splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let rest = parts.next()?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major, minor, patch: rest[..end].parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn a_version_is_found_in_what_a_server_says() {
        let found = Version::find("nats-server: v2.15.1\n").unwrap();
        assert_eq!(found, Version { major: 2, minor: 15, patch: 1 });
        assert_eq!(Version::find("nats-server: v2.12.0-RC.1").unwrap().to_string(), "2.12.0");
        assert_eq!(Version::find("nats-server: latest"), None);
        assert_eq!(Version::find("2.x.1"), None);
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_letter() {
        let old = Version { major: 2, minor: 9, patch: 10 };
        let new = Version { major: 2, minor: 11, patch: 0 };
        assert!(old < new);
    }
}
