//! Makes one LTX file of several that follow on each other: of each page the newest.

use std::io::{Read, Write};

use crate::decode::Decoder;
use crate::encode::{Encoder, Finished};
use crate::error::{Error, Result};
use crate::header::Header;

/// Merges `inputs`, oldest first, into `output`; memory is a page or two for each input.
///
/// Pages that the database lost on the way by shrinking are dropped, also where it grew again: what
/// it has there now must then be in a later input. Every input is read to its end and checked.
///
/// # Errors
/// Inputs that are damaged or do not go together, or what readers and writer say.
pub fn merge<R: Read, W: Write>(
    inputs: impl IntoIterator<Item = R>,
    output: W,
) -> Result<Finished<W>> {
    let decoders = inputs.into_iter().map(Decoder::new).collect::<Result<Vec<_>>>()?;
    let headers: Vec<Header> = decoders.iter().map(|decoder| *decoder.header()).collect();
    let mut encoder = Encoder::new(output, merged_header(&headers)?)?;
    merge_into(decoders, &mut encoder)?;
    encoder.finish()
}

/// Merges `inputs`, oldest first, as [`merge`] does, into a file that was begun with the header
/// that [`merged_header`] gives for theirs; it is left to be finished.
///
/// # Errors
/// Inputs that are damaged or do not go together, or what readers and writer say.
pub fn merge_into<R: Read, W: Write>(
    decoders: Vec<Decoder<R>>,
    encoder: &mut Encoder<W>,
) -> Result<()> {
    let header = *encoder.header();
    let mut least = u32::MAX;
    let mut inputs = Vec::with_capacity(decoders.len());
    for decoder in decoders.into_iter().rev() {
        least = least.min(decoder.header().commit);
        inputs.push(Input { decoder, content: Vec::new(), page: None, pages_max: least });
    }
    // Newest first from here on, so that the first to have a page is the one that counts.
    for input in &mut inputs {
        input.advance()?;
    }
    let mut growing = Growing { header, next: least };
    while let Some(page) = inputs.iter().filter_map(|input| input.page).min() {
        let mut taken = false;
        for input in inputs.iter_mut().filter(|input| input.page == Some(page)) {
            if !taken && page <= input.pages_max {
                growing.pass(page)?;
                encoder.packed_page(page, input.decoder.packed(), &input.content)?;
                taken = true;
            }
            input.advance()?;
        }
    }
    growing.end()?;
    for input in inputs {
        input.decoder.finish()?;
    }
    Ok(())
}

struct Input<R> {
    decoder: Decoder<R>,
    content: Vec<u8>,
    /// The page in `content`; `None` after the last.
    page: Option<u32>,
    /// Pages above this were cut off by this input or a later one.
    pages_max: u32,
}

impl<R: Read> Input<R> {
    fn advance(&mut self) -> Result<()> {
        self.page = self.decoder.next(&mut self.content)?;
        Ok(())
    }
}

/// Demands every page above the smallest size the database had on the way.
struct Growing {
    header: Header,
    /// The last page that is not demanded, or that was there.
    next: u32,
}

impl Growing {
    fn pass(&mut self, page: u32) -> Result<()> {
        if page <= self.next {
            return Ok(());
        }
        match self.header.page_after(self.next) {
            Some(wanted) if wanted != page => Err(Error::Missing(wanted)),
            _ => {
                self.next = page;
                Ok(())
            }
        }
    }

    fn end(&self) -> Result<()> {
        self.header.page_after(self.next).map_or(Ok(()), |page| Err(Error::Missing(page)))
    }
}

/// The header of what comes out of files with these headers, oldest first.
///
/// # Errors
/// Files that do not follow on each other or have other pages.
pub fn merged_header(headers: &[Header]) -> Result<Header> {
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Err(Error::Nothing);
    };
    for (before, after) in headers.iter().zip(&headers[1..]) {
        if before.page_size != after.page_size {
            return Err(Error::PageSizes(before.page_size, after.page_size));
        }
        let (from, to) = (after.min_txid, after.max_txid);
        if from > before.max_txid.saturating_add(1) || to <= before.max_txid {
            return Err(Error::NotContiguous { before: before.max_txid, from, to });
        }
    }
    Ok(Header {
        page_size: first.page_size,
        commit: last.commit,
        min_txid: first.min_txid,
        max_txid: last.max_txid,
        timestamp_ms: last.timestamp_ms,
        wal_offset: 0,
        wal_size: 0,
        wal_salts: [0; 2],
    })
}
