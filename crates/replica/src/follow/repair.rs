//! Where what was shipped and the log do not join: the live pages are compared with the map.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use ltx::wal::Chain;
use ltx::{Decoder, Header};

use super::ship::put;
use super::{FaultKind, FollowError, Follower, Looked, Position, Repair};
use crate::log::Log;
use crate::pages::{MAP_FILE, PageMap, Print, print};
use crate::source::{SourceError, View};
use crate::tree::{At, Catalogue, Entry, FULLS, SHIPPED, Tree, TreeError};

/// The map is written again after this many transactions.
const MAP_EVERY: u64 = 2000;

/// The database at one moment, and where in the log that is.
struct Moment {
    view: View,
    begin: Option<Chain>,
    frames: u32,
}

impl Follower {
    /// Ships what differs between the live database and what was shipped, all of it the first
    /// time, and goes on from there. Where the log still joins, nothing is compared.
    pub(super) fn repair(&mut self) -> Result<Looked, FollowError> {
        let moment = self.moment()?;
        self.open_tree(moment.view.page_size())?;
        let restarted = self.map.is_none();
        if restarted {
            self.map = self.known_map();
        }
        if restarted && self.resumes(&moment)? {
            return self.flush();
        }
        let position = self.position_at(&moment)?;
        let looked = match self.map.take() {
            Some(map) => self.ship_difference(&map, &moment.view, position)?,
            None => self.ship_everything(&moment.view, position)?,
        };
        self.position = position;
        self.sealed = Some(moment.frames);
        self.unsealed_since = (moment.frames > 0).then(|| self.config.clock.now());
        self.save_map()?;
        Ok(looked)
    }

    /// Begins to hold the log and takes a view, both at a moment when nobody writes.
    fn moment(&mut self) -> Result<Moment, FollowError> {
        if !self.live()?.lock()? {
            return Err(self.busy());
        }
        let taken = self.take_moment();
        self.live()?.unlock()?;
        taken
    }

    fn take_moment(&mut self) -> Result<Moment, FollowError> {
        let source = self.live()?;
        source.let_go()?;
        source.hold()?;
        let frames = source.frames()?.log;
        let view = source.view()?;
        Ok(Moment { view, begin: self.begin_of_log()?, frames })
    }

    /// The tree for pages of this size: a database with others begins a timeline of its own.
    fn open_tree(&mut self, page_size: u32) -> Result<(), FollowError> {
        if self.tree.as_ref().is_some_and(|tree| tree.manifest().page_size == page_size) {
            return Ok(());
        }
        let now = self.config.clock.now();
        let timeline = self.timelines.begin(page_size, now, &self.config.agent)?;
        self.status.timeline = timeline.number;
        self.tree = Some(timeline.tree);
        self.map = None;
        (self.txid, self.saved_txid, self.last_ms) = (0, 0, 0);
        Ok(())
    }

    pub(super) fn history(&self) -> Result<&Tree, FollowError> {
        self.tree.as_ref().ok_or(FollowError::Ended)
    }

    /// The map as it is after the last transaction of the tree; `None` where there is none, or the
    /// tree cannot be read any more.
    fn known_map(&mut self) -> Option<PageMap> {
        let tree = self.tree.clone()?;
        if self.txid == 0 {
            return None;
        }
        match self.saved_map(&tree).or_else(|_| map_of_tree(&tree, self.txid)) {
            Ok(map) => Some(map),
            Err(error) => {
                let said = format!("{error}; a new full begins, on which later points are built");
                tracing::error!("{said}");
                self.status.raise(FaultKind::History, self.config.clock.now(), said);
                None
            }
        }
    }

