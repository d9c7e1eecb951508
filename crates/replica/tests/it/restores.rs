//! Restores to a file: every point byte by byte, and everything that can be wrong on the way.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use replica::restore::{Check, Options, Progress, RestoreError, Stage, to_file};
use replica::tree::{At, Plan, TreeError};
use rusqlite::Connection;

use crate::history::{History, rows};

pub(crate) fn quietly(_progress: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn plan(history: &History, at: At) -> Plan {
    history.tree.list().unwrap().plan(at).unwrap()
}

fn sums_only() -> Options {
    Options { check: Check::Sums, ..Options::default() }
}

/// Restores every transaction and compares it with what the database was.
fn compare_all(history: &History) {
    for (txid, image) in &history.images {
        let to = history.path(&format!("restored-{txid}.db"));
        let plan = plan(history, At::Txid(*txid));
        let options = Options { check: Check::Full, ..Options::default() };
        let restored = to_file(&plan, &to, &options, &quietly).unwrap();
        assert_eq!((restored.txid, restored.orphans), (*txid, Some(0)));
        assert!(std::fs::read(&to).unwrap() == *image, "transaction {txid}");
        std::fs::remove_file(&to).unwrap();
    }
}

#[test]
fn every_transaction_comes_back_byte_by_byte() {
    for page_size in [512, 4096, 65_536] {
        let mut history = History::begin(page_size);
        for number in 0..6 {
            history.write(1 + number * 40);
        }
        history.full();
        history.run("DELETE FROM words WHERE id % 3 > 0");
        // Smaller, and larger again.
        history.run("VACUUM");
        history.write(200);
        history.run("DELETE FROM words");
        history.run("VACUUM");
        history.write(3);
        compare_all(&history);
    }
}

#[test]
fn merged_files_bring_back_the_same() {
    let mut history = History::begin(1024);
    for number in 0..70 {
        history.write(number % 7);
        if number == 30 {
            history.run("DELETE FROM words WHERE id % 2 = 0; VACUUM");
        }
    }
    history.tree.compact(history.now_ms + 60_000).unwrap();
    history.tree.differential().unwrap().unwrap();
    history.tree.full_from_tree().unwrap().unwrap();
    let catalogue = history.tree.list().unwrap();
    let last = *history.images.keys().last().unwrap();
    let image = &history.images[&last];
    let ways = [
        catalogue.clone(),
        catalogue.clone().without(catalogue.fulls().next_back().unwrap()),
        replica::tree::Catalogue::new(
            catalogue.root(),
            catalogue
                .entries()
                .iter()
                .filter(|entry| entry.level == 1 || (entry.is_full() && entry.max_txid == 1))
                .copied(),
        ),
    ];
    for (number, way) in ways.iter().enumerate() {
        let to = history.path(&format!("way-{number}.db"));
        to_file(&way.plan(At::Latest).unwrap(), &to, &Options::default(), &quietly).unwrap();
        assert!(std::fs::read(&to).unwrap() == *image, "{number}");
    }
}

#[test]
fn a_database_can_be_marked_on_the_way() {
    let mut history = History::begin(512);
    history.write(9);
    let to = history.path("marked.db");
    let options = Options { user_version: Some(0x8000_0002), threads: 1, ..Options::default() };
    to_file(&plan(&history, At::Latest), &to, &options, &quietly).unwrap();
    let connection = Connection::open(&to).unwrap();
    let version: i32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version.cast_unsigned(), 0x8000_0002);
    assert_eq!(rows(&to), 9);
}

#[test]
fn one_flipped_bit_in_any_file_of_the_plan_is_found_and_nothing_is_left() {
    let mut history = History::begin(512);
    history.write(30);
    history.write(3);
    let plan = plan(&history, At::Latest);
    let to = history.path("damaged.db");
    for (_, path) in plan.files() {
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let outcome = to_file(&plan, &to, &sums_only(), &quietly);
            let found =
                matches!(outcome, Err(RestoreError::Tree(_) | RestoreError::MissingPage { .. }));
            assert!(found, "{at}: {outcome:?}");
            assert!(!to.exists());
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(to_file(&plan, &to, &sums_only(), &quietly).is_err());
        std::fs::write(&path, &whole).unwrap();
    }
    to_file(&plan, &to, &sums_only(), &quietly).unwrap();
    let left: Vec<_> = std::fs::read_dir(history.folder.path())
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("damaged"))
        .collect();
    assert_eq!(left, ["damaged.db"]);
}

#[test]
fn what_is_there_is_neither_overwritten_nor_mixed_with_the_new() {
    let history = History::begin(512);
    let plan = plan(&history, At::Latest);
    for name in ["taken.db", "taken.db-wal", "taken.db-journal", "taken.db-shm"] {
        let there = history.path(name);
        std::fs::write(&there, "somebody's").unwrap();
        let to = history.path("taken.db");
        let refused = to_file(&plan, &to, &Options::default(), &quietly).unwrap_err();
        assert!(matches!(&refused, RestoreError::Occupied { path } if *path == there));
        assert_eq!(std::fs::read(&there).unwrap(), b"somebody's");
        std::fs::remove_file(&there).unwrap();
    }
    let nowhere = history.path("no/such/folder.db");
    let refused = to_file(&plan, &nowhere, &Options::default(), &quietly).unwrap_err();
    assert!(matches!(refused, RestoreError::Io { action: "write", .. }), "{refused}");
}

