//! Reads an LTX file from beginning to end and believes nothing in it.

use std::io::Read;

use crate::encode::{self, Finished};
use crate::error::{Error, Result};
use crate::frame::{self, END, FRAME_HEADER_BYTES};
use crate::header::{HEADER_BYTES, Header};
use crate::sum::{Sum, Summing};
use crate::varint;

/// How much of the index is compared at a time.
const PORTION_BYTES: usize = 4096;

/// An LTX file that is being read.
///
/// What [`next`](Self::next) gave is only proven once [`finish`](Self::finish) has succeeded.
#[derive(Debug)]
pub struct Decoder<R> {
    reader: R,
    header: Header,
    summing: Summing,
    /// The index that the pages so far must have; each page in it was there to be read.
    index: Vec<u8>,
    packed: Vec<u8>,
    page: u32,
    pages: u32,
    bytes: u64,
    ended: bool,
}

impl<R: Read> Decoder<R> {
    /// Reads the header. Give a buffered reader: every page is several small reads.
    ///
    /// # Errors
    /// A header that cannot be, or what the reader says.
    pub fn new(mut reader: R) -> Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        reader.read_exact(&mut bytes).map_err(Error::reading("header"))?;
        let header = Header::decode(&bytes)?;
        let mut summing = Summing::default();
        summing.add(&bytes);
        Ok(Self {
            reader,
            header,
            summing,
            index: Vec::new(),
            packed: Vec::new(),
            page: 0,
            pages: 0,
            bytes: HEADER_BYTES as u64,
            ended: false,
        })
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next page into `content`, which is made as long as a page, and gives its number;
    /// `None` after the last.
    ///
    /// # Errors
    /// What is wrong with the page, or what the reader says.
    pub fn next(&mut self, content: &mut Vec<u8>) -> Result<Option<u32>> {
        if self.ended {
            return Ok(None);
        }
        let mut first = END;
        self.read(&mut first, "pages")?;
        if first == END {
            encode::check_end(&self.header, self.page)?;
            self.ended = true;
            return Ok(None);
        }
        let page = frame::page_number(first)?;
        encode::check_order(&self.header, self.page, page)?;
        let mut length = [0; 4];
        self.read(&mut length, "pages")?;
        let bytes = frame::compressed_bytes(page, length, self.header.page_size)?;
        self.packed.resize(bytes, 0);
        self.reader.read_exact(&mut self.packed).map_err(Error::reading("pages"))?;
        content.resize(self.header.page_size as usize, 0);
        frame::unpack(page, &self.packed, content)?;
        self.summing.add(content);
        let frame_bytes = (FRAME_HEADER_BYTES + bytes) as u64;
        let begin = self.bytes - FRAME_HEADER_BYTES as u64;
        encode::index_entry(&mut self.index, page, begin, frame_bytes);
        self.bytes += bytes as u64;
        self.page = page;
        self.pages += 1;
        Ok(Some(page))
    }

    /// The compressed form of the page that was read last.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Reads what is left and checks index, checksum and end.
    ///
    /// # Errors
    /// What is wrong with it, or what the reader says.
    pub fn finish(mut self) -> Result<Finished<R>> {
        let mut content = Vec::new();
        while self.next(&mut content)?.is_some() {}
        let mut index = std::mem::take(&mut self.index);
        varint::put(&mut index, 0);
        let mut found = [0; PORTION_BYTES];
        for expected in index.chunks(PORTION_BYTES) {
            let found = &mut found[..expected.len()];
            self.read(found, "page index")?;
            if *found != *expected {
                return Err(Error::Index("it does not fit the pages before it"));
            }
        }
        let mut field = [0; 8];
        self.read(&mut field, "page index")?;
        if u64::from_be_bytes(field) != index.len() as u64 {
            return Err(Error::Index("its length does not fit"));
        }
        self.read(&mut field, "trailer")?;
        let after = u64::from_be_bytes(field);
        self.reader.read_exact(&mut field).map_err(Error::reading("trailer"))?;
        self.bytes += 8;
        let checksum = u64::from_be_bytes(field);
        check_trailer(after, checksum, self.summing.sum())?;
        match self.reader.read(&mut field[..1]).map_err(Error::Io)? {
            0 => {
                Ok(Finished { inner: self.reader, pages: self.pages, bytes: self.bytes, checksum })
            }
            _ => Err(Error::Surplus),
        }
    }

    /// Reads bytes that count towards the checksum.
    fn read(&mut self, into: &mut [u8], part: &'static str) -> Result<()> {
        self.reader.read_exact(into).map_err(Error::reading(part))?;
        self.summing.add(into);
        self.bytes += into.len() as u64;
        Ok(())
    }
}

/// Checks the two numbers at the end against the sum of everything before the last.
pub(crate) fn check_trailer(after: u64, checksum: u64, sum: Sum) -> Result<()> {
    if after != 0 {
        return Err(Error::Trailer("it has a checksum of the database although none is kept"));
    }
    if !Sum::is_written(checksum) {
        return Err(Error::Trailer("it has no checksum"));
    }
    if checksum == sum.written() { Ok(()) } else { Err(Error::Checksum) }
}
