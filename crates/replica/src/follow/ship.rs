//! From the log into the tree: what was committed since the last look.

use std::collections::BTreeMap;

use ltx::Header;
use ltx::wal::{Chain, Delta};

use super::{FollowError, Follower, Looked, Position};
use crate::gate;
use crate::log::Log;
use crate::pages::{Print, print};
use crate::source::SourceError;
use crate::tree::{SHIPPED, Tree, TreeError};

/// How often a look begins anew because the log was started over in the middle of it.
const TRIES: usize = 4;
/// What is kept in memory at most while writers wait.
const HELD_BYTES_MAX: u64 = 32 << 20;

/// Transactions that were read from the log.
#[derive(Debug)]
pub(super) struct Batch {
    from: Chain,
    delta: Delta,
    /// The pages' content, where the log may be started over before they are shipped, and pages
    /// that the log does not have.
    held: BTreeMap<u32, Vec<u8>>,
}

/// What the log holds beyond the position.
pub(super) enum Tail {
    /// Nothing.
    Nothing,
    /// It does not join what was shipped: the position is lost.
    Gap,
    /// This.
    New(Box<Batch>),
}

impl Follower {
    /// Ships what is new. What waits from a seal goes first.
    pub(super) fn flush(&mut self) -> Result<Looked, FollowError> {
        let waited = self.ship_pending()?;
        match self.tail()? {
            Tail::Nothing => Ok(waited),
            Tail::Gap => self.repair(),
            Tail::New(batch) => {
                let known = self.map.as_ref().map_or(0, crate::pages::PageMap::pages);
                if Self::unwritten(&batch, known).is_empty() {
                    return self.ship(&batch);
                }
                // They are the same only as long as nobody writes.
                let locked = self.locked(|_| Ok(()))?;
                locked.map_or_else(|| Err(self.busy()), |()| Ok(Looked::Shipped(self.txid)))
            }
        }
    }

    pub(super) fn busy(&self) -> FollowError {
        FollowError::Busy(self.config.database.clone())
    }

    pub(super) fn ship_pending(&mut self) -> Result<Looked, FollowError> {
        let Some(batch) = self.pending.take() else { return Ok(Looked::Nothing) };
        let shipped = self.ship(&batch);
        if shipped.is_err() {
            // The log may have been started over since: this is the only copy.
            self.pending = Some(batch);
        }
        shipped
    }

    /// Reads what the log holds beyond the position. Whether it is still the same run is looked at
    /// first, and every frame tells by its salts that it is.
    pub(super) fn tail(&mut self) -> Result<Tail, FollowError> {
        for _ in 0..TRIES {
            let begin = self.begin_of_log()?;
            let frames = self.live()?.frames()?.log;
            let place = match (self.position, begin) {
                (Position::Unknown, _) => return Ok(Tail::Gap),
                (Position::At(place), _) if frames == 0 && self.sealed != Some(place.frames()) => {
                    self.lose_position("the log was emptied before it was read");
                    return Ok(Tail::Gap);
                }
                (_, _) if frames == 0 => {
                    self.status.log_bytes = 0;
                    return Ok(Tail::Nothing);
                }
                // The first frames are being written, or the file was opened a moment too early.
                (_, None) => continue,
                (Position::Empty, Some(begin)) => begin,
                (Position::At(place), Some(begin)) if place.salts() == begin.salts() => place,
                (Position::At(place), Some(begin)) => {
                    if !self.joins(place, begin) {
                        self.lose_position("the log was started over before it was read");
                        return Ok(Tail::Gap);
                    }
                    begin
                }
            };
            self.status.log_bytes = place.offset_after(frames);
            if frames == place.frames() {
                return Ok(Tail::Nothing);
            }
            let delta = self.read(place, frames)?;
            // Fewer than SQLite counts: the log was started over between the two looks.
            if let Some(delta) = delta.filter(|delta| delta.end.frames() == frames) {
                if self.position != Position::At(place) {
                    self.position = Position::At(place);
                    self.sealed = None;
                }
                return Ok(Tail::New(Box::new(Batch {
                    from: place,
                    delta,
                    held: BTreeMap::new(),
                })));
            }
        }
        // Not a matter of a moment: what SQLite counts is not in the file.
        self.lose_position("the log did not hold what SQLite counts in it");
        Ok(Tail::Gap)
    }

