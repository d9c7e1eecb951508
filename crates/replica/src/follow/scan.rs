//! The whole database at one exact transaction: as a full, or held against what was shipped.

mod image;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ltx::Header;

use super::{FollowError, Follower};
use crate::pages::{PageMap, print};
use crate::source::View;
use crate::tree::{At, Entry, FULLS, Tree, TreeError};

pub use image::Image;

/// How often the writers are asked to wait.
const TRIES: usize = 5;

/// A view of the live database right after a transaction. It can be read on another thread while
/// following goes on; the log grows as long as it is there.
#[derive(Debug)]
pub struct Scan {
    view: View,
    tree: Tree,
    /// The transaction.
    pub txid: u64,
    time_ms: i64,
    map: PageMap,
    doubt: Arc<AtomicBool>,
}

/// A full that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullDone {
    /// The file.
    pub entry: Entry,
    /// Pages that were not what was shipped before, by number; none where all is well. They are
    /// right in the full, and following ships them too.
    pub differing: Vec<u32>,
}

/// What an audit found: page numbers, none where all is well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// The transaction after which everything was compared.
    pub txid: u64,
    /// How many pages were compared.
    pub pages: u32,
    /// Pages of the live database that are not what was shipped. Following ships them now; what was
    /// shipped before stays as it is.
    pub live: Vec<u32>,
    /// Pages of the history that are not what was shipped: the history was changed since.
    pub history: Vec<u32>,
}

impl Audit {
    /// Whether everything is as it should be.
    pub fn is_well(&self) -> bool {
        self.live.is_empty() && self.history.is_empty()
    }
}

impl Follower {
    /// Takes a view of the database at an exact transaction.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn scan(&mut self) -> Result<Scan, FollowError> {
        self.look()?;
        for _ in 0..TRIES {
            if let Some(view) = self.locked(|follower| Ok(follower.live()?.view()?))? {
                let map = self.map.clone().ok_or(FollowError::Ended)?;
                let (tree, doubt) = (self.history()?.clone(), Arc::clone(&self.doubt));
                return Ok(Scan { view, tree, txid: self.txid, time_ms: self.last_ms, map, doubt });
            }
            self.look()?;
        }
        Err(self.busy())
    }
}

impl Scan {
    /// Writes a full of the view, and compares it with what was shipped on the way. One that is
    /// there already stays.
    ///
    /// # Errors
    /// What stands in the way; nothing is there then that was not before.
    pub fn full(self) -> Result<FullDone, FollowError> {
        let catalogue = self.tree.list()?;
        if let Some(entry) = catalogue.fulls().find(|full| full.max_txid == self.txid) {
            return Ok(FullDone { entry: *entry, differing: self.compare()? });
        }
        let header = Header {
            page_size: self.view.page_size(),
            commit: self.view.pages(),
            min_txid: 1,
            max_txid: self.txid,
            timestamp_ms: self.time_ms,
            wal_offset: 0,
            wal_size: 0,
            wal_salts: [0; 2],
        };
        let mut differing = Vec::new();
        let path = self.tree.root().to_owned();
        let entry = self.tree.put(FULLS, &header, |writer| {
            self.view.each(|pgno, page| {
                if !self.map.is(pgno, &print(page)) {
                    differing.push(pgno);
                }
                writer.page(pgno, page).map_err(TreeError::ltx("write", &path))?;
                Ok::<(), FollowError>(())
            })
        })?;
        self.tell(&differing);
        Ok(FullDone { entry, differing })
    }

    /// Compares the view and the whole history with what was shipped.
    ///
    /// # Errors
    /// What cannot be read; a file of the history that is damaged is one.
    pub fn audit(self) -> Result<Audit, FollowError> {
        let live = self.compare()?;
        let plan = self.tree.list()?.plan(At::Txid(self.txid)).map_err(TreeError::from)?;
        let history = PageMap::of_plan(self.view.page_size(), &plan)?.differing(&self.map);
        Ok(Audit { txid: self.txid, pages: self.view.pages(), live, history })
    }

    fn compare(&self) -> Result<Vec<u32>, FollowError> {
        let mut differing = Vec::new();
        self.view.each(|pgno, page| {
            if !self.map.is(pgno, &print(page)) {
                differing.push(pgno);
            }
            Ok::<(), FollowError>(())
        })?;
        let beyond = self.view.pages() + 1..=self.map.pages();
        differing.extend(beyond);
        self.tell(&differing);
        Ok(differing)
    }

    fn tell(&self, differing: &[u32]) {
        if !differing.is_empty() {
            self.doubt.store(true, Ordering::Relaxed);
        }
    }
}
