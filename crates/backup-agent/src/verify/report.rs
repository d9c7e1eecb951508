//! What a verification found: kept beside the copies, told to people and to programs.

use std::path::Path;
use std::{fmt, fs, io};

use jiff::Timestamp;
use replica::disk::Disk;
use serde::{Deserialize, Serialize};

/// Which copies a point was restored from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The history that is written as the database is.
    Continuous,
    /// The snapshots of every night.
    Snapshots,
    /// A copy on a far side, by its name.
    Elsewhere(String),
}

/// Which point it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The newest.
    Latest,
    /// Any.
    Random,
    /// The oldest that is kept.
    Oldest,
    /// The one that a snapshot shows too.
    SameAsSnapshot,
}

/// One point that was restored, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The database or folder.
    pub name: String,
    /// From where.
    pub tier: Tier,
    /// Which point.
    pub which: Which,
    /// The moment it shows, where it could be restored.
    pub shows: Option<Timestamp>,
    /// The transaction it shows, where known.
    pub txid: Option<u64>,
    /// Bytes that came back.
    pub bytes: u64,
    /// How long restoring and looking took, in milliseconds.
    pub took_ms: u64,
    /// SHA-256 of what came back, in hexadecimal digits.
    pub checksum: Option<String>,
    /// What is wrong; empty for a point that is proven.
    pub faults: Vec<String>,
}

/// A whole verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Every point that was tried.
    pub points: Vec<Point>,
    /// What is wrong beyond single points: two paths that disagree, a repository that is damaged.
    pub faults: Vec<String>,
    /// What could not be tried and is no fault.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The report's name in the folder it is kept in.
pub const FILE: &str = "verification.json";

impl Report {
    /// Keeps the report in a folder, in place of the one before.
    ///
    /// # Errors
    /// What the disk said; the one before stands there still.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        Disk::default().replace(&folder.join(FILE), None, |pen| {
            serde_json::to_writer_pretty(&mut *pen, self).map_err(io::Error::from)
        })
    }

    /// The report that is kept in a folder; none where there was no verification yet.
    ///
    /// # Errors
    /// What the disk said, or that the file is no report.
    pub fn load(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether something was restored and nothing is wrong.
    pub fn is_proven(&self) -> bool {
        !self.points.is_empty() && self.all_faults().next().is_none()
    }

    /// Everything that is wrong, a line each.
    pub fn all_faults(&self) -> impl Iterator<Item = String> {
        let of_points = self.points.iter().flat_map(|point| {
            point.faults.iter().map(move |fault| format!("{}: {fault}", Said(point)))
        });
        of_points.chain(self.faults.iter().cloned())
    }

    /// Everything that was done, a line each.
    pub fn lines(&self) -> Vec<String> {
        let points = self.points.iter().map(|point| {
            let verdict = if point.faults.is_empty() { "proven" } else { "NOT proven" };
            let shows = point.shows.map_or_else(String::new, |time| format!(", as of {time}"));
            format!(
                "{verdict}: {}{shows}, {} bytes in {} ms",
                Said(point),
                point.bytes,
                point.took_ms
            )
        });
        points.chain(self.all_faults()).chain(self.notes.iter().cloned()).collect()
    }
}

/// A point in a few words.
struct Said<'a>(&'a Point);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.0.which {
            Which::Latest => "latest",
            Which::Random => "random",
            Which::Oldest => "oldest",
            Which::SameAsSnapshot => "the snapshot's",
        };
        let tier = match &self.0.tier {
            Tier::Continuous => "continuous copies",
            Tier::Snapshots => "snapshots",
            Tier::Elsewhere(name) => name,
        };
        write!(f, "{}, {which} point from {tier}", self.0.name)
    }
}
