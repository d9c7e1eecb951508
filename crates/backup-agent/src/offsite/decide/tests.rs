//! The rule over two listings, on small histories and on random ones.

use std::path::Path;

use proptest::prelude::*;
use replica::tree::{At, Catalogue, Entry};

use super::{Behind, Known, Work, behind};

fn decide(here: &Catalogue, there: &Catalogue, proven: Option<u64>) -> Work {
    super::decide(here, there, Known { proven, pressed: false })
}

fn entry(level: u8, min_txid: u64, max_txid: u64) -> Entry {
    let time_ms = i64::try_from(max_txid * 1000).unwrap();
    Entry { level, min_txid, max_txid, time_ms, bytes: 10 }
}

fn catalogue(entries: impl IntoIterator<Item = Entry>) -> Catalogue {
    Catalogue::new(Path::new("/"), entries)
}

fn keys(entries: &[Entry]) -> Vec<(u8, u64, u64)> {
    entries.iter().map(|entry| (entry.level, entry.min_txid, entry.max_txid)).collect()
}

#[test]
fn the_newest_point_goes_first_by_few_files_and_then_the_history() {
    let old = [entry(9, 1, 10), entry(0, 11, 11), entry(0, 12, 12), entry(1, 11, 12)];
    let new = [entry(9, 1, 12), entry(0, 13, 13), entry(0, 14, 14), entry(1, 13, 14)];
    let here = catalogue(old.into_iter().chain(new).chain([entry(0, 15, 15)]));
    let work = decide(&here, &catalogue([]), None);
    assert_eq!(keys(&work.recovery), [(9, 1, 12), (1, 13, 14), (0, 15, 15)]);
    // What a minute holds is not sent again one by one.
    assert_eq!(keys(&work.history), [(1, 11, 12), (9, 1, 10)]);
    assert_eq!(work.gone, []);
}

#[test]
fn nothing_is_to_be_done_where_all_is_there() {
    let all = [entry(9, 1, 10), entry(0, 11, 11), entry(0, 12, 12)];
    assert_eq!(decide(&catalogue(all), &catalogue(all), None), Work::default());
    let behind_now = behind(&catalogue(all), &catalogue(all));
    assert_eq!(behind_now, Behind { since_ms: None, reached: Some(12) });
}

#[test]
fn the_lag_begins_with_the_oldest_that_is_not_there() {
    let here = catalogue([entry(9, 1, 10), entry(0, 11, 11), entry(0, 12, 12), entry(0, 13, 13)]);
    let there = catalogue([entry(9, 1, 10), entry(0, 11, 11), entry(0, 13, 13)]);
    // 13 is there and cannot be used without 12.
    assert_eq!(behind(&here, &there), Behind { since_ms: Some(12_000), reached: Some(11) });
    let nothing = behind(&here, &catalogue([]));
    assert_eq!(nothing, Behind { since_ms: Some(10_000), reached: None });
}

#[test]
fn what_was_forgotten_here_goes_once_the_newest_point_is_safe_there() {
    let here = catalogue([entry(9, 1, 20), entry(0, 21, 21)]);
    let old = [entry(9, 1, 10), entry(0, 11, 11)];
    let there = catalogue(old.into_iter().chain([entry(9, 1, 20)]));
    assert_eq!(decide(&here, &there, None).gone, [], "21 is not there yet");
    let there = catalogue(old.into_iter().chain([entry(9, 1, 20), entry(0, 21, 21)]));
    assert_eq!(keys(&decide(&here, &there, None).gone), [(0, 11, 11), (9, 1, 10)]);
}

#[test]
fn what_was_verified_there_stays_until_something_newer_is() {
    let here = catalogue([entry(9, 1, 20), entry(0, 21, 21)]);
    let there = catalogue([entry(9, 1, 10), entry(0, 11, 11), entry(9, 1, 20), entry(0, 21, 21)]);
    assert_eq!(decide(&here, &there, Some(11)).gone, []);
    assert_eq!(keys(&decide(&here, &there, Some(10)).gone), [(0, 11, 11)]);
    assert_eq!(decide(&here, &there, Some(20)).gone.len(), 2);
    assert_eq!(decide(&here, &there, Some(99)).gone, [], "nobody knows what was proven");
}

#[test]
fn where_there_is_no_room_what_may_go_goes_first() {
    let here = catalogue([entry(9, 1, 20), entry(0, 21, 21)]);
    let there = catalogue([entry(9, 1, 5), entry(9, 1, 10), entry(0, 11, 11)]);
    let work = super::decide(&here, &there, Known { proven: None, pressed: true });
    assert_eq!(work.recovery.len(), 2);
    assert_eq!(keys(&work.gone), [(9, 1, 5)], "its own newest point stays");
}

#[test]
fn a_house_that_lost_its_history_takes_nothing_from_the_copy() {
    let there = catalogue([entry(9, 1, 10), entry(0, 11, 11)]);
    for here in [catalogue([]), catalogue([entry(0, 11, 11)]), catalogue([entry(9, 1, 5)])] {
        assert_eq!(decide(&here, &there, None).gone, []);
    }
}

/// A history in which everything up to `last` can be reached: fulls at some transactions, every
/// transaction shipped, some of them merged.
fn history() -> impl Strategy<Value = Vec<Entry>> {
    (2_u64..30).prop_flat_map(|last| {
        let shipped: Vec<Entry> = (2..=last).map(|txid| entry(0, txid, txid)).collect();
        let fulls = proptest::collection::vec(1..=last, 1..4);
        let merged = proptest::collection::vec((2..=last, 0_u64..6), 0..5);
        (Just(shipped), fulls, merged).prop_map(move |(mut all, fulls, merged)| {
            all.push(entry(9, 1, 1));
            all.extend(fulls.into_iter().map(|at| entry(9, 1, at)));
            all.extend(
                merged.into_iter().map(|(from, more)| entry(1, from, last.min(from + more))),
            );
            all.sort_unstable();
            all.dedup();
            all
        })
    })
}

proptest! {
    /// Whatever is forgotten here: what goes there leaves the newest point and the proven one.
    #[test]
    fn forgetting_never_costs_a_point_that_has_to_stay(
        all in history(),
        forgotten in any::<u64>(),
        proven in 1_u64..30,
    ) {
        let there = catalogue(all.clone());
        let newest = there.plan(At::Latest).unwrap().txid;
        let here = catalogue(
            all.iter().enumerate().filter(|(at, _)| forgotten >> (at % 64) & 1 == 0).map(|(_, e)| *e),
        );
        let had = there.plan(At::Txid(proven)).is_ok();
        let mut left = there.clone();
        for entry in decide(&here, &there, Some(proven)).gone {
            prop_assert!(!here.entries().contains(&entry));
            left = left.without(&entry);
        }
        prop_assert_eq!(left.plan(At::Latest).unwrap().txid, newest);
        prop_assert!(!had || left.plan(At::Txid(proven)).is_ok());
    }

    /// Sending in the order that was decided, each file that leads on leads on at once.
    #[test]
    fn every_file_of_the_recovery_point_brings_there_nearer(
        all in history(),
        there in any::<u64>(),
    ) {
        let here = catalogue(all.clone());
        let mut entries: Vec<Entry> =
            all.iter().enumerate().filter(|(at, _)| there >> (at % 64) & 1 == 1).map(|(_, e)| *e).collect();
        let work = decide(&here, &catalogue(entries.clone()), None);
        entries.extend(work.recovery);
        let reached = behind(&here, &catalogue(entries));
        prop_assert_eq!(reached.since_ms, None);
    }
}
