//! What can be wrong with an LTX file, or with what is to be written into one.

use std::io;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an LTX file cannot be read or written. Whoever knows the file's name adds it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk, or whatever else is read or written, failed.
    #[error(transparent)]
    Io(io::Error),
    /// The input ends before the file does: half written, or cut off.
    #[error("the file ends in the middle of its {0}")]
    Truncated(&'static str),
    /// It begins with something else than the four letters of the format.
    #[error("this is no LTX file")]
    NotLtx,
    /// A field of the header holds what it cannot hold.
    #[error("the header's {field} cannot be {value}")]
    Field {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: u64,
    },
    /// A page's frame is damaged or out of place.
    #[error("page {page}: {fault}")]
    Frame {
        /// The page's number.
        page: u32,
        /// What is wrong.
        fault: &'static str,
    },
    /// The index does not fit the pages.
    #[error("the page index is damaged: {0}")]
    Index(&'static str),
    /// The trailer is damaged.
    #[error("the trailer is damaged: {0}")]
    Trailer(&'static str),
    /// The content is not what was written.
    #[error("the checksum does not fit: the file was changed or damaged after it was written")]
    Checksum,
    /// There is something after the end.
    #[error("something follows after the end of the file")]
    Surplus,
    /// A page is in no file although the database has it.
    #[error("page {0} is missing although the database has it")]
    Missing(u32),
    /// The files are of databases with different page sizes.
    #[error("one file has pages of {0} bytes, another of {1}")]
    PageSizes(u32, u32),
    /// The files do not follow on each other.
    #[error("a file that ends with transaction {before} is followed by {from} to {to}")]
    NotContiguous {
        /// The last transaction of the file before.
        before: u64,
        /// The first of the one after.
        from: u64,
        /// The last of the one after.
        to: u64,
    },
    /// There is nothing to merge.
    #[error("there is no file to merge")]
    Nothing,
}

impl Error {
    /// Names the part of the file that was being read when the input ended.
    pub(crate) fn reading(part: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated(part),
            _ => Self::Io(error),
        }
    }
}
