//! The write-ahead log as it lies on disk: what SQLite would apply, and to whose file.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::header::{USER_VERSION_AT, number};

/// SQLite's file format, 4.1: the header, then frames of a header and a page each.
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit says in which byte order the sums are made.
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65_536;

/// A log with at least one whole transaction in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) page_bytes: usize,
    /// The user version in the newest first page it holds, if it holds one.
    pub(crate) user_version: Option<u32>,
}

/// Where SQLite keeps the log of the database at `path`.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The path with `ending` added to its file name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// The log of the database at `path`; `None` where SQLite would find nothing in it to apply.
pub(crate) fn read(path: &Path) -> io::Result<Option<Log>> {
    let file = match File::open(path_of(path)) {
        Ok(file) => BufReader::with_capacity(1 << 20, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Frames::begin(file)?.map_or(Ok(None), Frames::committed)
}

struct Frames<R> {
    file: R,
    page_bytes: usize,
    salts: [u8; 8],
    sum: Sum,
}

impl<R: io::Read> Frames<R> {
    fn begin(mut file: R) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        if !filled(&mut file, &mut header)? {
            return Ok(None);
        }
        let field = |at| number(&header, at).unwrap_or_default();
        let page_bytes = usize::try_from(field(8)).unwrap_or_default();
        let mut sum = Sum { big_endian: field(0) & 1 == 1, halves: [0; 2] };
        sum.add(&header[..24]);
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let whole = field(0) & !1 == MAGIC
            && PAGE_BYTES.contains(&page_bytes)
            && page_bytes.is_power_of_two()
            && sum.halves == [field(24), field(28)];
        Ok(whole.then_some(Self { file, page_bytes, salts, sum }))
    }

    /// Reads until the first frame that SQLite would not take.
    fn committed(mut self) -> io::Result<Option<Log>> {
        let mut frame = vec![0; FRAME_HEADER_BYTES + self.page_bytes];
        let mut found = None;
        let mut user_version = None;
        while filled(&mut self.file, &mut frame)? {
            let (header, page) = frame.split_at(FRAME_HEADER_BYTES);
            self.sum.add(&header[..8]);
            self.sum.add(page);
            let field = |at| number(header, at).unwrap_or_default();
            if header[8..16] != self.salts || self.sum.halves != [field(16), field(20)] {
                break;
            }
            if field(0) == 1 {
                user_version = number(page, USER_VERSION_AT);
            }
            // The frame that ends a transaction holds the size of the file after it.
            if field(4) > 0 {
                found = Some(Log { page_bytes: self.page_bytes, user_version });
            }
        }
        Ok(found)
    }
}

/// The running sum over header and frames (SQLite's file format, 4.2).
struct Sum {
    big_endian: bool,
    halves: [u32; 2],
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.halves;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(self.word(&pair[..4])).wrapping_add(second);
            second = second.wrapping_add(self.word(&pair[4..])).wrapping_add(first);
        }
        self.halves = [first, second];
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let word = number(bytes, 0).unwrap_or_default();
        if self.big_endian { word } else { word.swap_bytes() }
    }
}

/// Fills the buffer; `false` where the file ends before.
fn filled(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
