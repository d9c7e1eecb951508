//! Full disks, files taken away or exchanged, clocks that jump: named, and nothing good lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::Timestamp;
use replica::Follower;
use replica::disk::{Disk, Step};
use replica::follow::{Clock, FaultKind, Looked};
use replica::tree::{At, Timelines};
use rusqlite::Connection;

use super::live::Live;

fn full_disk(live: &mut Live, kind: io::ErrorKind) -> Arc<AtomicBool> {
    let full = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&full);
    live.disk = Disk::rehearsing(move |step, _| {
        let writes = matches!(step, Step::Create | Step::Write | Step::Sync);
        if writes && seen.load(Ordering::Relaxed) { Err(kind.into()) } else { Ok(()) }
    });
    full
}

#[test]
fn a_full_disk_of_the_history_is_named_and_what_waited_is_shipped_when_there_is_room() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem] {
        let mut live = Live::new(4096);
        let full = full_disk(&mut live, kind);
        let mut follower = live.follow();
        live.write(5);
        live.settle(&mut follower);
        full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            live.write(5);
            follower.look().unwrap_err();
            follower.seal().unwrap_err();
            // Others cannot take it away meanwhile.
            live.checkpoint("TRUNCATE");
        }
        assert!(follower.status().behind_since.is_some());
        full.store(false, Ordering::Relaxed);
        live.settle(&mut follower);
        let status = follower.status();
        assert_eq!((status.gaps, status.behind_since), (0, None));
        assert!(follower.seal().unwrap());
        live.write(1);
        live.settle(&mut follower);
        assert_eq!(follower.status().gaps, 0);
        live.check_all(&follower);
    }
}

#[test]
fn faults_of_the_disk_have_their_names_and_go_when_they_are_over() {
    for (kind, name) in [
        (io::ErrorKind::StorageFull, FaultKind::Full),
        (io::ErrorKind::ReadOnlyFilesystem, FaultKind::ReadOnly),
        (io::ErrorKind::Other, FaultKind::History),
    ] {
        let mut live = Live::new(4096);
        let full = full_disk(&mut live, kind);
        let mut follower = live.follow();
        live.settle(&mut follower);
        full.store(true, Ordering::Relaxed);
        live.write(1);
        assert!(!follower.turn());
        let faults = &follower.status().faults;
        assert_eq!(faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [name]);
        assert!(faults[0].said.contains("timeline-0001/ltx/0"), "{}", faults[0].said);
        full.store(false, Ordering::Relaxed);
        assert!(follower.turn());
        assert!(follower.status().faults.is_empty());
    }
}

#[test]
fn a_log_that_cannot_be_shipped_is_let_go_before_it_fills_the_disk_and_made_good_later() {
    let mut live = Live::new(4096);
    let full = full_disk(&mut live, io::ErrorKind::StorageFull);
    let mut config = live.config();
    config.log_bytes_max = 1 << 20;
    let mut follower = Follower::open(config).unwrap();
    live.settle(&mut follower);
    full.store(true, Ordering::Relaxed);
    while std::fs::metadata(live.log()).unwrap().len() < 2 << 20 {
        live.write(100);
        follower.turn();
    }
    let said = follower.status().faults.iter().find(|fault| fault.kind == FaultKind::LogTooLong);
    assert!(said.unwrap().said.contains("live.db"), "{said:?}");
    live.checkpoint("TRUNCATE");
    assert_eq!(std::fs::metadata(live.log()).unwrap().len(), 0, "nobody holds it any more");
    full.store(false, Ordering::Relaxed);
    assert!(follower.turn());
    live.remember(&follower);
    assert!(follower.status().faults.is_empty(), "{:?}", follower.status().faults);
    assert_eq!(follower.status().gaps, 1);
    live.check_all(&follower);
}

#[test]
fn a_log_that_is_removed_while_in_use_is_named_and_what_is_live_after_is_shipped() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(20);
    live.settle(&mut follower);
    live.write(3);
    std::fs::remove_file(live.log()).unwrap();
    assert!(!follower.turn());
    let fault = follower.status().faults[0].clone();
    assert_eq!(fault.kind, FaultKind::LogGone);
    assert!(fault.said.contains("live.db-wal") && fault.said.contains("restart"), "{}", fault.said);
    // The service is restarted, as the fault says.
    live.writer = Connection::open_in_memory().unwrap();
    live.writer = live.connect();
    live.write(2);
    live.settle(&mut follower);
    assert!(follower.turn());
    assert!(follower.status().faults.is_empty(), "{:?}", follower.status().faults);
    live.write(2);
    live.settle(&mut follower);
    live.check_all(&follower);
}

