//! What the whole transactions after a place in a log leave behind.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::{Chain, FRAME_HEADER_BYTES};

/// The newest version of every page that whole transactions wrote, by where it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Where in the log each page's newest version begins, in bytes, by page number.
    pub pages: BTreeMap<u32, u64>,
    /// How many pages the database has after the last transaction.
    pub commit: u32,
    /// How many pages it had when it was smallest in between.
    pub commit_min: u32,
    /// How many transactions there are.
    pub transactions: u32,
    /// The place after the last transaction.
    pub end: Chain,
}

impl Delta {
    /// Reads whole transactions from `log`, which stands at `from`, up to the frame before which
    /// `frames_max` lie at most. It ends at the first frame that does not belong, and leaves out a
    /// transaction whose end is not there. `None` where there is no whole one.
    ///
    /// # Errors
    /// What reading said; the end of the file is none.
    pub fn read(mut log: impl Read, from: Chain, frames_max: u32) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; from.frame_bytes()];
        let mut place = from;
        let mut open = Vec::new();
        let mut delta: Option<Self> = None;
        while place.frames() < frames_max && filled(&mut log, &mut bytes)? {
            let at = place.offset() + FRAME_HEADER_BYTES as u64;
            let Some(frame) = place.follow(&bytes) else { break };
            open.push((frame.pgno, at));
            if frame.commit == 0 {
                continue;
            }
            let delta = delta.get_or_insert_with(|| Self {
                pages: BTreeMap::new(),
                commit: frame.commit,
                commit_min: frame.commit,
                transactions: 0,
                end: from,
            });
            delta.pages.extend(open.drain(..));
            // What lay behind the end of a shrunken file is gone, even if the file grows again.
            while delta.pages.last_key_value().is_some_and(|(last, _)| *last > frame.commit) {
                delta.pages.pop_last();
            }
            delta.commit = frame.commit;
            delta.commit_min = delta.commit_min.min(frame.commit);
            delta.transactions += 1;
            delta.end = place;
        }
        Ok(delta)
    }

    /// The pages that came to be while the file grew from `pages_before` and that no transaction
    /// wrote: SQLite leaves out of its log what was allocated and freed in one transaction.
    pub fn unwritten(&self, pages_before: u32) -> impl Iterator<Item = u32> + '_ {
        let first = pages_before.min(self.commit_min).saturating_add(1);
        (first..=self.commit).filter(|pgno| !self.pages.contains_key(pgno))
    }
}

/// Fills the buffer; `false` where the file ends before.
fn filled(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