#[test]
fn a_database_that_was_damaged_before_it_was_shipped_is_named() {
    let mut history = History::begin(512);
    history.write(200);
    let entry = history.write(1);
    let header = history.tree.examine(&entry).unwrap();
    // A follower ships what stands in the log; here a page that SQLite never wrote.
    let header = ltx::Header { min_txid: 4, max_txid: 4, ..header };
    history
        .tree
        .put::<TreeError>(0, &header, |writer| {
            writer.page(3, &[0xa5; 512]).unwrap();
            Ok(())
        })
        .unwrap();
    let plan = plan(&history, At::Latest);
    let to = history.path("unsound.db");
    for check in [Check::Quick, Check::Full] {
        let options = Options { check, ..Options::default() };
        let refused = to_file(&plan, &to, &options, &quietly).unwrap_err();
        assert!(matches!(&refused, RestoreError::Damaged { faults } if !faults.is_empty()));
        assert!(!to.exists());
    }
    to_file(&plan, &to, &sums_only(), &quietly).unwrap();
}

#[test]
fn rows_that_point_nowhere_are_counted_and_do_not_stand_in_the_way() {
    let mut history = History::begin(512);
    history.run(
        "PRAGMA foreign_keys = OFF; \
         CREATE TABLE replies (word INTEGER REFERENCES words (id)); \
         INSERT INTO replies VALUES (77), (78)",
    );
    let options = Options { check: Check::Full, ..Options::default() };
    let to = history.path("orphans.db");
    let restored = to_file(&plan(&history, At::Latest), &to, &options, &quietly).unwrap();
    assert_eq!(restored.orphans, Some(2));
}

#[test]
fn a_restore_tells_how_far_it_is_and_can_be_ended_at_every_stage() {
    let mut history = History::begin(512);
    history.write(300);
    let plan = plan(&history, At::Latest);
    let to = history.path("watched.db");
    for ending in [Stage::Read, Stage::Sync, Stage::Check] {
        let watch = |progress: Progress| {
            if progress.stage == ending {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let refused = to_file(&plan, &to, &Options::default(), &watch).unwrap_err();
        assert!(matches!(refused, RestoreError::Ended), "{refused}");
        assert!(!to.exists());
    }
    let seen = Mutex::new(Vec::new());
    let watch = |progress: Progress| {
        seen.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    };
    to_file(&plan, &to, &Options::default(), &watch).unwrap();
    let seen = seen.into_inner().unwrap();
    let read = seen.iter().filter(|progress| progress.stage == Stage::Read);
    let most = read.max_by_key(|progress| progress.done).unwrap();
    assert!(most.done > 0 && most.done <= most.total, "{most:?}");
    assert!(seen.iter().any(|progress| progress.stage == Stage::Check));
}

#[test]
fn a_file_that_lacks_pages_is_no_base() {
    let history = History::begin(512);
    let entry = plan(&history, At::Latest).entries[0];
    let header = history.tree.examine(&entry).unwrap();
    // Grown without saying by what: no follower writes that.
    let header = ltx::Header { min_txid: 2, max_txid: 2, commit: header.commit + 2, ..header };
    history.tree.put::<TreeError>(0, &header, |_| Ok(())).unwrap();
    let refused =
        to_file(&plan(&history, At::Latest), Path::new("/nowhere"), &sums_only(), &quietly);
    let refused = refused.unwrap_err();
    let first = header.commit - 1;
    assert!(
        matches!(refused, RestoreError::MissingPage { page, .. } if page == first),
        "{refused}"
    );
}

#[test]
fn a_full_disk_is_said_before_anything_is_read() {
    let mut history = History::begin(4096);
    history.write(2000);
    let small = history.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&small)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no right to mount a small disk");
        return;
    }
    let read = Mutex::new(false);
    let watch = |progress: Progress| {
        *read.lock().unwrap() |= progress.stage == Stage::Read;
        ControlFlow::Continue(())
    };
    let outcome =
        to_file(&plan(&history, At::Latest), &small.join("large.db"), &sums_only(), &watch);
    let left = std::fs::read_dir(&small).unwrap().count();
    let unmounted = std::process::Command::new("umount").arg(&small).status().unwrap();
    assert!(unmounted.success());
    let refused = outcome.unwrap_err();
    assert!(
        matches!(&refused, RestoreError::Io { source, .. }
        if source.kind() == std::io::ErrorKind::StorageFull),
        "{refused}"
    );
    assert_eq!((left, *read.lock().unwrap()), (0, false));
}

#[test]
fn a_history_that_can_only_be_read_is_enough() {
    let mut history = History::begin(512);
    history.write(3);
    let copy = history.path("copy");
    std::fs::create_dir(&copy).unwrap();
    let mount = |options: &[&str]| {
        let mut mount = std::process::Command::new("mount");
        mount.args(options).arg(&copy).status().is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        println!("skipped: no right to mount a small disk");
        return;
    }
    let catalogue = history.tree.list().unwrap();
    catalogue.export(catalogue.entries(), &copy, &replica::disk::Disk::default()).unwrap();
    let still = mount(&["-o", "remount,ro"]);
    let plan = replica::tree::Catalogue::of_foreign(&copy).unwrap().plan(At::Latest).unwrap();
    let pinned = replica::tree::Pin::set(&plan).map(|pin| pin.is_set());
    let to = history.path("from-copy.db");
    let restored = to_file(&plan, &to, &Options::default(), &quietly);
    let unmounted = std::process::Command::new("umount").arg(&copy).status().unwrap();
    assert!(still && unmounted.success());
    assert!(!pinned.unwrap());
    assert_eq!((restored.unwrap().txid, rows(&to)), (2, 3));
}
