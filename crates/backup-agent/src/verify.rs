//! Verification is a real restore that nobody needed, looked at as if somebody did.
//!
//! Of each database the latest point, any point and the oldest one are restored from each kind of
//! copy into a scratch folder and looked into; one point that both kinds of copies have must come
//! back the same from both, byte for byte; and every repository of snapshots is read whole. A
//! fault ends nothing: everything is tried, and all of it is told.

mod far;
mod folders;
mod rehearsal;
mod report;
mod sentinel;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use replica::inspect::Contents;
use replica::tree::Timelines;
use snapshots::{Depth, Repository};

pub use far::{Fetched, fetch};
use rehearsal::Rehearsal;
pub use report::{FILE, Point, Report, Tier, Which};
pub use sentinel::judge;

/// A database and where its histories are.
#[derive(Debug)]
pub struct Database<'a> {
    /// Its name.
    pub name: &'a str,
    /// The file itself; none where it is lost, or not of this machine.
    pub live: Option<&'a Path>,
    /// Its history on this machine.
    pub timelines: &'a Timelines,
    /// What its image is called in snapshots.
    pub image: &'a str,
}

/// Brings the history of a database from a far side into a folder: mostly [`fetch`].
pub type Fetch<'a> = dyn Fn(&str, &Path) -> anyhow::Result<Fetched> + 'a;

/// A far side that keeps histories.
pub struct Elsewhere<'a> {
    /// Its name.
    pub name: &'a str,
    /// How to have a history from there.
    pub fetch: &'a Fetch<'a>,
}

impl std::fmt::Debug for Elsewhere<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elsewhere").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A repository of snapshots.
#[derive(Debug)]
pub struct Snapshots<'a> {
    /// Which copies it is.
    pub tier: Tier,
    /// The repository.
    pub repository: &'a Repository,
    /// How far it is read.
    pub depth: Depth,
}

/// Everything that is verified.
#[derive(Debug)]
pub struct Copies<'a> {
    /// The databases.
    pub databases: Vec<Database<'a>>,
    /// Repositories with images of databases.
    pub images: Vec<Snapshots<'a>>,
    /// Repositories with folders.
    pub folders: Vec<Snapshots<'a>>,
    /// Far sides with histories; one suffices a time.
    pub elsewhere: Vec<Elsewhere<'a>>,
}

/// How it is done.
pub struct How<'a> {
    /// A folder for what is restored, on a disk with room for the largest database. What is in it
    /// is removed.
    pub scratch: PathBuf,
    /// How much may be lost at most.
    pub rpo: SignedDuration,
    /// A number below the one that is given: which of many points is tried.
    pub dice: &'a dyn Fn(usize) -> usize,
    /// Whether to end soon.
    pub stop: &'a dyn Fn() -> bool,
    /// Hears what is being done.
    pub say: &'a dyn Fn(&str),
}

impl std::fmt::Debug for How<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

/// Does a whole verification.
///
/// # Errors
/// Where nothing can be tried at all: the scratch folder cannot be made.
pub fn run(copies: &Copies<'_>, how: &How<'_>) -> anyhow::Result<Report> {
    let mut rehearsal = Rehearsal::begin(how)?;
    for database in &copies.databases {
        // What the database itself holds is asked first: everything restored is newer than that.
        let live = database.live.and_then(|path| contents(path, &mut rehearsal));
        rehearsal.continuous(database, live.as_ref());
        for far in &copies.elsewhere {
            rehearsal.elsewhere(database, far, live.as_ref());
        }
        for images in &copies.images {
            rehearsal.images(database, images, live.as_ref());
            rehearsal.both_paths(database, images);
        }
    }
    for folders in &copies.folders {
        rehearsal.folders(folders);
    }
    for repository in copies.images.iter().chain(&copies.folders) {
        rehearsal.whole(repository);
    }
    Ok(rehearsal.end())
}

fn contents(path: &Path, rehearsal: &mut Rehearsal<'_>) -> Option<Contents> {
    match replica::inspect::contents_of_live(path) {
        Ok(contents) => Some(contents),
        Err(error) => {
            // Copies matter most when the database itself cannot be read any more.
            rehearsal.fault(format!("the database itself cannot be asked: {error}"));
            None
        }
    }
}

/// A moment in milliseconds since 1970.
fn moment(time_ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(time_ms).ok()
}

#[cfg(test)]
mod tests;
