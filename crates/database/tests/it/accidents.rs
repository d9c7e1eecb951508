//! Files that were copied about while nobody used them: what stock SQLite makes of them, and we.

use std::path::{Path, PathBuf};

use database::{OpenError, open};

use crate::ground::{
    after_a_power_cut, backup, check, close, count, leave, migrated, program, say, sql, stock,
};

/// A bot's life: 300 words, a backup, then much that is in the file and much that is in the log
/// only, then a power cut. Gives the file it leaves, and the backup.
async fn power_cut(folder: &Path) -> (PathBuf, PathBuf) {
    let path = folder.join("alive").join("x.db");
    let saved = folder.join("backup.db");
    let schema = program(1);
    let mut first = open(&path, &schema).await.unwrap();
    say(&mut first.writer, 0..300, "old").await;
    backup(&mut first.writer, &saved).await;
    close(first).await;
    let mut second = open(&path, &schema).await.unwrap();
    say(&mut second.writer, 300..1200, "new").await;
    sql(&mut second.writer, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    sql(&mut second.writer, "DELETE FROM words WHERE id > 1000").await;
    say(&mut second.writer, 1200..1500, "last").await;
    let left = after_a_power_cut(&path, &folder.join("dead"));
    assert!(left.with_file_name("x.db-wal").metadata().unwrap().len() > 100_000);
    close(second).await;
    (left, saved)
}

#[tokio::test]
async fn a_power_cut_alone_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = power_cut(folder.path()).await;
    let mut opened = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "last").await, 300);
    assert_eq!(count(&mut opened.writer, "old").await, 300);
    assert_eq!(check(&mut opened.writer).await, "ok");
    close(opened).await;
    // The same where the file beside the database is lost, or of an earlier release.
    let (path, _) = power_cut(&folder.path().join("again")).await;
    std::fs::remove_file(path.with_file_name("x.db.identity")).unwrap();
    let mut opened = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "last").await, 300);
    close(opened).await;
}

/// While a reader holds an older state, no checkpoint brings a new life's mark into the file: two
/// such beginnings and a power cut in the third must not make the log a stranger.
#[tokio::test]
async fn a_power_cut_loses_nothing_after_lives_that_never_reached_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alive").join("x.db");
    let mut opened = open(&path, &program(1)).await.unwrap();
    say(&mut opened.writer, 0..300, "old").await;
    sql(&mut opened.writer, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let mut reader = stock(&path).await;
    sql(&mut reader, "BEGIN; SELECT count(*) FROM words").await;
    opened.guard.renew(&mut opened.writer).await.unwrap();
    say(&mut opened.writer, 300..310, "new").await;
    // The third life is written down beside the file, and then the power goes.
    let identity = path.with_file_name("x.db.identity");
    let log = std::fs::read(path.with_file_name("x.db-wal")).unwrap();
    opened.guard.renew(&mut opened.writer).await.unwrap();
    let left = after_a_power_cut(&path, &folder.path().join("dead"));
    std::fs::write(left.with_file_name("x.db-wal"), log).unwrap();
    let lives = std::fs::read_to_string(&identity).unwrap();
    assert_eq!(lives.lines().filter(|line| line.parse::<u32>().is_ok()).count(), 3, "{lives}");
    sql(&mut reader, "COMMIT").await;
    leave(reader).await;
    close(opened).await;

    let mut again = open(&left, &program(1)).await.unwrap();
    assert_eq!(count(&mut again.writer, "new").await, 10);
    assert_eq!(count(&mut again.writer, "old").await, 300);
    close(again).await;
    assert!(!left.with_file_name("set-aside").exists());
}

/// A look with the operator's tool after a crash is the last to close the file, and removes the
/// log: the next start must not take that for a copy without its log.
#[tokio::test]
async fn a_look_after_a_power_cut_leaves_nothing_to_wonder_about() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = power_cut(folder.path()).await;
    migrated(&program(1), &path, "current").await;
    assert!(!path.with_file_name("x.db-wal").exists());
    let looked = migrated(&program(1), &path, "current").await;
    assert_eq!(looked["notes"], serde_json::json!([]), "{looked}");
    let mut opened = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "last").await, 300);
    close(opened).await;
}

/// The seed's way to restore: `cp backup data/x.db`, then a restart.
#[tokio::test]
async fn a_backup_copied_over_a_dead_file_is_not_mixed_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = power_cut(folder.path()).await;
    std::fs::copy(&saved, &path).unwrap();
    let careless = after_a_power_cut(&path, &folder.path().join("stock"));

    // SQLite applies the log of the one to the other, and opens what comes of it.
    let mut mixed = stock(&careless).await;
    assert_ne!(check(&mut mixed).await, "ok");
    drop(mixed);

    let mut restored = open(&path, &program(1)).await.unwrap();
    assert_eq!(check(&mut restored.writer).await, "ok");
    assert_eq!(count(&mut restored.writer, "old").await, 300);
    assert_eq!(count(&mut restored.writer, "new").await, 0);
    say(&mut restored.writer, 300..310, "after").await;
    close(restored).await;
    let aside: Vec<_> = std::fs::read_dir(path.with_file_name("set-aside")).unwrap().collect();
    assert_eq!(aside.len(), 1, "the log is kept: {aside:?}");
    let mut again = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut again.writer, "after").await, 10);
    close(again).await;
}

