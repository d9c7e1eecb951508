//! The page index: where in an LTX file each page stands, to read pages without all before them.

use std::io::{Read, Seek, SeekFrom};

use crate::decode::check_trailer;
use crate::error::{Error, Result};
use crate::frame::{END, FRAME_HEADER_BYTES, frame_bytes_max};
use crate::header::{HEADER_BYTES, Header};
use crate::sum::Sum;
use crate::varint;

/// The number that says how long the index is, and the two checksums.
const TAIL_BYTES: usize = 24;
/// The most an entry can take: three numbers.
const ENTRY_BYTES_MAX: u64 = 25;

/// Where a page stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where its frame begins.
    pub offset: u64,
    /// The page's number.
    pub page: u32,
    /// How long the frame is.
    pub bytes: u32,
}

/// The index of a file, checked against the file's own header and length.
///
/// Entries follow on each other without a hole, from the header to the end of the pages. That the
/// frames are what they were is only known after [`check_sum`](Self::check_sum).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageIndex {
    header: Header,
    places: Vec<Place>,
    /// The sum of the header, and of everything between the pages and the checksum.
    before: Sum,
    after: Sum,
    database_checksum: u64,
    checksum: u64,
}

impl PageIndex {
    /// Reads header and index; the reader's position is anywhere afterwards.
    ///
    /// # Errors
    /// What is wrong with them, or what the reader says.
    pub fn read<R: Read + Seek>(mut reader: R) -> Result<Self> {
        let length = reader.seek(SeekFrom::End(0)).map_err(Error::Io)?;
        let least = (HEADER_BYTES + END.len() + 1 + TAIL_BYTES) as u64;
        reader.rewind().map_err(Error::Io)?;
        let mut head = [0; HEADER_BYTES];
        reader.read_exact(&mut head).map_err(Error::reading("header"))?;
        let header = Header::decode(&head)?;
        if length < least {
            return Err(Error::Truncated("pages"));
        }
        reader.seek(SeekFrom::Start(length - TAIL_BYTES as u64)).map_err(Error::Io)?;
        let mut tail = [0; TAIL_BYTES];
        reader.read_exact(&mut tail).map_err(Error::reading("trailer"))?;
        let field = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| tail[at + byte]));
        let bytes = field(0);
        let bytes_max = ENTRY_BYTES_MAX.saturating_mul(header.commit.into()) + 1;
        if bytes == 0 || bytes > (length - least + 1).min(bytes_max) {
            return Err(Error::Index("its length cannot be"));
        }
        let end_of_pages = length - TAIL_BYTES as u64 - bytes - END.len() as u64;
        reader.seek(SeekFrom::Start(end_of_pages)).map_err(Error::Io)?;
        // As many bytes as the file was just seen to have, at most twenty-five a page.
        let index_bytes =
            usize::try_from(bytes).map_err(|_large| Error::Index("it is too long"))?;
        let mut text = vec![0; END.len() + index_bytes];
        reader.read_exact(&mut text).map_err(Error::reading("page index"))?;
        if text[..END.len()] != END {
            return Err(Error::Index("the pages before it do not end there"));
        }
        let places = parse(&header, &text[END.len()..], end_of_pages)?;
        let after = Sum::of(&text).then(Sum::of(&tail[..16]));
        let before = Sum::of(&head);
        let (database_checksum, checksum) = (field(8), field(16));
        Ok(Self { header, places, before, after, database_checksum, checksum })
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where each page stands, in ascending order of pages and of places.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Where a page stands; `None` where the file does not have it.
    pub fn find(&self, page: u32) -> Option<Place> {
        let at = self.places.binary_search_by_key(&page, |place| place.page).ok()?;
        Some(self.places[at])
    }

    /// Checks the file's checksum. `pages` is the sum over all frames in their order, of each the
    /// ten bytes before the compressed page followed by the page itself, uncompressed.
    ///
    /// # Errors
    /// A checksum that does not fit.
    pub fn check_sum(&self, pages: Sum) -> Result<()> {
        let sum = self.before.then(pages).then(self.after);
        check_trailer(self.database_checksum, self.checksum, sum)
    }
}

fn parse(header: &Header, mut text: &[u8], end_of_pages: u64) -> Result<Vec<Place>> {
    let damaged = Error::Index("a number in it cannot be read");
    // Three bytes an entry is the least there can be.
    let mut places: Vec<Place> = Vec::with_capacity(text.len() / 6);
    let mut offset = HEADER_BYTES as u64;
    let mut before = 0;
    loop {
        let Some(page) = varint::take(&mut text) else { return Err(damaged) };
        if page == 0 {
            break;
        }
        let (Some(begin), Some(bytes)) = (varint::take(&mut text), varint::take(&mut text)) else {
            return Err(damaged);
        };
        let page =
            u32::try_from(page).map_err(|_large| Error::Index("a page's number is too large"))?;
        crate::encode::check_order(header, before, page)?;
        let bytes = u32::try_from(bytes)
            .ok()
            .filter(|bytes| {
                let range = FRAME_HEADER_BYTES + 1..=frame_bytes_max(header.page_size);
                range.contains(&(*bytes as usize))
            })
            .ok_or(Error::Index("a page's length cannot be"))?;
        if begin != offset {
            return Err(Error::Index("a page does not begin where the one before it ends"));
        }
        places.push(Place { offset, page, bytes });
        offset += u64::from(bytes);
        before = page;
    }
    crate::encode::check_end(header, before)?;
    if !text.is_empty() || offset != end_of_pages {
        return Err(Error::Index("it does not end where the pages do"));
    }
    Ok(places)
}