    /// Whether the run that begins at `begin` follows on the one that was read up to `place`: our
    /// reader began when everything was shipped, so that the log was started over once since. The
    /// salts cannot tell: a connection that never did so before takes random ones.
    fn joins(&self, place: Chain, begin: Chain) -> bool {
        self.sealed == Some(place.frames()) && begin.page_size() == place.page_size()
    }

    pub(super) fn begin_of_log(&mut self) -> Result<Option<Chain>, FollowError> {
        let path = Log::path_of(&self.config.database);
        let Some(log) = self.log()? else { return Ok(None) };
        Ok(log.begin().map_err(SourceError::io("read", &path))?)
    }

    pub(super) fn read(&mut self, from: Chain, frames: u32) -> Result<Option<Delta>, FollowError> {
        let path = Log::path_of(&self.config.database);
        let Some(log) = self.log()? else { return Ok(None) };
        Ok(log.delta(from, frames).map_err(SourceError::io("read", &path))?)
    }

    /// Pages the database grew by that no frame holds.
    fn unwritten(batch: &Batch, known: u32) -> Vec<u32> {
        let lock_page = ltx::lock_page(batch.from.page_size());
        batch.delta.unwritten(known).filter(|pgno| *pgno != lock_page).collect()
    }

    /// Reads the rest of the log while the writers are held back, does `act` in that moment, and
    /// ships what was read after it. `None` where the writers could not be held back.
    pub(super) fn locked<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, FollowError>,
    ) -> Result<Option<T>, FollowError> {
        self.ship_pending()?;
        if !self.live()?.lock()? {
            return Ok(None);
        }
        let done = match self.hold_tail() {
            Ok(true) => act(self).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        let unlocked = self.live().and_then(|source| Ok(source.unlock()?));
        let done = done?;
        unlocked?;
        self.ship_pending()?;
        Ok(done)
    }

    /// Takes the tail into memory; `false` where it does not join or is too much.
    fn hold_tail(&mut self) -> Result<bool, FollowError> {
        let mut batch = match self.tail()? {
            Tail::Nothing => return Ok(true),
            Tail::Gap => return Ok(false),
            Tail::New(batch) => batch,
        };
        let page_size = batch.from.page_size();
        if batch.delta.pages.len() as u64 * u64::from(page_size) > HELD_BYTES_MAX {
            return Ok(false);
        }
        let path = Log::path_of(&self.config.database);
        let Some(log) = self.log()? else { return Ok(false) };
        for (pgno, at) in &batch.delta.pages {
            let mut page = vec![0; page_size as usize];
            log.page(*at, &mut page).map_err(SourceError::io("read", &path))?;
            batch.held.insert(*pgno, page);
        }
        let known = self.map.as_ref().map_or(0, crate::pages::PageMap::pages);
        for pgno in Self::unwritten(&batch, known) {
            if let Some(page) = self.live()?.locked_page(pgno)? {
                batch.held.insert(pgno, page);
            }
        }
        self.pending = Some(*batch);
        Ok(true)
    }

    /// Ships a batch: the pages that are not what was shipped before.
    fn ship(&mut self, batch: &Batch) -> Result<Looked, FollowError> {
        let now = self.config.clock.now();
        self.status.last_write = Some(now);
        self.unsealed_since.get_or_insert(now);
        let changed = self.changed(batch)?;
        let same_size = self.map.as_ref().is_some_and(|map| map.pages() == batch.delta.commit);
        if changed.is_empty() && same_size {
            self.position = Position::At(batch.delta.end);
            return Ok(Looked::Unchanged);
        }
        let txid = self.txid + 1;
        let header = Header {
            page_size: batch.from.page_size(),
            commit: batch.delta.commit,
            min_txid: txid,
            max_txid: txid,
            timestamp_ms: self.time_ms(),
            wal_offset: batch.from.offset(),
            wal_size: batch.delta.end.offset() - batch.from.offset(),
            wal_salts: batch.from.salts(),
        };
        let tree = self.history()?.clone();
        let bytes = put(&tree, SHIPPED, &header, |writer, path| {
            let mut page = vec![0; header.page_size as usize];
            for pgno in changed.keys() {
                batch.page(self.log.as_ref(), *pgno, &mut page)?;
                writer.page(*pgno, &page).map_err(TreeError::ltx("write", path))?;
            }
            Ok(())
        })?;
        self.shipped(&header, bytes, &changed);
        self.position = Position::At(batch.delta.end);
        Ok(Looked::Shipped(txid))
    }

    /// The pages of a batch that are not what was shipped before.
    fn changed(&mut self, batch: &Batch) -> Result<BTreeMap<u32, Print>, FollowError> {
        let mut changed = BTreeMap::new();
        let mut page = vec![0; batch.from.page_size() as usize];
        let pages = batch.delta.pages.keys().chain(batch.held.keys());
        for pgno in pages {
            batch.page(self.log.as_ref(), *pgno, &mut page)?;
            let print = print(&page);
            if *pgno == 1 {
                self.check_writer(&page);
            }
            if !self.map.as_ref().is_some_and(|map| map.is(*pgno, &print)) {
                changed.insert(*pgno, print);
            }
        }
        Ok(changed)
    }

    /// The first page tells which SQLite has just written it.
    fn check_writer(&mut self, page: &[u8]) {
        match gate::check_writer(page) {
            Ok(()) => self.status.clear(&[super::FaultKind::Unfit]),
            Err(unfit) => {
                let (now, said) = (self.config.clock.now(), unfit.to_string());
                if self.status.raise(super::FaultKind::Unfit, now, said) {
                    tracing::error!(%unfit, "an unfit program writes the database");
                }
            }
        }
    }

    /// Notes that a file is durable.
    pub(super) fn shipped(&mut self, header: &Header, bytes: u64, changed: &BTreeMap<u32, Print>) {
        if let Some(map) = &mut self.map {
            map.resize(header.commit);
            for (pgno, print) in changed {
                map.set(*pgno, *print);
            }
        }
        self.txid = header.max_txid;
        self.last_ms = header.timestamp_ms;
        self.status.txid = header.max_txid;
        self.status.last_shipped = Some(self.config.clock.now());
        self.status.files += 1;
        self.status.bytes += bytes;
    }
}

impl Batch {
    /// Where the batch ends.
    pub(super) fn end(&self) -> Chain {
        self.delta.end
    }

    /// Fills `page` with the content of page `pgno`.
    fn page(&self, log: Option<&Log>, pgno: u32, page: &mut [u8]) -> Result<(), FollowError> {
        if let Some(held) = self.held.get(&pgno) {
            page.copy_from_slice(held);
            return Ok(());
        }
        let (Some(log), Some(at)) = (log, self.delta.pages.get(&pgno)) else {
            return Err(FollowError::Ended);
        };
        Ok(log.page(*at, page).map_err(SourceError::io("read", log.path()))?)
    }
}

/// Writes a file; gives its length.
pub(super) fn put(
    tree: &Tree,
    level: u8,
    header: &Header,
    fill: impl FnOnce(&mut crate::tree::Writer<'_>, &std::path::Path) -> Result<(), FollowError>,
) -> Result<u64, FollowError> {
    let path = tree.root().to_owned();
    let entry = tree.put(level, header, |writer| fill(writer, &path))?;
    Ok(entry.bytes)
}
