//! What is written comes back, by reading through and by the index.

use std::collections::BTreeMap;
use std::io::Cursor;

use ltx::{
    Decoder, Encoder, Error, FRAME_HEADER_BYTES, Header, PageIndex, Summing, decode_frame,
    lock_page,
};
use proptest::collection::btree_map;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};

use crate::database::{PAGE_SIZE, file, header, page_of};

type Pages = BTreeMap<u32, Vec<u8>>;

pub(crate) fn read(bytes: &[u8]) -> ltx::Result<(Header, Pages)> {
    let mut decoder = Decoder::new(bytes)?;
    let header = *decoder.header();
    let mut pages = Pages::new();
    let mut content = Vec::new();
    while let Some(page) = decoder.next(&mut content)? {
        pages.insert(page, content.clone());
    }
    decoder.finish()?;
    Ok((header, pages))
}

/// Reads every page at its place and checks the sum put together from the pieces.
pub(crate) fn read_by_index(bytes: &[u8]) -> ltx::Result<(Header, Pages)> {
    let index = PageIndex::read(Cursor::new(bytes))?;
    let mut pages = Pages::new();
    let mut sum = ltx::Sum::default();
    for place in index.places() {
        let frame = &bytes[place.offset.try_into().unwrap()..][..place.bytes as usize];
        let mut content = vec![0; index.header().page_size as usize];
        decode_frame(place.page, frame, &mut content)?;
        let mut summing = Summing::default();
        summing.add(&frame[..FRAME_HEADER_BYTES]);
        summing.add(&content);
        sum = sum.then(summing.sum());
        pages.insert(place.page, content);
    }
    index.check_sum(sum)?;
    Ok((*index.header(), pages))
}

fn file_of(size: u32) -> impl Strategy<Value = (Header, Pages)> {
    (2..u64::MAX >> 1, 0..1000_u64, 1..u32::MAX, any::<u32>()).prop_flat_map(
        move |(min_txid, more, commit, salt)| {
            let max_txid = min_txid.saturating_add(more).min(i64::MAX.cast_unsigned());
            let header = Header {
                page_size: size,
                wal_salts: [salt, !salt],
                ..header(commit, min_txid, max_txid)
            };
            let pages = btree_map(1..=commit, page_of(size), 0..8).prop_map(move |mut pages| {
                pages.remove(&lock_page(size));
                pages
            });
            (Just(header), pages)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read((header, pages) in (9..=16_u32).prop_flat_map(|bits| file_of(1 << bits))) {
        let bytes = file(header, &pages);
        prop_assert_eq!(read(&bytes).unwrap(), (header, pages.clone()));
        prop_assert_eq!(read_by_index(&bytes).unwrap(), (header, pages.clone()));
        let index = PageIndex::read(Cursor::new(&bytes)).unwrap();
        for page in pages.keys() {
            prop_assert_eq!(index.find(*page).map(|place| place.page), Some(*page));
            prop_assert!(page.checked_sub(1).is_none_or(|page| index.find(page).is_some() == pages.contains_key(&page)));
        }
    }
}

#[test]
fn the_encoder_counts_what_it_wrote() {
    let pages = Pages::from([(1, vec![1; PAGE_SIZE as usize]), (2, vec![2; PAGE_SIZE as usize])]);
    let bytes = file(header(2, 1, 5), &pages);
    let read = Decoder::new(bytes.as_slice()).unwrap().finish().unwrap();
    assert_eq!((read.pages, read.bytes), (2, bytes.len() as u64));
    let mut again = Encoder::new(Vec::new(), header(2, 1, 5)).unwrap();
    for (page, content) in &pages {
        again.page(*page, content).unwrap();
    }
    let written = again.finish().unwrap();
    assert_eq!((written.pages, written.bytes, written.checksum), (2, read.bytes, read.checksum));
}

#[test]
fn a_full_has_every_page() {
    let content = vec![0; PAGE_SIZE as usize];
    let mut encoder = Encoder::new(Vec::new(), header(3, 1, 1)).unwrap();
    assert!(matches!(encoder.page(2, &content), Err(Error::Missing(1))));
    encoder.page(1, &content).unwrap();
    assert!(matches!(encoder.page(3, &content), Err(Error::Missing(2))));
    encoder.page(2, &content).unwrap();
    assert!(matches!(encoder.finish(), Err(Error::Missing(3))));
}

#[test]
fn the_page_of_the_locks_is_never_written() {
    for bits in 9..=16 {
        let size = 1 << bits;
        let lock = lock_page(size);
        assert_eq!(u64::from(lock - 1) * u64::from(size), 1 << 30);
        let content = vec![0; size as usize];
        let header = Header { page_size: size, ..header(lock + 1, 2, 2) };
        let mut encoder = Encoder::new(Vec::new(), header).unwrap();
        encoder.page(lock - 1, &content).unwrap();
        assert!(matches!(encoder.page(lock, &content), Err(Error::Frame { .. })));
        encoder.page(lock + 1, &content).unwrap();
        let bytes = encoder.finish().unwrap().inner;
        assert_eq!(read(&bytes).unwrap().1.into_keys().collect::<Vec<_>>(), [lock - 1, lock + 1]);
    }
}

#[test]
fn pages_out_of_order_or_beyond_the_end_are_refused() {
    let content = vec![0; PAGE_SIZE as usize];
    let mut encoder = Encoder::new(Vec::new(), header(9, 2, 2)).unwrap();
    encoder.page(4, &content).unwrap();
    for page in [4, 3, 0, 10] {
        assert!(matches!(encoder.page(page, &content), Err(Error::Frame { .. })), "{page}");
    }
    assert!(encoder.page(5, &content[1..]).is_err());
    encoder.page(9, &content).unwrap();
    assert_eq!(read(&encoder.finish().unwrap().inner).unwrap().1.len(), 2);
}

#[test]
fn headers_that_cannot_be_are_neither_written_nor_read() {
    let fine = header(3, 2, 2);
    let wrong = [
        Header { page_size: 256, ..fine },
        Header { page_size: 1000, ..fine },
        Header { page_size: 131_072, ..fine },
        Header { commit: 0, ..fine },
        Header { min_txid: 0, ..fine },
        Header { min_txid: 3, ..fine },
        Header { timestamp_ms: -1, ..fine },
        Header { wal_offset: 0, ..fine },
        Header { wal_offset: 0, wal_salts: [0, 0], ..fine },
        Header { wal_offset: u64::MAX, ..fine },
        Header { wal_size: u64::MAX, ..fine },
    ];
    for header in wrong {
        assert!(matches!(Encoder::new(Vec::new(), header), Err(Error::Field { .. })), "{header:?}");
    }
    let bytes = file(fine, &Pages::new());
    // Magic, flags, checksum before, reserved.
    for at in [0, 4, 7, 40, 47, 80, 99] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x81;
        assert!(
            matches!(Decoder::new(bytes.as_slice()), Err(Error::Field { .. } | Error::NotLtx)),
            "{at}"
        );
    }
}
