//! Files that are exchanged under a process that has them open.

use std::path::Path;

use database::{Exchanged, Opened, open};

use crate::ground::{
    after_a_power_cut, backup, check, close, count, leave, program, say, sql, stock,
};

/// A running service with words in its file and in its log, and a backup of before.
async fn running(path: &Path, saved: &Path) -> Opened {
    let mut opened = open(path, &program(1)).await.unwrap();
    say(&mut opened.writer, 0..300, "old").await;
    backup(&mut opened.writer, saved).await;
    // Which happens by itself some minutes later.
    opened.guard.renew(&mut opened.writer).await.unwrap();
    say(&mut opened.writer, 300..1200, "new").await;
    sql(&mut opened.writer, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    sql(&mut opened.writer, "DELETE FROM words WHERE id % 2 = 0").await;
    opened
}

#[tokio::test]
async fn a_backup_copied_over_a_running_file_is_noticed_and_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("x.db"), folder.path().join("backup.db"));
    let running = running(&path, &saved).await;
    running.guard.check().unwrap();
    std::fs::copy(&saved, &path).unwrap();
    assert_eq!(running.guard.check(), Err(Exchanged::Overwritten));
    assert!(running.guard.check().unwrap_err().remedies().0.contains("restart"));

    // `docker restart`: the service closes as it always does.
    running.guard.close(running.writer).await.unwrap();
    running.readers.close().await;
    let left = after_a_power_cut(&path, &folder.path().join("restarted"));
    let mut restored = open(&left, &program(1)).await.unwrap();
    assert_eq!(check(&mut restored.writer).await, "ok");
    assert_eq!(count(&mut restored.writer, "old").await, 300);
    assert_eq!(count(&mut restored.writer, "new").await, 0);
    close(restored).await;
}

#[tokio::test]
async fn stock_sqlite_ruins_a_backup_that_is_copied_over_a_running_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("x.db"), folder.path().join("backup.db"));
    close(running(&path, &saved).await).await;
    let mut careless = stock(&path).await;
    say(&mut careless, 1..1500, "newer").await;
    std::fs::copy(&saved, &path).unwrap();
    leave(careless).await;
    let mut ruined = stock(&path).await;
    let (found, old) = (check(&mut ruined).await, count(&mut ruined, "newer").await);
    assert!(found != "ok" || old > 0, "the backup would have been there untouched");
}

#[tokio::test]
async fn a_file_that_was_swapped_or_taken_away_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("x.db"), folder.path().join("backup.db"));
    let running = running(&path, &saved).await;
    std::fs::rename(&saved, &path).unwrap();
    assert_eq!(running.guard.check(), Err(Exchanged::Swapped));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(running.guard.check(), Err(Exchanged::Gone));
}

/// Whoever works on the database beside the service changes nothing about whose it is.
#[tokio::test]
async fn a_checkpoint_a_vacuum_or_another_reader_is_no_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("x.db"), folder.path().join("backup.db"));
    let mut running = running(&path, &saved).await;
    let mut shell = stock(&path).await;
    sql(&mut shell, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    sql(&mut shell, "VACUUM").await;
    sql(&mut shell, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    running.guard.check().unwrap();
    // A backup holds an old state open while the service starts anew.
    sql(&mut shell, "BEGIN; SELECT count(*) FROM words").await;
    say(&mut running.writer, 2000..2010, "meanwhile").await;
    close(running).await;
    let mut again = open(&path, &program(1)).await.unwrap();
    again.guard.check().unwrap();
    sql(&mut shell, "COMMIT").await;
    sql(&mut shell, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    say(&mut again.writer, 2010..2020, "later").await;
    again.guard.check().unwrap();
    let second = open(&path, &program(1)).await.unwrap();
    second.guard.check().unwrap();
    close(again).await;
    second.guard.check().unwrap();
    close(second).await;
    leave(shell).await;
}
