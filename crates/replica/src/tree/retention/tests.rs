//! The rule of retention, by cases and by long histories.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{Reason, Rules};
use crate::tree::catalogue::{Catalogue, Entry};
use crate::tree::plan::At;
use crate::tree::{DIFFERENTIALS, FULLS, MINUTES, SHIPPED};

const HOUR_MS: i64 = 3_600_000;

fn entry(level: u8, min_txid: u64, max_txid: u64, time_ms: i64) -> Entry {
    Entry { level, min_txid, max_txid, time_ms, bytes: 100 }
}

fn rules() -> Rules {
    Rules {
        fulls: 2,
        transactions: Duration::from_hours(24),
        minutes: Duration::from_hours(72),
        age_max: None,
        proven_txid: None,
    }
}

fn reasons(entries: &[Entry], rules: &Rules, now_ms: i64) -> Vec<Reason> {
    let catalogue = Catalogue::new(Path::new("/"), entries.iter().copied());
    let verdicts = catalogue.judge(rules, now_ms, &HashSet::new());
    entries
        .iter()
        .map(|entry| verdicts.iter().find(|verdict| verdict.entry == *entry).unwrap().reason)
        .collect()
}

#[test]
fn fulls_go_by_number_and_age_and_never_the_newest() {
    let fulls: Vec<Entry> =
        (1..=4).map(|day| entry(FULLS, 1, day * 10, day.cast_signed() * 24 * HOUR_MS)).collect();
    let many =
        [Reason::TooManyFulls, Reason::TooManyFulls, Reason::OneOfTheFulls, Reason::NewestFull];
    assert_eq!(reasons(&fulls, &rules(), 97 * HOUR_MS), many);
    let old = Rules { age_max: Some(Duration::from_hours(24)), ..rules() };
    let far = [Reason::TooOld, Reason::TooOld, Reason::TooOld, Reason::NewestFull];
    assert_eq!(reasons(&fulls, &old, 9000 * HOUR_MS), far);
    let none = Rules { fulls: 0, ..rules() };
    assert_eq!(reasons(&fulls[3..], &none, 9000 * HOUR_MS), [Reason::NewestFull]);
    let proven = Rules { proven_txid: Some(25), ..rules() };
    assert_eq!(reasons(&fulls, &proven, 97 * HOUR_MS)[1], Reason::Proven);
}

#[test]
fn a_file_goes_only_for_one_that_stays() {
    let entries = [
        entry(FULLS, 1, 10, 0),
        entry(SHIPPED, 11, 11, HOUR_MS),
        entry(SHIPPED, 12, 12, 2 * HOUR_MS),
        entry(MINUTES, 11, 11, HOUR_MS),
        entry(SHIPPED, 9, 10, 0),
    ];
    let expected = [
        Reason::NewestFull,
        Reason::Merged { level: MINUTES },
        Reason::OnlyCopy,
        Reason::OnlyCopy,
        Reason::BeforeTheOldestFull,
    ];
    assert_eq!(reasons(&entries, &rules(), 1000 * HOUR_MS), expected);
    assert_eq!(reasons(&entries, &rules(), 3 * HOUR_MS)[1], Reason::Recent);
    let unfounded = [entry(SHIPPED, 11, 11, 0), entry(MINUTES, 11, 11, 0)];
    assert_eq!(reasons(&unfounded, &rules(), 1000 * HOUR_MS), [Reason::NoFullYet; 2]);
}

#[test]
fn what_a_restore_needs_stays() {
    let old = entry(FULLS, 1, 10, 0);
    let entries = [old, entry(FULLS, 1, 20, HOUR_MS), entry(FULLS, 1, 30, 2 * HOUR_MS)];
    let catalogue = Catalogue::new(Path::new("/"), entries);
    let verdicts = catalogue.judge(&rules(), 3 * HOUR_MS, &HashSet::from([old]));
    assert_eq!(verdicts[0].reason, Reason::InUse);
}

proptest! {
    /// Days of shipping with everything merged as it is in real life, and a few merges left out.
    #[test]
    fn no_point_that_is_promised_is_ever_lost(
        gaps in vec(1..9 * HOUR_MS, 1..60),
        lost in vec(any::<bool>(), 60),
        fulls in 1_usize..4,
        later in 0..200 * HOUR_MS,
    ) {
        let mut entries = vec![entry(FULLS, 1, 1, 0)];
        let (mut now, mut full, mut merged) = (0, 1, 1);
        for ((gap, lost), txid) in gaps.iter().zip(&lost).zip(2_u64..) {
            now += gap;
            entries.push(entry(SHIPPED, txid, txid, now));
            if !lost {
                entries.push(entry(MINUTES, merged + 1, txid, now));
                merged = txid;
            }
            if txid % 5 == 0 {
                entries.push(entry(DIFFERENTIALS, full + 1, txid, now));
            }
            if txid % 11 == 0 {
                entries.push(entry(FULLS, 1, txid, now));
                full = txid;
            }
        }
        let now = now + later;
        let rules = Rules { fulls, ..rules() };
        let before = Catalogue::new(Path::new("/"), entries);
        let verdicts = before.judge(&rules, now, &HashSet::new());
        let kept: Vec<Entry> =
            verdicts.iter().filter(|verdict| verdict.reason.stays()).map(|verdict| verdict.entry).collect();
        let after = Catalogue::new(Path::new("/"), kept);
        prop_assert_eq!(after.plan(At::Latest).unwrap().txid, before.plan(At::Latest).unwrap().txid);
        prop_assert!(after.fulls().count() >= fulls.min(before.fulls().count()));
        // Everything that is young enough, and not older than the oldest full, is still a point.
        let oldest = after.fulls().next().unwrap().max_txid;
        for entry in before.of_level(SHIPPED).filter(|entry| entry.max_txid > oldest) {
            if now - entry.time_ms <= 24 * HOUR_MS {
                prop_assert_eq!(after.plan(At::Txid(entry.max_txid)).unwrap().txid, entry.max_txid);
            }
            let time = Timestamp::from_millisecond(entry.time_ms).unwrap();
            prop_assert!(after.plan(At::Time(time)).is_ok());
        }
        // Nothing more goes the second time.
        let again = after.judge(&rules, now, &HashSet::new());
        prop_assert!(again.iter().all(|verdict| verdict.reason.stays()));
    }
}

#[test]
fn a_day_of_small_files_is_judged_and_planned_at_once() {
    let mut entries = vec![entry(FULLS, 1, 1, 0)];
    entries.extend((2..200_000).map(|txid| entry(SHIPPED, txid, txid, txid.cast_signed() * 200)));
    entries.extend(
        (2..199_500)
            .step_by(300)
            .map(|txid| entry(MINUTES, txid, txid + 299, (txid + 299).cast_signed() * 200)),
    );
    let catalogue = Catalogue::new(Path::new("/"), entries);
    let plan = catalogue.plan(At::Latest).unwrap();
    assert_eq!(plan.txid, 199_999);
    // The full, every minute, and what came after the last.
    assert_eq!(plan.entries.len(), 1 + 665 + 498);
    let verdicts = catalogue.judge(&rules(), 40_000_000 + 25 * HOUR_MS, &HashSet::new());
    let gone = verdicts.iter().filter(|verdict| !verdict.reason.stays()).count();
    assert_eq!(gone, 199_500);
    // Unmerged, every file is a step, and none is gone through twice.
    let small = Catalogue::new(
        Path::new("/"),
        catalogue.entries().iter().filter(|e| e.level != 1).copied(),
    );
    assert_eq!(small.plan(At::Txid(150_000)).unwrap().entries.len(), 150_000);
}
