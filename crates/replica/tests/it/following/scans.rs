//! Fulls at an exact transaction, and audits that find what is not as it was shipped.

use std::process::Command;

use replica::follow::Controls;
use replica::tree::At;

use super::live::{Live, image};

#[test]
fn a_full_is_the_database_right_after_its_transaction_whatever_is_written_meanwhile() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(500);
    live.settle(&mut follower);
    live.write(10);
    let scan = follower.scan().unwrap();
    live.remember(&follower);
    let txid = scan.txid;
    live.write(10);
    live.run("DELETE FROM words WHERE id % 2 = 0");
    live.settle(&mut follower);
    let full = scan.full().unwrap();
    assert!(full.differing.is_empty());
    assert_eq!((full.entry.level, full.entry.min_txid, full.entry.max_txid), (9, 1, txid));
    live.write(10);
    live.settle(&mut follower);
    assert_eq!(
        follower.tree().unwrap().list().unwrap().plan(At::Latest).unwrap().entries[0],
        full.entry
    );
    live.check_all(&follower);
    let again = follower.scan().unwrap().full().unwrap();
    let twice = follower.scan().unwrap().full().unwrap();
    assert_eq!(again.entry, twice.entry, "nothing was written between the two");
}

#[test]
fn an_audit_proves_that_the_live_database_is_what_was_shipped() {
    let mut live = Live::new(1024);
    let mut follower = live.follow();
    for _ in 0..5 {
        live.write(60);
        live.run("DELETE FROM words WHERE id % 5 = 0");
        live.settle(&mut follower);
        follower.seal().unwrap();
    }
    let audit = follower.scan().unwrap().audit().unwrap();
    assert!(audit.is_well(), "{audit:?}");
    assert_eq!(audit.pages as usize, image(&live.writer).len() / 1024);
}

#[test]
fn an_audit_finds_a_page_that_changed_without_the_log_and_both_points_are_kept() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(300);
    live.settle(&mut follower);
    assert!(follower.seal().unwrap());
    // By another process: to open the database's file in this one would drop SQLite's locks.
    let target = format!("of={}", live.database().display());
    let change = ["if=/dev/zero", &target, "bs=1", "seek=20490", "count=9", "conv=notrunc"];
    assert!(Command::new("dd").args(change).output().unwrap().status.success());
    let audit = follower.scan().unwrap().audit().unwrap();
    assert_eq!((audit.live.as_slice(), audit.history.len()), (&[6_u32][..], 0));
    // What is live now is shipped as a point of its own; the one before it stays.
    live.writer = live.connect();
    live.settle(&mut follower);
    assert_eq!(follower.status().txid, audit.txid + 1);
    assert!(follower.scan().unwrap().audit().unwrap().is_well());
    let found = live.images.len();
    assert_eq!(found, 2);
}

#[test]
fn an_audit_finds_a_history_that_was_changed_since() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(300);
    live.settle(&mut follower);
    live.write(3);
    live.settle(&mut follower);
    let tree = follower.tree().unwrap().clone();
    let shipped = *tree.list().unwrap().of_level(0).next().unwrap();
    let path = tree.path_of(&shipped);
    let whole = std::fs::read(&path).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    std::fs::write(&path, &bent).unwrap();
    let said = follower.scan().unwrap().audit().unwrap_err().to_string();
    assert!(said.contains(".ltx"), "{said}");
    std::fs::write(&path, &whole).unwrap();
    assert!(follower.scan().unwrap().audit().unwrap().is_well());
}

#[test]
fn a_follower_on_its_own_thread_answers_and_ends_with_everything_shipped() {
    let mut live = Live::new(4096);
    let follower = live.follow();
    let tree_root = live.history().join("timeline-0001");
    let controls = Controls::default();
    let running = {
        let controls = controls.clone();
        std::thread::spawn(move || follower.run(&controls))
    };
    live.write(40);
    let full = controls.scan().unwrap().full().unwrap();
    assert!(full.differing.is_empty());
    live.write(40);
    controls.stop();
    running.join().unwrap();
    let status = controls.status();
    assert_eq!(status.state, replica::follow::State::Stopped);
    assert!(status.faults.is_empty() && status.looked.is_some());
    controls.scan().unwrap_err();
    let mut follower = live.follow();
    assert_eq!(follower.look().unwrap(), replica::follow::Looked::Nothing);
    live.remember(&follower);
    assert!(tree_root.join("pages.map").exists());
    live.check_all(&follower);
}

/// With the largest pages, so that there are few of them; nearly all hold nothing but zeros.
#[test]
fn a_database_past_one_gibibyte_is_followed_around_the_page_of_the_locks() {
    const PAGE: u32 = 65_536;
    let mut live = Live::new(65_536);
    live.run("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    live.run("CREATE TABLE filler (zeros BLOB)");
    let lock_page = ltx::lock_page(65_536);
    for _ in 0..16 {
        let zeros = PAGE * ((lock_page - 60) / 16);
        live.writer.execute("INSERT INTO filler VALUES (zeroblob(?))", [zeros]).unwrap();
    }
    live.run("PRAGMA journal_mode = WAL");
    let mut follower = live.follow();
    follower.look().unwrap();
    let pages = |live: &Live| -> u32 {
        live.writer.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
    };
    assert!(pages(&live) < lock_page);
    live.writer.execute("INSERT INTO words (text) VALUES (hex(zeroblob(4000000)))", []).unwrap();
    assert!(pages(&live) > lock_page + 2, "the database did not grow over the page of the locks");
    follower.look().unwrap();
    let full = follower.scan().unwrap().full().unwrap();
    assert!(full.differing.is_empty());
    live.write(5);
    follower.look().unwrap();
    assert_eq!((follower.status().txid, follower.status().gaps), (3, 0));
    let audit = follower.scan().unwrap().audit().unwrap();
    assert!(audit.is_well() && audit.pages == pages(&live), "{audit:?}");
    assert_eq!(
        follower.tree().unwrap().list().unwrap().plan(At::Latest).unwrap().entries[0],
        full.entry
    );
}
