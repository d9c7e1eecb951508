//! The agent goes and comes back: what happened meanwhile is found, and nothing more is shipped.

use replica::disk::Step;
use replica::follow::Looked;

use super::live::{Live, image};

#[test]
fn an_agent_that_comes_back_goes_on_in_the_log_where_it_was() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(30);
    live.settle(&mut follower);
    live.write(3);
    live.settle(&mut follower);
    // Killed: nothing of its own was put in order.
    drop(follower);
    let mut follower = live.follow();
    assert_eq!(follower.look().unwrap(), Looked::Nothing);
    drop(follower);
    live.write(4);
    let mut follower = live.follow();
    live.settle(&mut follower);
    assert_eq!(follower.status().txid, 3);
    let status = follower.status();
    assert_eq!((status.gaps, status.last_gap.is_none()), (0, true), "nothing was compared");
    live.check_all(&follower);
}

#[test]
fn what_was_written_and_taken_from_the_log_meanwhile_is_shipped_as_changed_pages_only() {
    for saved in [true, false] {
        let mut live = Live::new(4096);
        let mut follower = live.follow();
        live.write(4000);
        live.settle(&mut follower);
        if saved {
            follower.stop();
        } else {
            drop(follower);
            // Without the map it is made again from what was shipped.
            std::fs::remove_file(live.history().join("timeline-0001/pages.map")).unwrap();
        }
        live.write(20);
        live.checkpoint("TRUNCATE");
        live.write(20);
        live.checkpoint("TRUNCATE");
        let mut follower = live.follow();
        live.settle(&mut follower);
        let status = follower.status();
        assert_eq!((status.gaps, status.txid), (1, 2));
        let gap = status.last_gap.as_ref().unwrap();
        let pages = image(&live.writer).len() / 4096;
        assert!(gap.pages > 0 && (gap.pages as usize) < pages / 4, "{gap:?} of {pages} pages");
        live.write(1);
        live.settle(&mut follower);
        live.check_all(&follower);
    }
}

#[test]
fn a_map_that_is_damaged_or_of_another_time_is_not_believed() {
    let mut live = Live::new(512);
    let mut follower = live.follow();
    live.write(50);
    live.settle(&mut follower);
    let map = live.history().join("timeline-0001/pages.map");
    let older = std::fs::read(&map).unwrap();
    live.write(50);
    live.settle(&mut follower);
    follower.stop();
    let mut bent = std::fs::read(&map).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 4;
    for content in [bent, older, Vec::new()] {
        std::fs::write(&map, content).unwrap();
        live.checkpoint("TRUNCATE");
        live.write(2);
        live.checkpoint("TRUNCATE");
        let mut follower = live.follow();
        live.settle(&mut follower);
        assert_eq!(follower.status().gaps, 1);
        assert!(follower.status().faults.is_empty(), "{:?}", follower.status().faults);
        live.check_all(&follower);
    }
}

#[test]
fn an_agent_that_ends_neither_empties_nor_removes_the_log() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(50);
    live.settle(&mut follower);
    let (log, main) = (std::fs::read(live.log()).unwrap(), live.database());
    let before = std::fs::metadata(&main).unwrap().modified().unwrap();
    // The service ends first: as long as we hold the log it is not the last to close.
    let writer =
        std::mem::replace(&mut live.writer, rusqlite::Connection::open_in_memory().unwrap());
    writer.close().unwrap();
    assert!(std::fs::read(live.log()).unwrap() == log, "the service took the log along");
    // We are the last now.
    drop(follower);
    assert!(std::fs::read(live.log()).unwrap() == log, "the agent took the log along");
    assert_eq!(std::fs::metadata(&main).unwrap().modified().unwrap(), before);
    live.writer = live.connect();
    let mut follower = live.follow();
    live.write(1);
    live.settle(&mut follower);
    assert_eq!(follower.status().gaps, 0, "the log still joined");
    live.check_all(&follower);
}

#[test]
fn a_database_that_lost_its_newest_commits_is_followed_on_and_both_points_are_kept() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(20);
    live.settle(&mut follower);
    live.checkpoint("TRUNCATE");
    live.write(10);
    live.settle(&mut follower);
    let lost = follower.status().txid;
    drop(follower);
    // As after a power cut with synchronous=NORMAL: the log is gone, and what was in it.
    let (main, kept) = (live.database(), live.folder.path().join("kept.db"));
    std::fs::copy(&main, &kept).unwrap();
    live.writer = rusqlite::Connection::open_in_memory().unwrap();
    std::fs::copy(&kept, &main).unwrap();
    live.writer = live.connect();
    let mut follower = live.follow();
    live.settle(&mut follower);
    assert_eq!(follower.status().txid, lost + 1);
    live.write(5);
    live.settle(&mut follower);
    live.check_all(&follower);
}

#[test]
fn a_history_whose_files_are_gone_is_begun_anew_with_a_full_and_the_fault_is_named() {
    let mut live = Live::new(4096);
    let mut follower = live.follow();
    live.write(20);
    live.settle(&mut follower);
    for _ in 0..3 {
        live.write(2);
        live.settle(&mut follower);
    }
    let tree = follower.tree().unwrap().clone();
    follower.stop();
    let shipped: Vec<_> = tree.list().unwrap().of_level(0).copied().collect();
    std::fs::remove_file(tree.path_of(&shipped[1])).unwrap();
    std::fs::remove_file(tree.root().join("pages.map")).unwrap();
    let mut follower = live.follow();
    live.images.clear();
    live.settle(&mut follower);
    assert_eq!(follower.status().txid, shipped[2].max_txid + 1);
    live.write(3);
    live.settle(&mut follower);
    live.check_all(&follower);
    assert!(live.disk.count(Step::Remove) == 0, "nothing that was there is removed");
}
