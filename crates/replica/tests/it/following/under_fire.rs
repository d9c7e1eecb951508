//! Writers, a checkpointer and a reader at once, each on its own thread, while it is followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use replica::Follower;
use replica::follow::Controls;
use replica::restore::{self, Options};
use replica::tree::At;
use rusqlite::{Connection, TransactionBehavior};

use super::live::{Live, image};

const COMMITS_EACH: usize = 900;

fn connect(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_mins(1)).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    connection
}

/// Two places that agree after every commit, and never within one.
fn commit(connection: &mut Connection, random: &mut StdRng) {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    change.execute("UPDATE tally SET rows = rows + 1", []).unwrap();
    let bytes: u32 = random.random_range(10..900);
    change.execute("INSERT INTO words (text) VALUES (hex(randomblob(?)))", [bytes]).unwrap();
    change.commit().unwrap();
}

#[test]
fn every_point_is_a_commit_of_the_writers_and_the_last_is_the_live_database() {
    let seed = rand::random();
    println!("seed {seed}");
    let live = Live::new(4096);
    live.run("CREATE TABLE tally (rows INTEGER); INSERT INTO tally VALUES (0)");
    let mut config = live.config();
    config.poll = Duration::from_millis(3);
    config.seal_bytes = 200_000;
    config.seal_after = Duration::from_millis(80);
    let follower = Follower::open(config).unwrap();
    let controls = Controls::default();
    let following = controls.clone();
    let following = std::thread::spawn(move || follower.run(&following));
    let over = Arc::new(AtomicBool::new(false));
    let (path, others) = (live.database(), Arc::clone(&over));
    let checkpointer = std::thread::spawn(move || {
        let other = connect(&path);
        other.busy_timeout(Duration::from_millis(5)).unwrap();
        let mut random = StdRng::seed_from_u64(seed);
        while !others.load(Ordering::Relaxed) {
            let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][random.random_range(0..4)];
            // A lock that is not given is as good as a checkpoint for this.
            drop(other.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())));
            // And reads a little, which holds others back for a moment.
            let rows = other.query_row("SELECT count(*) FROM words", [], |row| row.get(0));
            assert!(rows.is_ok_and(|rows: i64| rows >= 0));
        }
    });
    let writers = [1, 2].map(|number| {
        let path = live.database();
        std::thread::spawn(move || {
            let mut connection = connect(&path);
            let mut random = StdRng::seed_from_u64(seed ^ number);
            (0..COMMITS_EACH).for_each(|_| commit(&mut connection, &mut random));
        })
    });
    for writer in writers {
        writer.join().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    checkpointer.join().unwrap();
    controls.stop();
    following.join().unwrap();
    let status = controls.status();
    assert_eq!((status.gaps, status.faults.len()), (0, 0), "{status:?}");
    check(&live, &image(&live.writer));
    println!("{} files, {} seals, {} locked", status.files, status.seals, status.seals_locked);
}

fn check(live: &Live, last: &[u8]) {
    let follower = live.follow();
    let tree = follower.tree().unwrap();
    let newest = tree.newest_txid().unwrap().unwrap();
    let stride = usize::try_from(newest / 40).unwrap() + 1;
    for txid in (1..=newest).step_by(stride).chain([newest]) {
        let restored = live.folder.path().join("restored.db");
        let plan = tree.list().unwrap().plan(At::Txid(txid)).unwrap();
        let going_on = |_| std::ops::ControlFlow::Continue(());
        restore::to_file(&plan, &restored, &Options::default(), &going_on).unwrap();
        if txid == newest {
            assert!(std::fs::read(&restored).unwrap() == last, "the last point differs");
        }
        let point = Connection::open(&restored).unwrap();
        let asked = "SELECT (SELECT rows FROM tally) - (SELECT count(*) FROM words)";
        let apart: i64 = point.query_row(asked, [], |row| row.get(0)).unwrap();
        let whole: String =
            point.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((apart, whole.as_str()), (0, "ok"), "transaction {txid}");
        drop(point);
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(live.folder.path().join(format!("restored.db{ending}"))));
        }
    }
}