    /// The map from its file, brought up to the last transaction by what was shipped since.
    fn saved_map(&mut self, tree: &Tree) -> Result<PageMap, FollowError> {
        let path = tree.root().join(MAP_FILE);
        let loaded = PageMap::load(&path);
        let failed = |source| FollowError::Map { action: "read", path: path.clone(), source };
        let (mut map, saved) = loaded.map_err(failed)?.ok_or(FollowError::Ended)?;
        if map.page_size() != tree.manifest().page_size || saved > self.txid {
            return Err(FollowError::Ended);
        }
        self.saved_txid = saved;
        let catalogue = tree.list()?;
        let mut reached = saved;
        while reached < self.txid {
            let next = next_file(&catalogue, reached).ok_or(FollowError::Ended)?;
            map.apply(&tree.path_of(&next))?;
            reached = next.max_txid;
        }
        Ok(map)
    }

    /// Keeps the map for the next start, where it has changed.
    pub(super) fn save_map(&mut self) -> Result<(), FollowError> {
        let (Some(tree), Some(map)) = (&self.tree, &self.map) else { return Ok(()) };
        if self.saved_txid == self.txid {
            return Ok(());
        }
        let path = tree.root().join(MAP_FILE);
        let saved = map.save(&self.config.disk, &path, self.txid);
        saved.map_err(|source| FollowError::Map { action: "write", path, source })?;
        self.saved_txid = self.txid;
        Ok(())
    }

    pub(super) fn save_map_if_due(&mut self) -> Result<(), FollowError> {
        let due = self.txid.saturating_sub(self.saved_txid) >= MAP_EVERY;
        if due { self.save_map() } else { Ok(()) }
    }

    /// Whether the log still holds what was shipped last, so that what follows it is all that is
    /// new: the same run, and every page in it up to there is what was shipped.
    fn resumes(&mut self, moment: &Moment) -> Result<bool, FollowError> {
        let (Some(begin), Some(map)) = (moment.begin, self.map.clone()) else { return Ok(false) };
        let Some(header) = self.last_header(begin.salts())? else { return Ok(false) };
        let end = header.wal_offset + header.wal_size;
        let frames = end.saturating_sub(begin.offset()) / begin.frame_bytes() as u64;
        let Ok(frames) = u32::try_from(frames) else { return Ok(false) };
        if frames == 0 || frames > moment.frames || begin.offset_after(frames) != end {
            return Ok(false);
        }
        let Some(delta) = self.read(begin, frames)? else { return Ok(false) };
        if delta.end.frames() != frames || delta.commit != map.pages() {
            return Ok(false);
        }
        let path = Log::path_of(&self.config.database);
        let mut page = vec![0; begin.page_size() as usize];
        let Some(log) = self.log()? else { return Ok(false) };
        for (pgno, at) in &delta.pages {
            log.page(*at, &mut page).map_err(SourceError::io("read", &path))?;
            if !map.is(*pgno, &print(&page)) {
                return Ok(false);
            }
        }
        self.position = Position::At(delta.end);
        self.sealed = Some(moment.frames);
        self.unsealed_since = Some(self.config.clock.now());
        Ok(true)
    }

    /// The header of the file with the last transaction, where it tells of this run of the log.
    fn last_header(&self, salts: [u32; 2]) -> Result<Option<Header>, FollowError> {
        let tree = self.history()?;
        let catalogue = tree.list()?;
        for entry in catalogue.entries().iter().filter(|entry| entry.max_txid == self.txid) {
            let path = tree.path_of(entry);
            let file = File::open(&path).map_err(|source| TreeError::Io {
                action: "open",
                path: path.clone(),
                source,
            })?;
            let decoder = Decoder::new(BufReader::new(file)).map_err(|source| TreeError::Ltx {
                action: "read",
                path: path.clone(),
                source,
            })?;
            if decoder.header().wal_salts == salts {
                return Ok(Some(*decoder.header()));
            }
        }
        Ok(None)
    }

    /// Where in the log the moment is. The log may have been started over since, while it was not
    /// held with frames in it; then this is tried again.
    fn position_at(&mut self, moment: &Moment) -> Result<Position, FollowError> {
        if moment.frames == 0 {
            return Ok(Position::Empty);
        }
        let begin = moment.begin.ok_or_else(|| self.busy())?;
        let delta = self.read(begin, moment.frames)?.ok_or_else(|| self.busy())?;
        if delta.end.frames() == moment.frames {
            Ok(Position::At(delta.end))
        } else {
            Err(self.busy())
        }
    }

