//! Restores over a database that is there: in place of a stopped one, and into a running one.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use replica::restore::{Options, Progress, RestoreError, Stage, Swapped, online, swap};
use replica::tree::At;
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

use crate::history::{History, rows};
use crate::restores::{plan, quietly};

fn swapped(history: &History, at: At) -> Result<Swapped, RestoreError> {
    let options = Options { user_version: Some(42), ..Options::default() };
    let stamp = ("20261122_210000", &options);
    swap(&plan(history, at), &history.database(), stamp, &quietly)
}

/// The history with its own connection closed, so that nobody has the database open.
fn closed(history: &mut History) {
    let other = Connection::open_in_memory().unwrap();
    std::mem::replace(&mut history.connection, other).close().unwrap();
}

fn count(path: &std::path::Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_stopped_database_is_replaced_and_what_was_there_is_kept() {
    let mut history = History::begin(4096);
    history.write(10);
    history.write(5);
    closed(&mut history);
    // Something that only the log has.
    let writer = Connection::open(history.database()).unwrap();
    writer
        .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    writer.execute("INSERT INTO words (text) VALUES ('only in the log')", []).unwrap();
    writer.close().unwrap();
    assert!(history.path("live.db-wal").exists());
    let rights = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(history.database(), rights.clone()).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let file = File::options().append(true).open(history.database()).unwrap();
    file.set_modified(long_ago).unwrap();
    drop(file);
    let done = swapped(&history, At::Txid(2)).unwrap();
    assert_eq!((done.restored.txid, done.restored.path), (2, history.database()));
    assert_eq!(rows(&history.database()), 10);
    assert!(!history.path("live.db-wal").exists());
    assert_eq!(std::fs::metadata(history.database()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(done.aside[0], history.path("set-aside/live.db_20261122_210000"));
    let set_aside = std::fs::metadata(&done.aside[0]).unwrap().modified().unwrap();
    assert!(set_aside.elapsed().is_ok_and(|age| age.as_secs() < 600));
    assert_eq!(count(&done.aside[0]), 16);
    let again = swapped(&history, At::Txid(3)).unwrap();
    assert_eq!(again.aside, [history.path("set-aside/live.db_20261122_210000-2")]);
    assert_eq!((count(&again.aside[0]), rows(&history.database())), (10, 15));
    let mark: i32 = Connection::open(history.database())
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(mark, 42);
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let mut history = History::begin(4096);
    history.write(10);
    history.write(1);
    // A connection, whoever has it.
    assert!(matches!(swapped(&history, At::Txid(2)), Err(RestoreError::InUse { .. })));
    closed(&mut history);
    // Its owner's lock, also while no connection is open.
    let lock = File::create(history.path("live.db.lock")).unwrap();
    flock(&lock, FlockOperation::LockShared).unwrap();
    let refused = swapped(&history, At::Txid(2)).unwrap_err();
    assert!(refused.to_string().contains("stop its service first"), "{refused}");
    assert_eq!(count(&history.database()), 11);
    assert!(!history.path("set-aside").exists());
    drop(lock);
    swapped(&history, At::Txid(2)).unwrap();
}

#[test]
fn a_damaged_database_goes_aside_with_its_log_as_it_is() {
    let mut history = History::begin(4096);
    history.write(10);
    closed(&mut history);
    std::fs::write(history.database(), "this was a database once").unwrap();
    std::fs::write(history.path("live.db-wal"), "and this its log").unwrap();
    let done = swapped(&history, At::Latest).unwrap();
    assert_eq!(rows(&history.database()), 10);
    assert_eq!(done.aside.len(), 2);
    assert_eq!(std::fs::read(&done.aside[0]).unwrap(), b"this was a database once");
    assert_eq!(std::fs::read(&done.aside[1]).unwrap(), b"and this its log");
    assert!(!history.path("live.db-wal").exists());
}

#[test]
fn where_nothing_stands_the_database_is_simply_brought_back() {
    let mut history = History::begin(4096);
    history.write(10);
    closed(&mut history);
    std::fs::remove_file(history.database()).unwrap();
    let done = swapped(&history, At::Latest).unwrap();
    assert_eq!((done.aside.len(), rows(&history.database())), (0, 10));
}

#[test]
fn a_swap_that_fails_leaves_the_database_as_it_was() {
    let mut history = History::begin(4096);
    history.write(10);
    closed(&mut history);
    let plan = plan(&history, At::Latest);
    let path = history.tree.path_of(&plan.entries[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(swapped(&history, At::Latest).is_err());
    assert_eq!(count(&history.database()), 10);
    assert!(!history.path("live.db.restoring").exists() && !history.path("set-aside").exists());
}

#[test]
fn a_running_database_goes_back_in_one_transaction_and_keeps_its_mark() {
    let mut history = History::begin(4096);
    history.write(40);
    history.write(400);
    let live = history.database();
    history.connection.pragma_update(None, "user_version", 4711).unwrap();
    let ended = AtomicBool::new(false);
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        // Somebody reads all the time and sees one content or the other.
        scope.spawn(|| {
            let reader = Connection::open(&live).unwrap();
            while !ended.load(Ordering::Relaxed) {
                let count: i64 =
                    reader.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap();
                assert!(count == 440 || count == 40, "{count}");
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        while seen.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        let scratch = history.path("scratch.db");
        let how = (scratch.as_path(), &Options::default());
        let restored = online(&plan(&history, At::Txid(2)), &live, how, &quietly).unwrap();
        assert_eq!((restored.txid, restored.path.as_path()), (2, live.as_path()));
        assert!(!scratch.exists());
        let after = seen.load(Ordering::Relaxed);
        while seen.load(Ordering::Relaxed) < after + 3 {
            std::thread::yield_now();
        }
        ended.store(true, Ordering::Relaxed);
    });
    let live = &history.connection;
    let ask = |name: &str| -> String {
        live.query_row(&format!("SELECT * FROM pragma_{name}"), [], |row| {
            row.get::<_, rusqlite::types::Value>(0)
        })
        .map(|value| format!("{value:?}"))
        .unwrap()
    };
    assert_eq!(ask("user_version"), "Integer(4711)");
    assert_eq!(ask("journal_mode"), "Text(\"wal\")");
    assert_eq!(ask("integrity_check"), "Text(\"ok\")");
    assert!(std::fs::metadata(history.path("live.db-wal")).unwrap().len() > 0);
    // The one who had it open goes on writing, and what was before can be had again.
    history.write(1);
    let how = (&history.path("scratch.db"), &Options::default());
    online(&plan(&history, At::Txid(3)), &history.database(), (how.0, how.1), &quietly).unwrap();
    let count: i64 =
        history.connection.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 440);
}

#[test]
fn a_mark_that_changes_in_between_is_carried_over() {
    let mut history = History::begin(4096);
    history.write(40);
    history.write(1);
    let live = history.database();
    let once = AtomicBool::new(false);
    let watch = |progress: Progress| {
        // After the pages were marked, and before they go over.
        if progress.stage == Stage::Check && !once.swap(true, Ordering::Relaxed) {
            let owner = Connection::open(&live).unwrap();
            owner.pragma_update(None, "user_version", 99).unwrap();
        }
        ControlFlow::Continue(())
    };
    let scratch = history.path("scratch.db");
    online(&plan(&history, At::Txid(2)), &live, (&scratch, &Options::default()), &watch).unwrap();
    let mark: i32 =
        history.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(mark, 99);
}

#[test]
fn an_online_restore_that_is_ended_or_does_not_fit_changes_nothing() {
    let mut history = History::begin(512);
    history.write(3000);
    history.write(1);
    let scratch = history.path("scratch.db");
    let watch = |progress: Progress| match progress.stage {
        Stage::Copy => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let how = (scratch.as_path(), &Options::default());
    let ended = online(&plan(&history, At::Txid(2)), &history.database(), how, &watch);
    assert!(matches!(ended, Err(RestoreError::Ended)), "{ended:?}");
    let count: i64 =
        history.connection.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 3001);
    let mut other = History::begin(4096);
    other.write(1);
    let refused = online(&plan(&history, At::Txid(2)), &other.database(), how, &quietly);
    assert!(
        matches!(refused, Err(RestoreError::PageSize { live: 4096, history: 512, .. })),
        "{refused:?}"
    );
    assert!(!scratch.exists());
}
