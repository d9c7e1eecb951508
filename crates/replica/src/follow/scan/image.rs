//! The database of a view as one stream of bytes, for those who keep whole files.

use std::io::{self, Read};

use super::Scan;

/// A database file as it is in a view, read page by page through SQLite. Nothing lies on the disk.
#[derive(Debug)]
pub struct Image {
    scan: Scan,
    /// The page that is read next, from 1.
    next: u32,
    page: Vec<u8>,
    /// How much of the page was handed out.
    given: usize,
}

impl Scan {
    /// When the transaction was seen, in milliseconds since 1970.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// The view as a file. While it is read, the log grows.
    pub fn into_image(self) -> Image {
        Image { scan: self, next: 1, page: Vec::new(), given: 0 }
    }
}

impl Image {
    /// How long the file is.
    pub fn bytes(&self) -> u64 {
        u64::from(self.scan.view.page_size()) * u64::from(self.scan.view.pages())
    }

    /// Reads the next page; false at the end.
    fn turn(&mut self) -> io::Result<bool> {
        let (view, pgno) = (&self.scan.view, self.next);
        if pgno > view.pages() {
            return Ok(false);
        }
        // The page of SQLite's locks holds nothing, and SQLite shows none there.
        let page = if pgno == ltx::lock_page(view.page_size()) {
            None
        } else {
            view.page(pgno).map_err(io::Error::other)?
        };
        let size = usize::try_from(view.page_size()).map_err(io::Error::other)?;
        self.page = page.unwrap_or_else(|| vec![0; size]);
        self.given = 0;
        self.next += 1;
        Ok(true)
    }
}

impl Read for Image {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.page.len() && !self.turn()? {
            return Ok(0);
        }
        let rest = self.page.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}
