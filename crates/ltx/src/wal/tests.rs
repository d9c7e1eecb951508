//! Logs of all shapes, whole, cut and bent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Pages of the transactions, in the order of their frames, with the size after each.
type Script = Vec<(Vec<(u32, u8)>, u32)>;

fn script() -> impl Strategy<Value = Script> {
    let pages = proptest::collection::vec((1_u32..12, any::<u8>()), 1..6);
    proptest::collection::vec((pages, 1_u32..12), 0..8)
}

/// A log that holds `script`.
fn log(script: &Script, big_endian: bool, page_size: u32) -> Vec<u8> {
    let mut bytes = Chain::header(big_endian, page_size, 0, [7, 0xdead_beef]).to_vec();
    let mut place = Chain::begin(bytes[..].try_into().unwrap()).unwrap();
    for (pages, size) in script {
        for (at, (pgno, content)) in pages.iter().enumerate() {
            let commit = if at + 1 == pages.len() { *size } else { 0 };
            let page = vec![*content; page_size as usize];
            place.write(Frame { pgno: *pgno, commit }, &page, &mut bytes);
        }
    }
    bytes
}

fn read(bytes: &[u8], frames_max: u32) -> Option<Delta> {
    let place = Chain::begin(bytes.get(..HEADER_BYTES)?.try_into().unwrap()).ok()?;
    Delta::read(&bytes[HEADER_BYTES..], place, frames_max).unwrap()
}

/// What each transaction of `script` leaves, told without the log's help.
fn states(script: &Script) -> Vec<(BTreeMap<u32, u8>, u32)> {
    let mut pages = BTreeMap::new();
    let after = |(written, size): &(Vec<(u32, u8)>, u32)| {
        pages.extend(written.iter().copied());
        pages.retain(|pgno, _| pgno <= size);
        (pages.clone(), *size)
    };
    script.iter().map(after).collect()
}

fn contents(delta: &Delta, bytes: &[u8]) -> BTreeMap<u32, u8> {
    let content = |at: u64| bytes[usize::try_from(at).unwrap()];
    delta.pages.iter().map(|(pgno, at)| (*pgno, content(*at))).collect()
}

