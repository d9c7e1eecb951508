//! The map of pages: of each page that was shipped, what it was, in sixteen bytes.
//!
//! It tells which pages a gap has changed, which ones need not be shipped again, and whether the
//! live database is what was shipped. It is kept in a file beside the tree; what has come since
//! then is in the tree.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use ltx::Decoder;

use crate::disk::Disk;
use crate::tree::{Plan, TreeError};

/// The name of the file in a tree's root.
pub const MAP_FILE: &str = "pages.map";
const MAGIC: &[u8; 8] = b"KTNPAGE1";
const HEADER_BYTES: usize = 24;
const SUM_BYTES: usize = 32;
const READ_BYTES: usize = 128 * 1024;

/// What a page was: the beginning of its BLAKE3 hash.
pub type Print = [u8; 16];

/// Of a page that is not known, and of the page of SQLite's locks.
const UNKNOWN: Print = [0; 16];

/// What `content` is.
pub fn print(content: &[u8]) -> Print {
    let mut print = UNKNOWN;
    print.copy_from_slice(&blake3::hash(content).as_bytes()[..16]);
    print
}

/// What every page was. Clones are cheap until one of them is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMap {
    page_size: u32,
    prints: Arc<Vec<Print>>,
}

impl PageMap {
    /// A map of no pages.
    pub fn new(page_size: u32) -> Self {
        Self { page_size, prints: Arc::default() }
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// How many pages there are.
    pub fn pages(&self) -> u32 {
        u32::try_from(self.prints.len()).unwrap_or(u32::MAX)
    }

    /// Whether page `pgno` was `print`.
    pub fn is(&self, pgno: u32, print: &Print) -> bool {
        let known = (pgno as usize).checked_sub(1).and_then(|at| self.prints.get(at));
        known.is_some_and(|known| known == print)
    }

    /// Notes what page `pgno`, from 1, is now.
    pub fn set(&mut self, pgno: u32, print: Print) {
        let Some(at) = (pgno as usize).checked_sub(1) else { return };
        let prints = Arc::make_mut(&mut self.prints);
        if prints.len() <= at {
            prints.resize(at + 1, UNKNOWN);
        }
        prints[at] = print;
    }

    /// Gives the map as many pages as the database has; new ones are not known.
    pub(crate) fn resize(&mut self, pages: u32) {
        if self.pages() != pages {
            Arc::make_mut(&mut self.prints).resize(pages as usize, UNKNOWN);
        }
    }

    /// The pages that are not the same in both.
    pub fn differing(&self, other: &Self) -> Vec<u32> {
        let at = |map: &Self, pgno: u32| map.prints.get(pgno as usize - 1).copied();
        let all = 1..=self.pages().max(other.pages());
        all.filter(|pgno| at(self, *pgno) != at(other, *pgno)).collect()
    }

    /// What the pages are that `plan` brings back; every file is read to its end and checked.
    ///
    /// # Errors
    /// A file that is damaged, or what the disk said.
    pub fn of_plan(page_size: u32, plan: &Plan) -> Result<Self, TreeError> {
        let mut map = Self::new(page_size);
        for (_, path) in plan.files() {
            map.apply(&path)?;
        }
        Ok(map)
    }

    /// Takes in what the file at `path` changes.
    pub(crate) fn apply(&mut self, path: &Path) -> Result<(), TreeError> {
        let file = File::open(path).map_err(TreeError::io("open", path))?;
        let refuse = TreeError::ltx("read", path);
        let mut decoder =
            Decoder::new(BufReader::with_capacity(READ_BYTES, file)).map_err(&refuse)?;
        let header = *decoder.header();
        if header.page_size != self.page_size {
            return Err(refuse(ltx::Error::PageSizes(self.page_size, header.page_size)));
        }
        self.resize(header.commit);
        let mut content = Vec::new();
        while let Some(pgno) = decoder.next(&mut content).map_err(&refuse)? {
            self.set(pgno, print(&content));
        }
        decoder.finish().map_err(&refuse)?;
        Ok(())
    }

    /// Writes the map as it is after transaction `txid`.
    ///
    /// # Errors
    /// What the disk said; the file that was there is there still.
    pub(crate) fn save(&self, disk: &Disk, path: &Path, txid: u64) -> io::Result<()> {
        disk.replace(path, None, |pen| {
            let mut sum = blake3::Hasher::new();
            let mut write = |bytes: &[u8]| {
                sum.update(bytes);
                pen.write_all(bytes)
            };
            write(MAGIC)?;
            write(&self.page_size.to_be_bytes())?;
            write(&self.pages().to_be_bytes())?;
            write(&txid.to_be_bytes())?;
            write(self.prints.as_flattened())?;
            pen.write_all(sum.finalize().as_bytes())
        })
    }

    /// Reads a map, with the transaction it is true after; `None` where there is none that is whole.
    pub(crate) fn load(path: &Path) -> io::Result<Option<(Self, u64)>> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(parse(&bytes))
    }
}

fn parse(bytes: &[u8]) -> Option<(PageMap, u64)> {
    let (told, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
    if *blake3::hash(told).as_bytes() != *sum {
        return None;
    }
    let (header, prints) = told.split_at_checked(HEADER_BYTES)?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let txid = u64::from_be_bytes(header.get(16..24)?.try_into().ok()?);
    let (prints, rest) = prints.as_chunks::<16>();
    let whole =
        header.starts_with(MAGIC) && rest.is_empty() && number(12)? as usize == prints.len();
    let prints = Arc::new(prints.to_vec());
    whole.then_some((PageMap { page_size: number(8)?, prints }, txid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> PageMap {
        let mut map = PageMap::new(512);
        map.set(3, print(b"three"));
        map.set(1, print(b"one"));
        map
    }

    #[test]
    fn a_map_that_is_saved_is_read_again_and_one_with_a_flipped_bit_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MAP_FILE);
        assert_eq!(PageMap::load(&path).unwrap(), None);
        map().save(&Disk::default(), &path, 7).unwrap();
        assert_eq!(PageMap::load(&path).unwrap(), Some((map(), 7)));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1 << (at % 8);
            assert_eq!(parse(&bent), None, "byte {at}");
            assert_eq!(parse(&whole[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn maps_tell_where_they_differ() {
        let mut other = map();
        assert!(map().differing(&other).is_empty());
        other.set(2, print(b"two"));
        other.resize(5);
        assert_eq!(map().differing(&other), [2, 4, 5]);
        other.resize(3);
        assert_eq!(other.differing(&map()), [2]);
        assert!(other.is(2, &print(b"two")) && !other.is(0, &print(b"two")));
    }
}