    fn header_at(&mut self, pages: u32, position: Position) -> Header {
        let mut header = Header {
            page_size: self.map.as_ref().map_or(0, PageMap::page_size),
            commit: pages,
            min_txid: self.txid + 1,
            max_txid: self.txid + 1,
            timestamp_ms: self.time_ms(),
            wal_offset: 0,
            wal_size: 0,
            wal_salts: [0; 2],
        };
        if let Position::At(place) = position {
            header.wal_offset = place.offset_after(0);
            header.wal_size = place.offset() - header.wal_offset;
            header.wal_salts = place.salts();
        }
        header
    }

    fn ship_difference(
        &mut self,
        map: &PageMap,
        view: &View,
        position: Position,
    ) -> Result<Looked, FollowError> {
        let mut changed: BTreeMap<u32, Print> = BTreeMap::new();
        self.map = Some(map.clone());
        view.each(|pgno, page| {
            let print = print(page);
            if !map.is(pgno, &print) {
                changed.insert(pgno, print);
            }
            Ok::<(), FollowError>(())
        })?;
        let why = self.why.clone();
        if changed.is_empty() && map.pages() == view.pages() {
            self.note_repair(why, 0, 0);
            return Ok(Looked::Unchanged);
        }
        let header = self.header_at(view.pages(), position);
        let tree = self.history()?.clone();
        let bytes = put(&tree, SHIPPED, &header, |writer, path| {
            for pgno in changed.keys() {
                // The page was there a moment ago, in the same transaction.
                let page = view.page(*pgno)?.ok_or(FollowError::Ended)?;
                writer.page(*pgno, &page).map_err(TreeError::ltx("write", path))?;
            }
            Ok(())
        })?;
        self.shipped(&header, bytes, &changed);
        self.status.gaps += 1;
        self.note_repair(why, u32::try_from(changed.len()).unwrap_or(u32::MAX), bytes);
        Ok(Looked::Shipped(header.max_txid))
    }

    fn note_repair(&mut self, why: String, pages: u32, bytes: u64) {
        let at = self.config.clock.now();
        tracing::info!(%why, pages, bytes, "the live pages were compared with what was shipped");
        self.status.last_gap = Some(Repair { at, why, pages, bytes });
    }

    /// The first file of a history: a full.
    fn ship_everything(&mut self, view: &View, position: Position) -> Result<Looked, FollowError> {
        let mut map = PageMap::new(view.page_size());
        map.resize(view.pages());
        self.map = Some(map.clone());
        let header = Header { min_txid: 1, ..self.header_at(view.pages(), position) };
        let tree = self.history()?.clone();
        let written = put(&tree, FULLS, &header, |writer, path| {
            view.each(|pgno, page| {
                map.set(pgno, print(page));
                writer.page(pgno, page).map_err(TreeError::ltx("write", path)).map_err(Into::into)
            })
        });
        match written {
            Ok(bytes) => {
                self.map = Some(map);
                self.shipped(&header, bytes, &BTreeMap::new());
                Ok(Looked::Shipped(header.max_txid))
            }
            Err(error) => {
                self.map = None;
                Err(error)
            }
        }
    }
}

/// What the whole tree brings back.
fn map_of_tree(tree: &Tree, txid: u64) -> Result<PageMap, FollowError> {
    let plan = tree.list()?.plan(At::Txid(txid)).map_err(TreeError::from)?;
    Ok(PageMap::of_plan(tree.manifest().page_size, &plan)?)
}

/// The file that leads farthest from `reached`, fulls aside.
fn next_file(catalogue: &Catalogue, reached: u64) -> Option<Entry> {
    let files = catalogue.entries().iter().filter(|entry| !entry.is_full());
    let next = files.filter(|entry| entry.min_txid <= reached + 1 && entry.max_txid > reached);
    next.max_by_key(|entry| (entry.max_txid, entry.min_txid)).copied()
}
