//! Files that litestream 0.5.17 wrote: a small database as a full and as two transactions.

use ltx::{Decoder, PageIndex, merge};

use crate::round_trip::{read, read_by_index};

const FIRST: &[u8] = include_bytes!("stock-0-1.ltx");
const SECOND: &[u8] = include_bytes!("stock-0-2.ltx");
const FULL: &[u8] = include_bytes!("stock-9.ltx");

#[test]
fn its_files_are_read() {
    for (bytes, transactions) in [(FIRST, (1, 1)), (SECOND, (2, 2)), (FULL, (1, 2))] {
        let (header, pages) = read(bytes).unwrap();
        assert_eq!((header.page_size, header.commit), (512, 4));
        assert_eq!((header.min_txid, header.max_txid), transactions);
        assert_eq!(read_by_index(bytes).unwrap(), (header, pages));
    }
    let (_, pages) = read(FULL).unwrap();
    assert!(pages[&1].starts_with(b"SQLite format 3\0"));
    // Two tables of its own stand in between.
    assert!(pages[&2].windows(5).any(|text| text == b"world"));
}

#[test]
fn our_merge_of_its_transactions_is_its_full() {
    let ours = merge([FIRST, SECOND], Vec::new()).unwrap().inner;
    let (header, pages) = read(&ours).unwrap();
    let (of_stock, expected) = read(FULL).unwrap();
    assert_eq!(pages, expected);
    assert_eq!((header.min_txid, header.max_txid), (of_stock.min_txid, of_stock.max_txid));
    let frames = |bytes: &[u8]| {
        PageIndex::read(std::io::Cursor::new(bytes.to_vec())).unwrap().places().to_vec()
    };
    // The pages were taken over as they were packed, so that they stand at the same places.
    assert_eq!(frames(&ours), frames(FULL));
    let checked = Decoder::new(FULL).unwrap().finish().unwrap();
    assert_eq!((checked.pages, checked.bytes), (4, FULL.len() as u64));
}
