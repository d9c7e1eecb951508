//! A page in an LTX file: its number, a flag, the length of what follows, and the page in LZ4.

use lz4_flex::block;

use crate::error::{Error, Result};

/// What stands before the compressed page.
pub const FRAME_HEADER_BYTES: usize = 10;
/// What ends the pages: the first part of a frame header, all zero.
pub(crate) const END: [u8; 6] = [0; 6];

/// Says that the length of the compressed page follows, which older files do not have.
const SIZED: u16 = 1;

/// The longest frame a page can have; LZ4 makes pages that cannot be compressed a little longer.
pub fn frame_bytes_max(page_size: u32) -> usize {
    FRAME_HEADER_BYTES + compressed_bytes_max(page_size)
}

/// The bound that LZ4's own documentation gives.
pub(crate) fn compressed_bytes_max(page_size: u32) -> usize {
    let bytes = page_size as usize;
    bytes + bytes / 255 + 16
}

/// The ten bytes before a compressed page.
pub(crate) fn header(page: u32, compressed: u32) -> [u8; FRAME_HEADER_BYTES] {
    let mut bytes = [0; FRAME_HEADER_BYTES];
    bytes[..4].copy_from_slice(&page.to_be_bytes());
    bytes[4..6].copy_from_slice(&SIZED.to_be_bytes());
    bytes[6..].copy_from_slice(&compressed.to_be_bytes());
    bytes
}

/// What the first six bytes of a frame say: the page's number.
pub(crate) fn page_number(first: [u8; 6]) -> Result<u32> {
    let page = u32::from_be_bytes(std::array::from_fn(|byte| first[byte]));
    if page == 0 {
        return Err(Error::Frame { page, fault: "a frame has no page number" });
    }
    match u16::from_be_bytes([first[4], first[5]]) {
        SIZED => Ok(page),
        0 => {
            let fault = "it was written by an older litestream, in a form not read here";
            Err(Error::Frame { page, fault })
        }
        _ => Err(Error::Frame { page, fault: "its flags are unknown" }),
    }
}

/// The length of the compressed page, which is held to what the page's size allows.
pub(crate) fn compressed_bytes(page: u32, field: [u8; 4], page_size: u32) -> Result<usize> {
    let bytes = u32::from_be_bytes(field) as usize;
    if bytes == 0 || bytes > compressed_bytes_max(page_size) {
        return Err(Error::Frame { page, fault: "its length cannot be" });
    }
    Ok(bytes)
}

/// Fills `into`, which is as long as a page, from its compressed form.
pub(crate) fn unpack(page: u32, compressed: &[u8], into: &mut [u8]) -> Result<()> {
    match block::decompress_into(compressed, into) {
        Ok(bytes) if bytes == into.len() => Ok(()),
        Ok(_) => Err(Error::Frame { page, fault: "its content is too short" }),
        // Which rule of LZ4 is broken tells nobody anything.
        Err(_) => Err(Error::Frame { page, fault: "its content cannot be unpacked" }),
    }
}

/// Unpacks the whole frame that an index says is `page`'s into `content`, which is as long as a page.
///
/// # Errors
/// What is wrong with the frame.
pub fn decode_frame(page: u32, frame: &[u8], content: &mut [u8]) -> Result<()> {
    let (header, compressed) =
        frame.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or(Error::Truncated("pages"))?;
    if page_number(std::array::from_fn(|byte| header[byte]))? != page {
        return Err(Error::Frame { page, fault: "another page stands where the index has it" });
    }
    let length = std::array::from_fn(|byte| header[6 + byte]);
    let page_size = u32::try_from(content.len()).unwrap_or(u32::MAX);
    if compressed_bytes(page, length, page_size)? != compressed.len() {
        return Err(Error::Frame { page, fault: "its length differs from the index's" });
    }
    unpack(page, compressed, content)
}