proptest! {
    #[test]
    fn every_whole_transaction_is_read_and_the_newest_page_wins(
        script in script(), big_endian: bool, size_bits in 9_u32..=16,
    ) {
        let bytes = log(&script, big_endian, 1 << size_bits);
        let delta = read(&bytes, u32::MAX);
        let Some((pages, size)) = states(&script).pop() else {
            prop_assert_eq!(delta, None);
            return Ok(());
        };
        let delta = delta.unwrap();
        prop_assert_eq!(contents(&delta, &bytes), pages);
        prop_assert_eq!(delta.commit, size);
        prop_assert_eq!(delta.commit_min, script.iter().map(|(_, size)| *size).min().unwrap());
        prop_assert_eq!(delta.transactions as usize, script.len());
        prop_assert_eq!(delta.end.offset(), bytes.len() as u64);
    }

    #[test]
    fn a_log_that_is_cut_ends_with_its_last_whole_transaction(
        script in script(), big_endian: bool, cut in 0.0_f64..1.0,
    ) {
        let bytes = log(&script, big_endian, 512);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a place in a small file")]
        let cut = (bytes.len() as f64 * cut) as usize;
        let ends = script.iter().scan(HEADER_BYTES, |end, (pages, _)| {
            *end += pages.len() * (FRAME_HEADER_BYTES + 512);
            Some(*end)
        });
        let whole = ends.filter(|end| *end <= cut).count();
        let expected = states(&script[..whole].to_vec()).pop();
        let found = read(&bytes[..cut], u32::MAX);
        let found = found.map(|delta| (contents(&delta, &bytes), delta.commit));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_single_flipped_bit_hides_its_frame_and_all_after_it(
        script in script(), big_endian: bool, at: prop::sample::Index, bit in 0_u8..8,
    ) {
        let whole = log(&script, big_endian, 512);
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // The sequence number and all the rest of the header is under its sum as well.
        let frame_bytes = FRAME_HEADER_BYTES + 512;
        let good = at.checked_sub(HEADER_BYTES).map(|at| at / frame_bytes);
        let Some(good) = good else {
            prop_assert_eq!(read(&bytes, u32::MAX), None);
            return Ok(());
        };
        prop_assert_eq!(read(&bytes, u32::MAX), read(&whole, u32::try_from(good).unwrap()));
    }

    #[test]
    fn reading_in_steps_finds_the_same_as_reading_at_once(
        script in script(), big_endian: bool, step in 1_u32..7,
    ) {
        let bytes = log(&script, big_endian, 512);
        let mut place = Chain::begin(bytes[..HEADER_BYTES].try_into().unwrap()).unwrap();
        let (mut pages, mut size, mut transactions) = (BTreeMap::new(), None, 0);
        let mut until = 0;
        while until < 64 {
            until += step;
            let rest = &bytes[usize::try_from(place.offset()).unwrap()..];
            if let Some(delta) = Delta::read(rest, place, until).unwrap() {
                pages.retain(|pgno, _| *pgno <= delta.commit_min);
                pages.extend(contents(&delta, &bytes));
                size = Some(delta.commit);
                transactions += delta.transactions;
                place = delta.end;
            }
        }
        let whole = read(&bytes, u32::MAX);
        prop_assert_eq!(transactions, whole.as_ref().map_or(0, |delta| delta.transactions));
        prop_assert_eq!(size, whole.as_ref().map(|delta| delta.commit));
        prop_assert_eq!(pages, whole.map(|delta| contents(&delta, &bytes)).unwrap_or_default());
    }

    #[test]
    fn no_bytes_make_the_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        read(&bytes, u32::MAX);
        let mut framed = Chain::header(true, 512, 1, [1, 2]).to_vec();
        framed.extend(bytes);
        prop_assert_eq!(read(&framed, u32::MAX), None);
    }
}

#[test]
fn frames_of_an_older_run_do_not_belong() {
    let older = log(&vec![(vec![(1, 1), (2, 1)], 2), (vec![(3, 1)], 3)], false, 512);
    let mut bytes = Chain::header(false, 512, 1, [8, 9]).to_vec();
    let mut place = Chain::begin(bytes[..].try_into().unwrap()).unwrap();
    place.write(Frame { pgno: 1, commit: 2 }, &[5; 512], &mut bytes);
    bytes.extend(&older[bytes.len()..]);
    let delta = read(&bytes, u32::MAX).unwrap();
    assert_eq!((delta.end, delta.commit, delta.transactions), (place, 2, 1));
}

#[test]
fn headers_that_sqlite_would_not_take_are_refused_with_the_reason() {
    let header = Chain::header(true, 4096, 3, [1, 2]);
    assert!(Chain::begin(&header).is_ok());
    let changed = |at: usize, value: u32| {
        let mut header = header;
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
        Chain::begin(&header).unwrap_err()
    };
    assert_eq!(changed(0, 0x5351_4c69), NotALog::Magic);
    assert_eq!(changed(4, 3_008_000), NotALog::Version(3_008_000));
    for size in [0, 256, 1000, 131_072] {
        assert_eq!(changed(8, size), NotALog::PageSize(size));
    }
    assert_eq!(changed(16, 0), NotALog::Sum);
}

#[test]
fn pages_that_no_frame_holds_are_named_where_the_file_grew_or_shrank_and_grew() {
    let script = vec![(vec![(1, 1), (4, 1)], 4), (vec![(1, 2)], 3), (vec![(6, 3)], 7)];
    let delta = read(&log(&script, false, 1024), u32::MAX).unwrap();
    assert_eq!(delta.unwritten(2).collect::<Vec<_>>(), [3, 4, 5, 7]);
    assert_eq!(delta.unwritten(9).collect::<Vec<_>>(), [4, 5, 7]);
}
