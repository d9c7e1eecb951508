//! A write-ahead log as SQLite writes it: a header, then frames whose sums form a chain.
//!
//! The source is SQLite's file format, chapter 4. A log is never emptied: a writer that starts it
//! over writes new frames, with new salts, over the old ones. So a frame counts only where its
//! salts are the header's, its sum goes on from the sum before it, and a frame at or after it ends
//! a transaction.

mod delta;

pub use delta::Delta;

/// Bytes of a log's header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a frame's own header; the page follows.
pub const FRAME_HEADER_BYTES: usize = 24;

/// The last bit says in which byte order the sums are made.
const MAGIC: u32 = 0x377f_0682;
/// SQLite refuses any other.
const VERSION: u32 = 3_007_000;
const PAGE_BYTES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// What makes 32 bytes no header that SQLite would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotALog {
    /// It begins with something else.
    #[error("it does not begin as a write-ahead log does")]
    Magic,
    /// A format that is not known.
    #[error("its format is {0}, and only {VERSION} is known")]
    Version(u32),
    /// A page size that SQLite does not have.
    #[error("its pages would have {0} bytes")]
    PageSize(u32),
    /// The header's own sum is wrong.
    #[error("its header is damaged: the sum does not match")]
    Sum,
}

/// A frame that belongs to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The page's number, from 1.
    pub pgno: u32,
    /// How many pages the database has after the transaction that ends here; 0 where none ends.
    pub commit: u32,
}

/// A place between two frames of a log, and all that is needed to go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    big_endian: bool,
    page_size: u32,
    salts: [u32; 2],
    sums: [u32; 2],
    frames: u32,
}

impl Chain {
    /// The place before the first frame.
    ///
    /// # Errors
    /// Why SQLite would not take the header.
    pub fn begin(header: &[u8; HEADER_BYTES]) -> Result<Self, NotALog> {
        let magic = number(header, 0);
        if magic & !1 != MAGIC {
            return Err(NotALog::Magic);
        }
        let version = number(header, 4);
        if version != VERSION {
            return Err(NotALog::Version(version));
        }
        let page_size = number(header, 8);
        if !PAGE_BYTES.contains(&page_size) || !page_size.is_power_of_two() {
            return Err(NotALog::PageSize(page_size));
        }
        let big_endian = magic & 1 == 1;
        let sums = add(big_endian, [0; 2], &header[..24]);
        if sums != [number(header, 24), number(header, 28)] {
            return Err(NotALog::Sum);
        }
        let salts = [number(header, 16), number(header, 20)];
        Ok(Self { big_endian, page_size, salts, sums, frames: 0 })
    }

    /// A header as SQLite writes it, of the log that was started over `sequence` times.
    pub fn header(
        big_endian: bool,
        page_size: u32,
        sequence: u32,
        salts: [u32; 2],
    ) -> [u8; HEADER_BYTES] {
        let magic = MAGIC | u32::from(big_endian);
        let mut header = [0; HEADER_BYTES];
        let fields = [magic, VERSION, page_size, sequence, salts[0], salts[1]];
        for (at, field) in fields.into_iter().enumerate() {
            header[at * 4..][..4].copy_from_slice(&field.to_be_bytes());
        }
        let [first, second] = add(big_endian, [0; 2], &header[..24]);
        header[24..28].copy_from_slice(&first.to_be_bytes());
        header[28..].copy_from_slice(&second.to_be_bytes());
        header
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The two numbers that tell this run of the log from those before it.
    pub fn salts(&self) -> [u32; 2] {
        self.salts
    }

    /// How many frames lie before this place.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes of a frame with its header.
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.page_size as usize
    }

    /// Where in the file this place is, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset_after(self.frames)
    }

    /// Where in the file `frames` frames end, in bytes.
    pub fn offset_after(&self, frames: u32) -> u64 {
        HEADER_BYTES as u64 + u64::from(frames) * self.frame_bytes() as u64
    }

    /// Goes over `frame`, the bytes that follow; `None`, and no step, where they do not belong to
    /// the log: too few, an older run's, torn, or damaged.
    pub fn follow(&mut self, frame: &[u8]) -> Option<Frame> {
        if frame.len() != self.frame_bytes() {
            return None;
        }
        let (header, page) = frame.split_at(FRAME_HEADER_BYTES);
        if self.salts != [number(header, 8), number(header, 12)] {
            return None;
        }
        let pgno = number(header, 0);
        let sums = add(self.big_endian, add(self.big_endian, self.sums, &header[..8]), page);
        if pgno == 0 || sums != [number(header, 16), number(header, 20)] {
            return None;
        }
        self.sums = sums;
        self.frames += 1;
        Some(Frame { pgno, commit: number(header, 4) })
    }

    /// Writes a frame with `page` to the end of `out`, as SQLite would, and goes over it.
    ///
    /// # Panics
    /// Where `page` has another size than the log's pages.
    pub fn write(&mut self, frame: Frame, page: &[u8], out: &mut Vec<u8>) {
        assert_eq!(page.len(), self.page_size as usize, "a log has pages of one size");
        let start = out.len();
        let [first, second] = self.salts;
        for field in [frame.pgno, frame.commit, first, second] {
            out.extend(field.to_be_bytes());
        }
        let sums = add(self.big_endian, self.sums, &out[start..start + 8]);
        self.sums = add(self.big_endian, sums, page);
        out.extend(self.sums.into_iter().flat_map(u32::to_be_bytes));
        out.extend(page);
        self.frames += 1;
    }
}

/// The big-endian number at `at`.
fn number(bytes: &[u8], at: usize) -> u32 {
    let field = bytes[at..at + 4].try_into().expect("four bytes were taken");
    u32::from_be_bytes(field)
}

/// The running sum after `bytes`, whose number is a multiple of 8 (SQLite's file format, 4.2).
fn add(big_endian: bool, sums: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    if big_endian {
        run(sums, bytes, u32::from_be_bytes)
    } else {
        run(sums, bytes, u32::from_le_bytes)
    }
}

fn run(sums: [u32; 2], bytes: &[u8], word: impl Fn([u8; 4]) -> u32) -> [u32; 2] {
    let [mut first, mut second] = sums;
    let (pairs, _) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in pairs {
        first = first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(second);
        second = second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(first);
    }
    [first, second]
}

#[cfg(test)]
mod tests;