/// Worse, because nothing at all is to be seen: the log holds all that came after the backup.
#[tokio::test]
async fn a_restore_is_not_undone_by_the_log_that_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let saved = folder.path().join("backup.db");
    let mut alive = open(&path, &program(1)).await.unwrap();
    say(&mut alive.writer, 0..50, "old").await;
    sql(&mut alive.writer, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    // A backup of the same life, made with `cp` at a quiet moment.
    std::fs::copy(&path, &saved).unwrap();
    say(&mut alive.writer, 0..50, "regretted").await;
    let left = after_a_power_cut(&path, &folder.path().join("dead"));
    close(alive).await;
    std::fs::copy(&saved, &left).unwrap();
    let careless = after_a_power_cut(&left, &folder.path().join("stock"));

    let mut undone = stock(&careless).await;
    assert_eq!(check(&mut undone).await, "ok");
    assert_eq!(count(&mut undone, "regretted").await, 50, "stock SQLite undoes the restore");
    leave(undone).await;

    // A few minutes later, or one start, the copy is of an earlier life, and the log is known for
    // what it is.
    std::fs::remove_file(&left).unwrap();
    let mut alive = open(&left, &program(1)).await.unwrap();
    say(&mut alive.writer, 0..50, "old").await;
    sql(&mut alive.writer, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    std::fs::copy(&left, &saved).unwrap();
    alive.guard.renew(&mut alive.writer).await.unwrap();
    alive.guard.check().unwrap();
    say(&mut alive.writer, 0..50, "regretted").await;
    let left = after_a_power_cut(&left, &folder.path().join("dead again"));
    close(alive).await;
    std::fs::copy(&saved, &left).unwrap();
    let mut restored = open(&left, &program(1)).await.unwrap();
    assert_eq!(count(&mut restored.writer, "old").await, 50);
    close(restored).await;
}

#[tokio::test]
async fn a_file_that_comes_with_its_own_log_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = power_cut(folder.path()).await;
    // Another installation's folder, into which both files are copied.
    let target = folder.path().join("other").join("x.db");
    close(open(&target, &program(1)).await.unwrap()).await;
    for name in ["x.db", "x.db-wal"] {
        std::fs::copy(path.with_file_name(name), target.with_file_name(name)).unwrap();
    }
    let report = migrated(&program(1), &target, "current").await;
    assert!(report["notes"][0].as_str().unwrap().contains("restored"), "{report}");
    let mut opened = open(&target, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "last").await, 300);
    close(opened).await;
}

#[tokio::test]
async fn a_copy_without_its_log_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = power_cut(folder.path()).await;
    let copied = folder.path().join("copied").join("x.db");
    std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
    std::fs::copy(&path, &copied).unwrap();

    let careless = folder.path().join("careless.db");
    std::fs::copy(&path, &careless).unwrap();
    let mut silent = stock(&careless).await;
    assert_eq!(check(&mut silent).await, "ok");
    assert_eq!(count(&mut silent, "last").await, 0, "stock SQLite says nothing of what is missing");
    leave(silent).await;

    let report = migrated(&program(1), &copied, "current").await;
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("-wal") && note.contains("missing"), "{note}");
    let mut opened = open(&copied, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "new").await, 900);
    close(opened).await;
    // Once it has been in use here, there is nothing more to tell.
    let report = migrated(&program(1), &copied, "current").await;
    assert_eq!(report["notes"], serde_json::json!([]));
}

/// What `cp` gives while the file is written: pages of two moments.
#[tokio::test]
async fn a_torn_copy_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = power_cut(folder.path()).await;
    // The first half was read after much was written, the second before.
    let mut torn = std::fs::read(&path).unwrap();
    let earlier = std::fs::read(&saved).unwrap();
    let half = earlier.len() / 8192 * 4096;
    torn.truncate(half);
    torn.extend_from_slice(&earlier[half..]);
    std::fs::remove_file(path.with_file_name("x.db-wal")).unwrap();
    std::fs::write(&path, torn).unwrap();

    let error = open(&path, &program(1)).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let (english, japanese) = error.remedies();
    assert!(english.contains("backup") && japanese.contains("バックアップ"));
}

#[tokio::test]
async fn a_log_without_its_file_is_kept_and_a_new_file_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = power_cut(folder.path()).await;
    std::fs::remove_file(&path).unwrap();
    let mut opened = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "").await, 0);
    close(opened).await;
    let aside: Vec<_> = std::fs::read_dir(path.with_file_name("set-aside")).unwrap().collect();
    assert_eq!(aside.len(), 1);
}

/// Whatever is wrong with it: not one byte is changed.
#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone_with_all_that_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipes.db");
    let mut other = stock(&path).await;
    sql(&mut other, "PRAGMA application_id = 99; CREATE TABLE recipes (name TEXT)").await;
    let left = after_a_power_cut(&path, &folder.path().join("dead"));
    leave(other).await;
    let log = std::fs::read(left.with_file_name("recipes.db-wal")).unwrap();
    let error = open(&left, &program(1)).await.unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
    assert_eq!(std::fs::read(left.with_file_name("recipes.db-wal")).unwrap(), log);
}
