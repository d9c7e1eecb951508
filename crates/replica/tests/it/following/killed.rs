//! `kill -9` at every single step on disk: what was shipped stands, and what comes next joins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use replica::disk::Disk;
use replica::pages::{PageMap, print};
use replica::tree::{At, Timelines};
use replica::{FollowConfig, Follower};
use rusqlite::Connection;
use rustix::process::{Signal, getpid, kill_process};

use super::live::image;

/// In the folder in which a child is started, how many steps it may do.
const ORDER: &str = "steps-to-live";
/// One line for each state that the database was in.
const STATES: &str = "states";
const ROUNDS: usize = 5;
/// More than five rounds take.
const STEPS_MAX: u64 = 300;

fn follower(folder: &Path, disk: Disk) -> Follower {
    let mut config = FollowConfig::new(folder.join("live.db"), folder.join("history"));
    config.disk = disk;
    Follower::open(config).unwrap()
}

fn state(image: &[u8]) -> String {
    let prints: Vec<u8> = image.chunks(1024).flat_map(print).collect();
    format!("{:?}", print(&prints))
}

/// Not a test of its own: what is started again and again by the one below, in a folder with its
/// order. Anywhere else it has nothing to do.
#[test]
fn the_one_that_is_killed() {
    let folder = PathBuf::from(".");
    let Ok(order) = std::fs::read_to_string(ORDER) else { return };
    let (left, steps) = (order.trim().parse::<u64>().unwrap(), AtomicU64::new(0));
    let disk = Disk::rehearsing(move |_, _| {
        if steps.fetch_add(1, Ordering::Relaxed) == left {
            kill_process(getpid(), Signal::KILL)?;
        }
        Ok(())
    });
    let writer = Connection::open("live.db").unwrap();
    let mut follower = follower(&folder, disk);
    for round in 0..ROUNDS {
        let sql = "INSERT INTO words (text) VALUES (hex(randomblob(700)))";
        (0..=round).for_each(|_| assert_eq!(writer.execute(sql, []).unwrap(), 1));
        let states = std::fs::read_to_string(STATES).unwrap_or_default();
        std::fs::write(STATES, states + &state(&image(&writer)) + "\n").unwrap();
        follower.look().unwrap();
        if round % 2 == 1 {
            follower.seal().unwrap();
        }
        if round == 2 {
            follower.scan().unwrap().full().unwrap();
        }
    }
    follower.stop();
}

#[test]
fn a_death_at_any_step_leaves_whole_points_and_the_next_start_joins() {
    let program = std::env::current_exe().unwrap();
    let mut survived = None;
    for left in 0..STEPS_MAX {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("live.db")).unwrap();
        writer.pragma_update(None, "page_size", 1024).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE words (text TEXT)").unwrap();
        writer.close().unwrap();
        std::fs::write(folder.path().join(ORDER), left.to_string()).unwrap();
        let name = "following::killed::the_one_that_is_killed";
        let mut child = Command::new(&program);
        child.args([name, "--exact", "--test-threads", "1"]).current_dir(folder.path());
        let ended = child.output().unwrap();
        if ended.status.success() {
            survived = Some(left);
            break;
        }
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), None, "it was not killed: {said}");
        check(folder.path());
    }
    let steps = survived.expect("it takes fewer steps than that");
    assert!(steps > 45, "only {steps} steps were tried");
}

/// Every point there is one of the states, in their order, and following goes on.
fn check(folder: &Path) {
    let mut follower = follower(folder, Disk::default());
    follower.look().unwrap();
    assert!(follower.status().faults.is_empty(), "{:?}", follower.status().faults);
    let writer = Connection::open(folder.join("live.db")).unwrap();
    let states = std::fs::read_to_string(folder.join(STATES)).unwrap_or_default();
    let states: BTreeSet<&str> = states.lines().collect();
    let tree = Timelines::new(&folder.join("history"), Disk::default()).current().unwrap();
    let tree = tree.unwrap().tree;
    let newest = tree.newest_txid().unwrap().unwrap();
    for txid in 1..=newest {
        let restored = folder.join("restored.db");
        let plan = tree.list().unwrap().plan(At::Txid(txid)).unwrap();
        let going_on = |_| std::ops::ControlFlow::Continue(());
        let options = replica::restore::Options::default();
        replica::restore::to_file(&plan, &restored, &options, &going_on).unwrap();
        let point = std::fs::read(&restored).unwrap();
        std::fs::remove_file(&restored).unwrap();
        if txid == newest {
            assert!(point == image(&writer), "the last point is not what is live");
        } else {
            assert!(states.contains(state(&point).as_str()), "transaction {txid} never was");
        }
        let map = PageMap::of_plan(1024, &plan).unwrap();
        assert_eq!(map.pages() as usize, point.len() / 1024);
    }
    assert!(follower.scan().unwrap().audit().unwrap().is_well());
    let half: Vec<_> = tree.list().unwrap().oddities().to_vec();
    assert!(half.is_empty(), "half-written files were left: {half:?}");
}
