//! Merged files say what their inputs said one after the other.

use std::collections::BTreeMap;

use ltx::{Encoder, Error, merge};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use crate::database::{PAGE_SIZE, as_map, file, files, header, history, states};
use crate::round_trip::read;

fn merged(files: &[Vec<u8>]) -> ltx::Result<Vec<u8>> {
    Ok(merge(files.iter().map(Vec::as_slice), Vec::new())?.inner)
}

proptest! {
    #[test]
    fn a_history_merged_is_the_database_at_its_end(steps in history(8)) {
        let (header, pages) = read(&merged(&files(&steps)).unwrap()).unwrap();
        let last = states(&steps).pop().unwrap();
        prop_assert_eq!(header.commit as usize, last.len());
        prop_assert_eq!((header.min_txid, header.max_txid), (1, steps.len() as u64));
        prop_assert_eq!(header.timestamp_ms, 1_700_000_000_000 + i64::try_from(steps.len()).unwrap());
        prop_assert_eq!((header.wal_offset, header.wal_size, header.wal_salts), (0, 0, [0, 0]));
        prop_assert_eq!(pages, as_map(&last));
    }

    #[test]
    fn merging_in_parts_comes_to_the_same(steps in history(9), one in any::<Index>(), two in any::<Index>()) {
        let files = files(&steps);
        let mut cuts = [one.index(files.len() + 1), two.index(files.len() + 1)];
        cuts.sort_unstable();
        let parts = [&files[..cuts[0]], &files[cuts[0]..cuts[1]], &files[cuts[1]..]];
        let parts: Vec<Vec<u8>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| merged(part).unwrap()).collect();
        prop_assert_eq!(merged(&parts).unwrap(), merged(&files).unwrap());
    }

    #[test]
    fn a_damaged_input_spoils_the_whole(steps in history(4), which in any::<Index>(), at in any::<Index>()) {
        let mut files = files(&steps);
        let whole = read(&merged(&files).unwrap()).unwrap();
        let damaged = which.index(files.len());
        let at = at.index(files[damaged].len());
        files[damaged][at] ^= 0x55;
        let outcome = merged(&files);
        prop_assert!(outcome.is_err() || read(&outcome.unwrap()).unwrap() == whole);
    }
}

#[test]
fn what_was_cut_off_does_not_come_back_when_the_database_grows_again() {
    let page = |byte: u8| vec![byte; PAGE_SIZE as usize];
    let old = file(header(4, 7, 7), &BTreeMap::from([(3, page(1)), (4, page(1))]));
    let shrunk = file(header(2, 8, 8), &BTreeMap::from([(2, page(2))]));
    let grown = file(header(4, 9, 9), &BTreeMap::from([(3, page(3)), (4, page(3))]));
    let (header_after, pages) =
        read(&merged(&[old.clone(), shrunk.clone(), grown]).unwrap()).unwrap();
    assert_eq!(header_after.commit, 4);
    assert_eq!(pages, BTreeMap::from([(2, page(2)), (3, page(3)), (4, page(3))]));
    // A file that grows the database and lacks a page is one that no follower writes.
    let holed = file(header(4, 9, 9), &BTreeMap::from([(4, page(3))]));
    assert!(matches!(merged(&[old.clone(), shrunk.clone(), holed]), Err(Error::Missing(3))));
    let short = file(header(4, 9, 9), &BTreeMap::from([(3, page(3))]));
    assert!(matches!(merged(&[old, shrunk, short]), Err(Error::Missing(4))));
}

#[test]
fn files_that_do_not_follow_on_each_other_are_refused() {
    let one = |min, max| file(header(1, min, max), &BTreeMap::new());
    assert!(matches!(merged(&[]), Err(Error::Nothing)));
    let gap = merged(&[one(2, 3), one(5, 6)]);
    assert!(matches!(gap, Err(Error::NotContiguous { before: 3, from: 5, to: 6 })));
    assert!(merged(&[one(2, 6), one(3, 5)]).is_err());
    assert!(merged(&[one(2, 6), one(4, 8)]).is_ok());
    let larger = ltx::Header { page_size: 1024, ..header(1, 4, 4) };
    let larger = Encoder::new(Vec::new(), larger).unwrap().finish().unwrap().inner;
    assert!(matches!(merged(&[one(2, 3), larger]), Err(Error::PageSizes(512, 1024))));
}
