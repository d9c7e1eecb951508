//! The header of an LTX file: which pages, which transactions, when, and from where in a log.

use crate::error::{Error, Result};

/// The header's length in a file.
pub const HEADER_BYTES: usize = 100;
/// SQLite's smallest page.
pub const PAGE_SIZE_MIN: u32 = 512;
/// SQLite's largest page.
pub const PAGE_SIZE_MAX: u32 = 65_536;

const MAGIC: &[u8; 4] = b"LTX1";
/// No rolling checksum of the whole database is kept: the one way in which litestream 0.5 writes.
const NO_DATABASE_CHECKSUM: u32 = 1 << 1;
/// Where SQLite keeps its locks; the page there holds no data.
const PENDING_BYTE: u32 = 0x4000_0000;

/// What an LTX file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The database's page size in bytes: a power of two from 512 to 65536.
    pub page_size: u32,
    /// How many pages the database has after the file is applied; at least 1.
    pub commit: u32,
    /// The first transaction in the file; 1 makes it a full, which holds every page.
    pub min_txid: u64,
    /// The last transaction in the file.
    pub max_txid: u64,
    /// When the newest transaction was seen, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Where in the write-ahead log the pages stood; 0 where they come from elsewhere.
    pub wal_offset: u64,
    /// How many bytes of the log they took; 0 likewise.
    pub wal_size: u64,
    /// The salts of that log; 0 likewise.
    pub wal_salts: [u32; 2],
}

/// The number of the page that SQLite leaves empty for its locks.
pub fn lock_page(page_size: u32) -> u32 {
    PENDING_BYTE / page_size.max(1) + 1
}

impl Header {
    /// Whether the file holds every page, and needs nothing before it.
    pub fn is_full(&self) -> bool {
        self.min_txid == 1
    }

    /// The number of the page that SQLite leaves empty for its locks.
    pub fn lock_page(&self) -> u32 {
        lock_page(self.page_size)
    }

    /// Whether a page of this number is in the database and holds data.
    pub(crate) fn has_page(&self, page: u32) -> bool {
        (1..=self.commit).contains(&page) && page != self.lock_page()
    }

    /// The page that must come after `page` in a full; 0 stands for the beginning. `None` at the
    /// end.
    pub(crate) fn page_after(&self, page: u32) -> Option<u32> {
        let next = page.checked_add(1)?;
        let next = if next == self.lock_page() { next.checked_add(1)? } else { next };
        (next <= self.commit).then_some(next)
    }

    /// Checks what the fields say.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn check(&self) -> Result<()> {
        let refuse = |field, value| Err(Error::Field { field, value });
        let Self { page_size, commit, min_txid, max_txid, .. } = *self;
        if !page_size.is_power_of_two() || !(PAGE_SIZE_MIN..=PAGE_SIZE_MAX).contains(&page_size) {
            return refuse("page size", page_size.into());
        }
        if commit == 0 {
            return refuse("number of pages", 0);
        }
        if min_txid == 0 {
            return refuse("first transaction", 0);
        }
        if max_txid < min_txid || max_txid > i64::MAX.cast_unsigned() {
            return refuse("last transaction", max_txid);
        }
        if self.timestamp_ms < 0 {
            return refuse("time", self.timestamp_ms.cast_unsigned());
        }
        let placed = self.wal_offset != 0;
        if self.wal_offset > i64::MAX.cast_unsigned() {
            return refuse("place in the log", self.wal_offset);
        }
        if self.wal_size > i64::MAX.cast_unsigned() || (self.wal_size != 0 && !placed) {
            return refuse("length in the log", self.wal_size);
        }
        let [one, two] = self.wal_salts;
        if (one != 0 || two != 0) && !placed {
            return refuse(
                "salts without a place in the log",
                u64::from(one) << 32 | u64::from(two),
            );
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(4, &NO_DATABASE_CHECKSUM.to_be_bytes());
        put(8, &self.page_size.to_be_bytes());
        put(12, &self.commit.to_be_bytes());
        put(16, &self.min_txid.to_be_bytes());
        put(24, &self.max_txid.to_be_bytes());
        put(32, &self.timestamp_ms.to_be_bytes());
        put(48, &self.wal_offset.to_be_bytes());
        put(56, &self.wal_size.to_be_bytes());
        put(64, &self.wal_salts[0].to_be_bytes());
        put(68, &self.wal_salts[1].to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self> {
        let short = |at: usize| u32::from_be_bytes(array(bytes, at));
        let long = |at: usize| u64::from_be_bytes(array(bytes, at));
        if bytes[..MAGIC.len()] != *MAGIC {
            return Err(Error::NotLtx);
        }
        if short(4) != NO_DATABASE_CHECKSUM {
            return Err(Error::Field { field: "flags", value: short(4).into() });
        }
        if long(40) != 0 {
            return Err(Error::Field { field: "checksum before", value: long(40) });
        }
        // The eight bytes at 72 are the writer's own number, which means nothing to anyone else.
        if let Some(value) = bytes[80..].iter().find(|byte| **byte != 0) {
            return Err(Error::Field { field: "reserved part", value: u64::from(*value) });
        }
        let header = Self {
            page_size: short(8),
            commit: short(12),
            min_txid: long(16),
            max_txid: long(24),
            timestamp_ms: long(32).cast_signed(),
            wal_offset: long(48),
            wal_size: long(56),
            wal_salts: [short(64), short(68)],
        };
        header.check()?;
        Ok(header)
    }
}

/// The bytes of a field, of which the header is known to have enough.
fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[at + byte])
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn a_full_goes_on_behind_the_page_of_the_locks() {
        let header = Header {
            page_size: 65_536,
            commit: 16_386,
            min_txid: 1,
            max_txid: 1,
            timestamp_ms: 0,
            wal_offset: 0,
            wal_size: 0,
            wal_salts: [0; 2],
        };
        assert_eq!(header.lock_page(), 16_385);
        assert_eq!(header.page_after(0), Some(1));
        assert_eq!(header.page_after(16_384), Some(16_386));
        assert_eq!(header.page_after(16_386), None);
        assert_eq!(Header { commit: 16_385, ..header }.page_after(16_384), None);
    }
}
