//! Writes an LTX file, page by page.

use std::io::Write;

use lz4_flex::block::{self, CompressTable};

use crate::error::{Error, Result};
use crate::frame;
use crate::header::Header;
use crate::sum::Summing;
use crate::varint;

/// An LTX file in the making: its header is written, its pages follow in ascending order.
pub struct Encoder<W> {
    writer: W,
    header: Header,
    summing: Summing,
    /// The page index as it will be written; about ten bytes a page.
    index: Vec<u8>,
    table: CompressTable,
    compressed: Vec<u8>,
    /// The page before; 0 at the beginning.
    page: u32,
    pages: u32,
    bytes: u64,
}

/// An LTX file that was written or read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished<T> {
    /// What was written into or read from. It is not flushed.
    pub inner: T,
    /// How many pages the file holds.
    pub pages: u32,
    /// Its length.
    pub bytes: u64,
    /// The checksum of its content as the trailer has it.
    pub checksum: u64,
}

impl<W: Write> Encoder<W> {
    /// Begins a file. Give a buffered writer: every page is several small writes.
    ///
    /// # Errors
    /// A header that cannot be, or what the writer says.
    pub fn new(writer: W, header: Header) -> Result<Self> {
        header.check()?;
        let mut encoder = Self {
            writer,
            header,
            summing: Summing::default(),
            index: Vec::new(),
            table: CompressTable::default(),
            compressed: vec![0; block::get_maximum_output_size(header.page_size as usize)],
            page: 0,
            pages: 0,
            bytes: 0,
        };
        encoder.write_summed(&header.encode())?;
        Ok(encoder)
    }

    /// The header that was written.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Adds a page. Numbers ascend; a full has every page but the one of SQLite's locks.
    ///
    /// # Errors
    /// A page that does not belong here, or what the writer says.
    pub fn page(&mut self, page: u32, content: &[u8]) -> Result<()> {
        if content.len() != self.header.page_size as usize {
            return Err(Error::Frame { page, fault: "its content is not as long as a page" });
        }
        let mut compressed = std::mem::take(&mut self.compressed);
        let packed = block::compress_into_with_table(content, &mut compressed, &mut self.table)
            .map_err(|_room| Error::Frame { page, fault: "its content cannot be packed" })
            .and_then(|bytes| self.packed_page(page, &compressed[..bytes], content));
        self.compressed = compressed;
        packed
    }

    /// Adds a page whose compressed form is already there.
    pub(crate) fn packed_page(&mut self, page: u32, packed: &[u8], content: &[u8]) -> Result<()> {
        check_order(&self.header, self.page, page)?;
        let length = u32::try_from(packed.len())
            .ok()
            .filter(|_| packed.len() <= frame::compressed_bytes_max(self.header.page_size))
            .ok_or(Error::Frame { page, fault: "its content cannot be packed" })?;
        let begin = self.bytes;
        self.write_summed(&frame::header(page, length))?;
        self.writer.write_all(packed).map_err(Error::Io)?;
        self.bytes += u64::from(length);
        self.summing.add(content);
        index_entry(&mut self.index, page, begin, self.bytes - begin);
        self.page = page;
        self.pages += 1;
        Ok(())
    }

    /// Writes the index and the checksums.
    ///
    /// # Errors
    /// A full that lacks pages, or what the writer says.
    pub fn finish(mut self) -> Result<Finished<W>> {
        check_end(&self.header, self.page)?;
        self.write_summed(&frame::END)?;
        let mut index = std::mem::take(&mut self.index);
        varint::put(&mut index, 0);
        let length = index.len() as u64;
        self.write_summed(&index)?;
        self.write_summed(&length.to_be_bytes())?;
        // The place of the checksum of the whole database, which is not kept.
        self.write_summed(&0_u64.to_be_bytes())?;
        let checksum = self.summing.sum().written();
        self.writer.write_all(&checksum.to_be_bytes()).map_err(Error::Io)?;
        self.bytes += 8;
        Ok(Finished { inner: self.writer, pages: self.pages, bytes: self.bytes, checksum })
    }

    fn write_summed(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(Error::Io)?;
        self.summing.add(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl<W> std::fmt::Debug for Encoder<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Encoder")
            .field("header", &self.header)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}

/// An entry of the page index: the page, where its frame begins, and how long that is.
pub(crate) fn index_entry(index: &mut Vec<u8>, page: u32, offset: u64, bytes: u64) {
    varint::put(index, page.into());
    varint::put(index, offset);
    varint::put(index, bytes);
}

/// Whether `page` may follow `before`, which is 0 at the beginning.
pub(crate) fn check_order(header: &Header, before: u32, page: u32) -> Result<()> {
    let refuse = |fault| Err(Error::Frame { page, fault });
    if page == header.lock_page() {
        return refuse("it is the page of SQLite's locks, which holds nothing");
    }
    if !header.has_page(page) {
        return refuse("the database does not have it");
    }
    if page <= before {
        return refuse("it does not come after the page before it");
    }
    match header.page_after(before) {
        Some(next) if header.is_full() && page != next => Err(Error::Missing(next)),
        _ => Ok(()),
    }
}

/// Whether a file may end after `page`.
pub(crate) fn check_end(header: &Header, page: u32) -> Result<()> {
    match header.page_after(page) {
        Some(next) if header.is_full() => Err(Error::Missing(next)),
        _ => Ok(()),
    }
}
