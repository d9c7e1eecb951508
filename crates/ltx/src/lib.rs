//! Reads a write-ahead log's frames and reads, writes and merges LTX files: pure formats.
//!
//! An LTX file holds the pages of a SQLite database that one or more transactions changed, in
//! ascending order, each compressed by LZ4, with an index and checksums (version 3 of the format,
//! as the specification beside the `superfly/ltx` sources has it and litestream 0.5 writes it).
//! A *full* begins with transaction 1 and holds every page; anything else goes on top of what was
//! there before.
//!
//! This crate knows no paths, no clock and no database. What it reads is not believed: every field
//! is checked, and nothing is allocated that the input's own length does not bear out.

mod decode;
mod encode;
mod error;
mod frame;
mod header;
mod index;
mod merge;
mod sum;
mod varint;
pub mod wal;

pub use decode::Decoder;
pub use encode::{Encoder, Finished};
pub use error::{Error, Result};
pub use frame::{FRAME_HEADER_BYTES, decode_frame, frame_bytes_max};
pub use header::{HEADER_BYTES, Header, PAGE_SIZE_MAX, PAGE_SIZE_MIN, lock_page};
pub use index::{PageIndex, Place};
pub use merge::{merge, merge_into, merged_header};
pub use sum::{Sum, Summing};
