//! A live database that is followed while it is written: every point comes back as it was.

mod accidents;
mod killed;
mod live;
mod model;
mod restarts;
mod scans;
mod under_fire;

pub(crate) use live::image;

use replica::disk::Step;
use replica::follow::{Looked, State};
use rusqlite::Connection;

use self::live::Live;

#[test]
fn every_commit_comes_back_as_it_was_with_pages_of_every_size() {
    for bits in 9..=16 {
        let mut live = Live::new(1 << bits);
        let mut follower = live.follow();
        live.settle(&mut follower);
        for round in 0..6 {
            live.write(20 + round * 7);
            live.settle(&mut follower);
        }
        live.run("DELETE FROM words WHERE id % 3 = 0");
        live.settle(&mut follower);
        live.run("VACUUM");
        live.settle(&mut follower);
        live.write(90);
        live.settle(&mut follower);
        live.run("DELETE FROM words; VACUUM");
        live.settle(&mut follower);
        live.write(5);
        live.settle(&mut follower);
        assert_eq!(follower.status().gaps, 0, "pages of {} bytes", 1 << bits);
        live.check_all(&follower);
    }
}

#[test]
fn what_is_made_and_removed_in_one_commit_is_shipped_as_it_lies_there() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.settle(&mut follower);
    live.run(
        "BEGIN; INSERT INTO words (text) SELECT hex(randomblob(3000)) FROM words_of_use; \
         DELETE FROM words; INSERT INTO words (text) VALUES ('last'); COMMIT",
    );
    live.settle(&mut follower);
    live.write(3);
    live.settle(&mut follower);
    assert_eq!(follower.status().gaps, 0);
    live.check_all(&follower);
}

#[test]
fn pages_that_no_frame_holds_are_shipped_from_the_database() {
    let mut live = Live::new(1024);
    let mut follower = live.follow();
    live.write(20);
    live.settle(&mut follower);
    drop(follower);
    let pages = live.grow_without_frames(3);
    let mut follower = live.follow();
    live.settle(&mut follower);
    assert_eq!(image(&live.writer).len(), pages as usize * 1024);
    assert_eq!((follower.status().txid, follower.status().gaps), (2, 0));
    live.check_all(&follower);
    live.write(20);
    live.settle(&mut follower);
    live.check_all(&follower);
}

#[test]
fn what_is_written_as_it_was_is_not_shipped_again() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(40);
    live.settle(&mut follower);
    let files = follower.status().files;
    // There and back in one commit: the log holds the page, and it is what it was.
    live.run("BEGIN; UPDATE notes SET text = 'there'; UPDATE notes SET text = 'back.'; COMMIT");
    assert_eq!(follower.look().unwrap(), Looked::Unchanged);
    assert_eq!(follower.status().files, files);
    live.write(1);
    live.settle(&mut follower);
    live.check_all(&follower);
}

#[test]
fn while_nothing_is_written_the_follower_changes_nothing_on_disk() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(10);
    live.settle(&mut follower);
    assert!(follower.seal().unwrap());
    let steps = || live.disk.count(Step::Sync) + live.disk.count(Step::SyncFolder);
    let before = (steps(), live.disk.count(Step::Create), live.disk.count(Step::Write));
    let log = std::fs::metadata(live.log()).unwrap().modified().unwrap();
    for _ in 0..200 {
        assert_eq!(follower.look().unwrap(), Looked::Nothing);
    }
    assert_eq!((steps(), live.disk.count(Step::Create), live.disk.count(Step::Write)), before);
    assert_eq!(std::fs::metadata(live.log()).unwrap().modified().unwrap(), log);
}

#[test]
fn a_sealed_log_is_started_over_and_nothing_is_missed() {
    let mut live = Live::new(1024);
    let mut follower = live.follow();
    live.settle(&mut follower);
    for round in 0..8 {
        live.write(30);
        if round % 2 == 0 {
            live.settle(&mut follower);
        }
        assert!(follower.seal().unwrap(), "round {round}");
        live.remember(&follower);
    }
    let longest = std::fs::metadata(live.log()).unwrap().len();
    assert!(longest < 80 * 1048, "the log has {longest} bytes: it was never started over");
    let status = follower.status();
    assert_eq!((status.gaps, status.seals, status.seals_locked), (0, 8, 0));
    live.check_all(&follower);
}

#[test]
fn a_reader_of_somebody_else_delays_a_seal_and_harms_nothing() {
    let mut live = Live::new(1024);
    let mut follower = live.follow();
    live.settle(&mut follower);
    live.write(10);
    let reader = live.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM words").unwrap();
    live.write(10);
    live.settle(&mut follower);
    assert!(!follower.seal().unwrap(), "what is being read cannot be overwritten");
    live.write(10);
    live.settle(&mut follower);
    reader.execute_batch("COMMIT").unwrap();
    assert!(follower.seal().unwrap());
    live.write(10);
    live.settle(&mut follower);
    assert_eq!(follower.status().gaps, 0);
    live.check_all(&follower);
}

#[test]
fn checkpoints_of_others_take_nothing_away() {
    for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
        let mut live = Live::new(512);
        let mut follower = live.follow();
        live.settle(&mut follower);
        for round in 0..12 {
            live.write(9);
            if round % 3 == 0 {
                live.settle(&mut follower);
            }
            live.checkpoint(mode);
            if round % 4 == 3 {
                follower.seal().unwrap();
                live.remember(&follower);
                live.checkpoint(mode);
            }
            live.settle(&mut follower);
        }
        assert_eq!(follower.status().gaps, 0, "{mode}");
        live.check_all(&follower);
    }
}

#[test]
fn a_commit_that_stands_in_the_file_but_was_never_made_is_not_shipped() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(3);
    live.settle(&mut follower);
    let txid = follower.status().txid;
    live.write_ghost();
    assert_eq!(follower.look().unwrap(), Looked::Nothing);
    live.write(2);
    live.settle(&mut follower);
    assert_eq!(follower.status().txid, txid + 1);
    assert_eq!(follower.status().gaps, 0);
    live.check_all(&follower);
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for_and_one_without_a_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("later.db");
    let mut follower = live::open(&database, &folder.path().join("history"));
    let said = follower.look().unwrap_err().to_string();
    assert!(said.contains("no database at") && said.contains("later.db"), "{said}");
    assert_eq!(follower.status().state, State::Waiting);
    let connection = Connection::open(&database).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    let said = follower.look().unwrap_err().to_string();
    assert!(said.contains("not in WAL mode"), "{said}");
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    assert_eq!(follower.look().unwrap(), Looked::Shipped(1));
    assert_eq!(follower.status().state, State::Following);
}

#[test]
fn two_agents_never_follow_the_same_database() {
    let live = Live::new(4096);
    let first = live.follow();
    let said = live.try_follow().unwrap_err().to_string();
    assert!(said.contains("another agent") && said.contains("first agent"), "{said}");
    drop(first);
    live.try_follow().unwrap();
}