#[test]
fn a_database_that_is_exchanged_under_its_feet_is_followed_on_and_both_points_are_kept() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(40);
    live.settle(&mut follower);
    // An older copy is put back while the service is down.
    let copy = live.folder.path().join("copy.db");
    live.writer.execute("VACUUM INTO ?", [copy.to_str().unwrap()]).unwrap();
    live.write(40);
    live.settle(&mut follower);
    let before = follower.status().txid;
    live.writer = Connection::open_in_memory().unwrap();
    for ending in ["-wal", "-shm"] {
        std::fs::remove_file(live.folder.path().join(format!("live.db{ending}"))).unwrap();
    }
    std::fs::rename(&copy, live.database()).unwrap();
    live.writer = live.connect();
    live.writer.pragma_update(None, "journal_mode", "wal").unwrap();
    live.write(1);
    live.settle(&mut follower);
    let status = follower.status();
    assert_eq!((status.txid, status.gaps, status.timeline), (before + 1, 1, 1));
    assert!(status.last_gap.as_ref().unwrap().why.contains("exchanged"));
    live.write(2);
    live.settle(&mut follower);
    live.check_all(&follower);
}

#[test]
fn a_database_with_other_pages_begins_a_timeline_of_its_own() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(10);
    live.settle(&mut follower);
    let first = follower.tree().unwrap().clone();
    let other = Live::new(1024);
    live.writer = Connection::open_in_memory().unwrap();
    other.run("PRAGMA wal_checkpoint(TRUNCATE)");
    std::fs::rename(other.database(), live.database()).unwrap();
    for ending in ["-wal", "-shm"] {
        std::fs::remove_file(live.folder.path().join(format!("live.db{ending}"))).unwrap();
    }
    live.writer = live.connect();
    live.settle(&mut follower);
    assert_eq!((follower.status().timeline, follower.status().txid), (2, 1));
    live.write(3);
    live.settle(&mut follower);
    live.check_all(&follower);
    assert_eq!(first.list().unwrap().entries().len(), 1, "the first timeline is as it was");
}

#[test]
fn a_timeline_that_a_restore_began_is_the_one_that_is_written_from_then_on() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    for _ in 0..3 {
        live.write(10);
        live.settle(&mut follower);
    }
    let first = follower.tree().unwrap().clone();
    let timelines = Timelines::new(&live.history(), Disk::default());
    let plan = timelines.plan(At::Txid(2)).unwrap();
    timelines.branch(&plan, Timestamp::now(), "0.0.0").unwrap();
    let before = first.list().unwrap();
    live.write(1);
    live.settle(&mut follower);
    assert_eq!((follower.status().timeline, follower.status().txid), (2, 3));
    live.write(1);
    live.settle(&mut follower);
    live.check_all(&follower);
    assert_eq!(first.list().unwrap(), before, "the first timeline stays as it was");
}

#[test]
fn a_seal_that_somebody_stood_in_the_way_of_is_tried_again_without_another_write() {
    let mut live = Live::new(4096);
    let now = Arc::new(AtomicI64::new(1_790_000_000_000));
    let told = Arc::clone(&now);
    let mut config = live.config();
    config.seal_bytes = 1;
    config.clock =
        Clock::new(move || Timestamp::from_millisecond(told.load(Ordering::Relaxed)).unwrap());
    let mut follower = Follower::open(config).unwrap();
    live.settle(&mut follower);
    live.write(10);
    let reader = live.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM words").unwrap();
    live.write(10);
    assert!(follower.turn());
    drop(reader);
    assert!(follower.turn());
    assert_eq!(follower.status().seals, 0, "it is too soon");
    assert!(follower.status().log_bytes > 0);
    now.fetch_add(6000, Ordering::Relaxed);
    assert!(follower.turn());
    assert_eq!((follower.status().seals, follower.status().log_bytes), (1, 0));
    live.write(1);
    live.settle(&mut follower);
    assert_eq!(follower.status().gaps, 0);
    live.check_all(&follower);
}

#[test]
fn a_clock_that_goes_back_a_little_makes_no_file_older_and_one_that_jumps_is_named() {
    let mut live = Live::new(4096);
    let now = Arc::new(AtomicI64::new(1_790_000_000_000));
    let told = Arc::clone(&now);
    let mut config = live.config();
    config.clock =
        Clock::new(move || Timestamp::from_millisecond(told.load(Ordering::Relaxed)).unwrap());
    let mut follower = Follower::open(config).unwrap();
    let mut times = Vec::new();
    for step in [0, 1000, -4000, 5000, -3_600_000, 1000, 7_200_000] {
        now.fetch_add(step, Ordering::Relaxed);
        live.write(1);
        live.settle(&mut follower);
        let entry = *follower.tree().unwrap().list().unwrap().newest().unwrap();
        times.push(entry.time_ms - 1_790_000_000_000);
        let named = follower.status().faults.iter().any(|fault| fault.kind == FaultKind::Clock);
        assert_eq!(named, step == -3_600_000, "after {step}");
    }
    assert_eq!(times, [0, 1000, 1000, 2000, -3_598_000, -3_597_000, 3_603_000]);
    assert_eq!(follower.look().unwrap(), Looked::Nothing);
    live.check_all(&follower);
}
