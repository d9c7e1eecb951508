//! Timelines: a restore does not overwrite what came after the point it went back to.
//!
//! Each timeline is a tree of its own in `<folder>/timeline-0001` and so on; the highest number is
//! the one that is being followed. A new one begins with the files that brought its database back.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::TreeError;
use super::manifest::{self, Manifest, Parent};
use super::plan::{At, Plan, PlanError};
use super::retention::{Rules, Verdict, is_older};
use super::{Tree, copy};
use crate::disk::Disk;

const PREFIX: &str = "timeline-";

/// All timelines of one database.
#[derive(Debug, Clone)]
pub struct Timelines {
    folder: PathBuf,
    disk: Disk,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Its number, from 1.
    pub number: u32,
    /// Its tree.
    pub tree: Tree,
}

/// What is to become of a timeline and its files.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The timeline.
    pub timeline: Timeline,
    /// What is to become of its files, where it stays.
    pub verdicts: Vec<Verdict>,
    /// Whether it goes with everything in it.
    pub goes_whole: bool,
}

impl Timelines {
    /// The timelines in `folder`, which need not be there yet.
    pub fn new(folder: &Path, disk: Disk) -> Self {
        Self { folder: folder.to_owned(), disk }
    }

    /// All of them, oldest first. A folder that was being made when the agent died is none.
    ///
    /// # Errors
    /// A manifest that cannot be read, or what the disk said.
    pub fn list(&self) -> Result<Vec<Timeline>, TreeError> {
        let unreadable = TreeError::io("list", &self.folder);
        let found = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            found => found.map_err(&unreadable)?,
        };
        let mut timelines = Vec::new();
        for item in found {
            let item = item.map_err(&unreadable)?;
            if let Some(number) = number_of(&item.file_name().to_string_lossy()) {
                timelines
                    .push(Timeline { number, tree: Tree::open(&item.path(), self.disk.clone())? });
            }
        }
        timelines.sort_by_key(|timeline| timeline.number);
        Ok(timelines)
    }

    /// The one that is being followed; `None` before the first.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn current(&self) -> Result<Option<Timeline>, TreeError> {
        Ok(self.list()?.pop())
    }

    /// Begins an empty timeline: the first, or one for a database that is another than before.
    ///
    /// # Errors
    /// What the disk said.
    pub fn begin(
        &self,
        page_size: u32,
        began: Timestamp,
        agent: &str,
    ) -> Result<Timeline, TreeError> {
        let number = self.next_number()?;
        let manifest = Manifest { timeline: number, ..Manifest::new(page_size, began, agent) };
        self.make(number, manifest, |_| Ok(()))
    }

    /// Begins a timeline with the files that bring `plan`'s point back, which are linked where the
    /// file system allows it and copied where not.
    ///
    /// # Errors
    /// Files that are gone or damaged, or what the disk said.
    pub fn branch(
        &self,
        plan: &Plan,
        began: Timestamp,
        agent: &str,
    ) -> Result<Timeline, TreeError> {
        let number = self.next_number()?;
        let from = manifest::read(&plan.root)?;
        let parent = Some(Parent { timeline: from.timeline, txid: plan.txid });
        let manifest =
            Manifest { timeline: number, parent, ..Manifest::new(from.page_size, began, agent) };
        self.make(number, manifest, |tree| copy::link_all(plan, tree))
    }

    /// Finds the files that bring the database back at `at`. A time that lies before the current
    /// timeline began is looked for in the one that was followed then; transactions are those of
    /// the current one.
    ///
    /// # Errors
    /// Why the point cannot be reached, or what the disk said.
    pub fn plan(&self, at: At) -> Result<Plan, TreeError> {
        let mut timelines = self.list()?;
        let empty = || PlanError::Empty(self.folder.clone());
        let At::Time(time) = at else {
            return Ok(timelines.pop().ok_or_else(empty)?.tree.list()?.plan(at)?);
        };
        let oldest = timelines.first().map(|timeline| timeline.number);
        while let Some(timeline) = timelines.pop() {
            if timeline.tree.manifest().began <= time || Some(timeline.number) == oldest {
                match timeline.tree.list()?.plan(at) {
                    // A timeline may have begun a while before its first full.
                    Err(PlanError::Empty(_) | PlanError::TooOld { .. })
                        if !timelines.is_empty() => {}
                    plan => return Ok(plan?),
                }
            }
        }
        Err(empty().into())
    }

    /// Tells of every timeline what [`forget`](Self::forget) would do.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn judge(&self, rules: &Rules, now_ms: i64) -> Result<Vec<Judged>, TreeError> {
        let timelines = self.list()?;
        let mut newer_has_full = false;
        let mut judged = Vec::with_capacity(timelines.len());
        for timeline in timelines.into_iter().rev() {
            let catalogue = timeline.tree.list()?;
            let newest = catalogue.newest().map(|newest| newest.time_ms);
            let over = rules
                .age_max
                .is_some_and(|age| newest.is_none_or(|newest| is_older(now_ms, newest, age)));
            let in_use = timeline.tree.pinned()?;
            let goes_whole = newer_has_full && over && in_use.is_empty();
            newer_has_full |= catalogue.fulls().next().is_some();
            let verdicts = catalogue.judge(rules, now_ms, &in_use);
            judged.push(Judged { timeline, verdicts, goes_whole });
        }
        judged.reverse();
        Ok(judged)
    }

    /// Removes what need not be kept, in all timelines. One that was left goes whole when its
    /// newest point is older than anything is kept and a newer one has a full.
    ///
    /// # Errors
    /// As [`Tree::forget`].
    pub fn forget(&self, rules: &Rules, now_ms: i64) -> Result<Vec<Judged>, TreeError> {
        let judged = self.judge(rules, now_ms)?;
        for one in &judged {
            if one.goes_whole {
                self.remove(one.timeline.tree.root())?;
            } else {
                one.timeline.tree.forget(rules, now_ms)?;
            }
        }
        Ok(judged)
    }

    /// Takes a timeline's name away first, so that a half removed one is none.
    fn remove(&self, root: &Path) -> Result<(), TreeError> {
        let gone = root.with_extension("gone");
        let failed = TreeError::io("remove", root);
        std::fs::rename(root, &gone).map_err(&failed)?;
        self.sync()?;
        std::fs::remove_dir_all(&gone).map_err(failed)
    }

    fn sync(&self) -> Result<(), TreeError> {
        let synced = std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(TreeError::io("make durable", &self.folder))
    }

    /// Whether no timeline came after number `number`; quick enough to be asked all the time.
    pub(crate) fn is_newest(&self, number: u32) -> bool {
        !self.root_of(number.saturating_add(1)).exists()
    }

    fn root_of(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{PREFIX}{number:04}"))
    }

    fn next_number(&self) -> Result<u32, TreeError> {
        Ok(self.list()?.last().map_or(0, |last| last.number) + 1)
    }

    /// Makes a timeline under another name and lets it appear whole.
    fn make(
        &self,
        number: u32,
        manifest: Manifest,
        fill: impl FnOnce(&Tree) -> Result<(), TreeError>,
    ) -> Result<Timeline, TreeError> {
        let root = self.root_of(number);
        let new = self.folder.join(format!("{PREFIX}{number:04}.new"));
        if new.exists() {
            std::fs::remove_dir_all(&new).map_err(TreeError::io("remove the left-over", &new))?;
        }
        self.disk.create_folder(&new).map_err(TreeError::io("make the folder", &new))?;
        let tree = Tree::create(&new, manifest, self.disk.clone())?;
        fill(&tree)?;
        std::fs::rename(&new, &root).map_err(TreeError::io("name the folder", &root))?;
        self.sync()?;
        Ok(Timeline { number, tree: Tree::open(&root, self.disk.clone())? })
    }
}

fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?;
    let fits = digits.len() >= 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
    fits.then(|| digits.parse().ok()).flatten()
}
