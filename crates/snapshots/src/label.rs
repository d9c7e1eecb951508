//! What a snapshot says about itself: its data class, its name, its time.

use jiff::{Timestamp, tz::TimeZone};
use rustic_core::repofile::{SnapshotFile, StringList};
use serde::Serialize;

/// The kind of data in a snapshot, which decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// What people said and were answered.
    Conversations,
    /// The bus's streams: events, commands, results.
    Events,
    /// Settings, personas and secrets.
    Settings,
    /// Figures over time.
    Metrics,
    /// Any other volume the operator asked for.
    Volume,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Conversations, Self::Events, Self::Settings, Self::Metrics, Self::Volume];

    /// Its name in tags and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Events => "events",
            Self::Settings => "settings",
            Self::Metrics => "metrics",
            Self::Volume => "volume",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What is written on a snapshot when it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// How long it matters.
    pub class: Class,
    /// What it is of, e.g. `conversation.db`: one path component, the root of its tree.
    pub name: String,
    /// The moment it shows.
    pub time: Timestamp,
    /// For a database: the transaction it shows.
    pub txid: Option<u64>,
    /// Who takes it; the same from run to run, unlike a container's own host name.
    pub host: String,
}

/// A snapshot as the repository lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its class; none for one that something else wrote.
    pub class: Option<Class>,
    /// What it is of.
    pub name: String,
    /// The moment it shows.
    pub time: Timestamp,
    /// For a database: the transaction it shows.
    pub txid: Option<u64>,
    /// Whether something that belonged in it could not be read.
    pub partial: bool,
    /// Bytes of all files in it, where known.
    pub bytes: Option<u64>,
    /// Bytes its taking added to the repository, where known.
    pub bytes_added: Option<u64>,
}

const CLASS: &str = "class:";
const NAME: &str = "name:";
const TXID: &str = "txid:";
const AT: &str = "at:";
/// The tag of a snapshot in which something is missing.
pub(crate) const PARTIAL: &str = "partial";

impl Label {
    /// A snapshot file that says all this and holds nothing yet.
    pub(crate) fn snapshot_file(&self) -> SnapshotFile {
        let mut tags = StringList::default();
        tags.add(format!("{CLASS}{}", self.class.name()));
        // A comma would part a tag in two for stock restic.
        tags.add(format!("{NAME}{}", self.name.replace(',', "_")));
        tags.add(format!("{AT}{}", self.time));
        if let Some(txid) = self.txid {
            tags.add(format!("{TXID}{txid:016x}"));
        }
        SnapshotFile {
            time: self.time.to_zoned(TimeZone::UTC),
            program_version: format!("kotonoha {}", env!("CARGO_PKG_VERSION")),
            label: self.name.clone(),
            hostname: self.host.clone(),
            tags,
            ..SnapshotFile::default()
        }
    }
}

impl Snapshot {
    /// Reads what a snapshot file says.
    pub(crate) fn read(file: &SnapshotFile) -> Self {
        let tag = |key: &str| file.tags.iter().find_map(|tag| tag.strip_prefix(key));
        let name = tag(NAME).map_or_else(|| file.paths.to_string(), str::to_owned);
        Self {
            id: file.id.to_hex().as_str().to_owned(),
            class: tag(CLASS).and_then(Class::named),
            name,
            time: file.time.timestamp(),
            txid: tag(TXID).and_then(|digits| u64::from_str_radix(digits, 16).ok()),
            partial: file.tags.contains(PARTIAL),
            bytes: file.summary.as_ref().map(|summary| summary.total_bytes_processed),
            bytes_added: file.summary.as_ref().map(|summary| summary.data_added_packed),
        }
    }
}
