//! From one revision to another and back: what is done, what is refused, and what stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use database::{OpenError, open};
use serde_json::json;

use crate::ground::{check, close, count, leave, migrate, migrated, program, say, sql, stock};

fn copies(path: &Path) -> Vec<PathBuf> {
    let folder = path.with_file_name("before-migration");
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names
}

/// A database with 100 words, made by the program of that revision, and closed.
async fn with_words(path: &Path, newest: usize) {
    let mut opened = open(path, &program(newest)).await.unwrap();
    say(&mut opened.writer, 0..100, "kept").await;
    close(opened).await;
}

#[tokio::test]
async fn an_operator_goes_up_and_down_and_sees_where_he_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let three = program(3);
    let missing = migrate(&three, &path, "current").await;
    assert!(missing.code == 1 && missing.complaint.contains("no database"), "{missing:?}");
    assert!(!path.exists(), "looking makes nothing");

    let report = migrated(&three, &path, "upgrade 1").await;
    assert_eq!(
        (&report["before"], &report["current"], &report["head"]),
        (&json!(0), &json!(1), &json!(3))
    );
    assert_eq!(report["copy"], json!(null), "there was nothing to copy");
    let report = migrated(&three, &path, "upgrade head").await;
    assert_eq!(report["current"], 3);
    assert_eq!(report["changed"].as_array().unwrap().len(), 2);
    assert!(Path::new(report["copy"].as_str().unwrap()).exists());
    assert_eq!(migrate(&three, &path, "current").await.out, "0003 (head)\n");
    assert_eq!(migrate(&three, &path, "upgrade head").await.out, "nothing to do\n0003 (head)\n");

    let report = migrated(&three, &path, "downgrade -1").await;
    assert_eq!((&report["before"], &report["current"]), (&json!(3), &json!(2)));
    assert_eq!(migrate(&three, &path, "current").await.out, "0002 (head is 0003)\n");
    let history = migrate(&three, &path, "history").await.out;
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines[0], "0003 a step, not applied (head)");
    assert!(lines[1].starts_with("0002 a step, applied 2"), "{history}");
    assert!(lines[2].ends_with("UTC by release 1.2.3"), "{history}");
    let history = migrated(&three, &path, "history").await;
    assert_eq!(history["history"][1]["applied"]["compatible_with"], 1);

    for (line, part) in [
        ("upgrade 9", "known are 0001, 0002, 0003"),
        ("downgrade 3", "upgrade"),
        ("upgrade 1", "downgrade"),
    ] {
        let answer = migrate(&three, &path, line).await;
        assert_eq!(answer.code, 1, "{line}");
        assert!(answer.complaint.contains(part), "{line}: {}", answer.complaint);
    }
    let answer = migrate(&three, &path, "sideways").await;
    assert!(answer.code == 64 && answer.complaint.contains("specimen migrate upgrade"));
}

#[tokio::test]
async fn a_way_back_that_loses_words_asks_first_and_leaves_a_whole_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 2).await;
    let before = std::fs::read(&path).unwrap();
    let refused = migrate(&program(2), &path, "downgrade base").await;
    assert_eq!(refused.code, 1);
    for part in ["every word", "the mood of every word", "--yes-lose-data", "対処"] {
        assert!(refused.complaint.contains(part), "{}", refused.complaint);
    }
    let refused = migrate(&program(2), &path, "downgrade base --json").await;
    let said: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(said["loses"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was touched");

    let report = migrated(&program(2), &path, "downgrade base --yes-lose-data").await;
    assert_eq!(report["current"], 0);
    let copy = PathBuf::from(report["copy"].as_str().unwrap());
    let name = copy.file_name().unwrap().to_str().unwrap().to_owned();
    // kotonoha_YYYYMMDD_HHMMSS.db, as the seed names backups.
    let shape: String =
        name.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    assert_eq!(shape, "kotonoha_00000000_000000.db");
    // Put back as the seed does it, it is the database of before.
    std::fs::copy(&copy, &path).unwrap();
    let mut opened = open(&path, &program(2)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "kept").await, 100);
    assert_eq!(check(&mut opened.writer).await, "ok");
    close(opened).await;
}

#[tokio::test]
async fn a_revision_that_fails_half_way_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 1).await;
    let error = open(&path, &program(4)).await.unwrap_err();
    assert!(matches!(error, OpenError::Revision { version: 4, .. }), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    let refused = migrate(&program(4), &path, "upgrade head").await;
    assert!(refused.complaint.contains("nothing was changed"), "{}", refused.complaint);
    // Neither the failing one nor those before it, which were on their way with it.
    let mut opened = open(&path, &program(1)).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE name IN ('half', 'moods') ORDER BY 1",
    )
    .fetch_all(&mut opened.writer)
    .await
    .unwrap();
    assert_eq!(tables, [""; 0]);
    assert_eq!(count(&mut opened.writer, "kept").await, 100);
    close(opened).await;
}

/// A service that is started again and again on a revision that fails.
#[tokio::test]
async fn a_revision_that_fails_pushes_out_no_copy_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 1).await;
    close(open(&path, &program(2)).await.unwrap()).await;
    let before = copies(&path);
    assert_eq!(before.len(), 1);
    for _start in 0..4 {
        assert!(open(&path, &program(4)).await.is_err());
    }
    assert_eq!(copies(&path), before);
}

#[tokio::test]
async fn what_a_killed_copy_left_is_removed_with_time_and_what_was_set_aside_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 1).await;
    let age = |file: &Path, days: u64| {
        let then = SystemTime::now() - Duration::from_hours(days * 24);
        std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
    };
    let copies_of = path.with_file_name("before-migration");
    std::fs::create_dir_all(&copies_of).unwrap();
    let [old, new] = ["old", "new"].map(|name| copies_of.join(name).with_extension("partial"));
    for (file, days) in [(&old, 20), (&new, 1)] {
        std::fs::write(file, "words").unwrap();
        age(file, days);
    }
    // A log of another file, which nobody has touched for long.
    let other = folder.path().join("other.db");
    let mut log = stock(&other).await;
    sql(&mut log, "CREATE TABLE t (a); INSERT INTO t VALUES (1)").await;
    std::fs::copy(other.with_file_name("other.db-wal"), path.with_file_name("x.db-wal")).unwrap();
    leave(log).await;
    age(&path.with_file_name("x.db-wal"), 30);
    close(open(&path, &program(1)).await.unwrap()).await;
    assert!(!old.exists() && new.exists());
    let aside = std::fs::read_dir(path.with_file_name("set-aside")).unwrap().count();
    assert_eq!(aside, 1, "set aside a moment ago, it stays for its time");
}

/// N works on the tables of N + 1, and N + 1 on those of N: so that either may be put back.
#[tokio::test]
async fn a_program_and_the_one_before_it_work_on_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 1).await;
    let mut newer = open(&path, &program(2)).await.unwrap();
    sql(&mut newer.writer, "INSERT INTO words (id, text, mood) VALUES (500, 'kept', 'glad')").await;
    close(newer).await;
    assert_eq!(copies(&path).len(), 1, "the start copied before it changed anything");

    let mut older = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut older.writer, "kept").await, 101);
    say(&mut older.writer, 600..610, "written by the one before").await;
    close(older).await;
    let told = migrate(&program(1), &path, "current").await;
    assert_eq!(told.out, "0002 (newer than this release, which knows 0001)\n");
    let refused = migrate(&program(1), &path, "downgrade 1").await;
    assert!(refused.complaint.contains("no way back from revision 0002"), "{}", refused.complaint);

    let mut newer = open(&path, &program(2)).await.unwrap();
    assert_eq!(count(&mut newer.writer, "written by").await, 10);
    let moods: i64 = sqlx::query_scalar("SELECT count(*) FROM words WHERE mood = 'glad'")
        .fetch_one(&mut newer.writer)
        .await
        .unwrap();
    assert_eq!(moods, 1);
    close(newer).await;
}

#[tokio::test]
async fn a_database_that_is_too_new_is_refused_by_both_numbers_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 2).await;
    migrated(&program(3), &path, "upgrade head").await;
    let before = std::fs::read(&path).unwrap();
    for older in [1, 2] {
        let error = open(&path, &program(older)).await.unwrap_err();
        assert!(matches!(error, OpenError::Newer { .. }), "{error}");
        let text = error.to_string();
        for part in ["0003", &format!("{older:04}"), "release 1.2.3"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(error.remedies().0.contains("migrate downgrade"));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // The remedy: the newer program takes its revision back, and the older one starts.
    migrated(&program(3), &path, "downgrade 2").await;
    let mut opened = open(&path, &program(1)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "kept").await, 100);
    close(opened).await;
}

#[tokio::test]
async fn a_revision_that_was_edited_is_a_fault_until_it_is_stamped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 2).await;
    let mut shell = stock(&path).await;
    sql(&mut shell, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    leave(shell).await;
    let error = open(&path, &program(2)).await.unwrap_err();
    assert!(matches!(error, OpenError::Edited { version: 1, .. }), "{error}");
    for line in ["upgrade head", "downgrade -1 --yes-lose-data"] {
        let refused = migrate(&program(2), &path, line).await;
        assert!(refused.complaint.contains("another wording"), "{}", refused.complaint);
    }
    let report = migrated(&program(2), &path, "stamp head").await;
    assert!(report["copy"].is_string());
    close(open(&path, &program(2)).await.unwrap()).await;
    // Stamped back, a revision is run again, which fails here and changes nothing.
    migrated(&program(2), &path, "stamp 1").await;
    assert!(matches!(open(&path, &program(2)).await, Err(OpenError::Revision { version: 2, .. })));
    migrated(&program(2), &path, "stamp 2").await;
    close(open(&path, &program(2)).await.unwrap()).await;
}

#[tokio::test]
async fn nothing_is_pulled_from_under_a_service_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut running = open(&path, &program(1)).await.unwrap();
    for line in ["downgrade base --yes-lose-data", "stamp head", "upgrade 3"] {
        let refused = migrate(&program(3), &path, line).await;
        assert_eq!(refused.code, 1, "{line}");
        assert!(refused.complaint.contains("stop the bot first"), "{}", refused.complaint);
    }
    // What the running program can go on working with is applied beside it.
    migrated(&program(2), &path, "upgrade head").await;
    say(&mut running.writer, 0..10, "kept").await;
    assert!(matches!(open(&path, &program(3)).await, Err(OpenError::InUse { .. })));
    assert_eq!(migrate(&program(2), &path, "current").await.out, "0002 (head)\n");
    close(running).await;
    migrated(&program(3), &path, "upgrade head").await;
}

#[tokio::test]
async fn copies_are_few_and_none_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    with_words(&path, 2).await;
    for _ in 0..3 {
        migrated(&program(3), &path, "upgrade head").await;
        migrated(&program(3), &path, "downgrade -1").await;
    }
    let kept = copies(&path);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let aged = std::fs::File::options().write(true).open(&kept[0]).unwrap();
    aged.set_modified(SystemTime::now() - Duration::from_hours(15 * 24)).unwrap();
    let opened = open(&path, &program(2)).await.unwrap();
    assert_eq!(copies(&path), kept[1..]);
    opened.guard.forget_copies();
    assert_eq!(copies(&path).len(), 2);
    close(opened).await;
}

/// A database of before these books were kept, as sqlx left it.
#[tokio::test]
async fn a_database_of_an_earlier_build_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut before = stock(&path).await;
    program(1).migrations.run_direct(None, &mut before, false).await.unwrap();
    say(&mut before, 0..10, "kept").await;
    leave(before).await;
    let mut opened = open(&path, &program(2)).await.unwrap();
    assert_eq!(count(&mut opened.writer, "kept").await, 10);
    close(opened).await;
    let history = migrated(&program(2), &path, "history").await;
    assert_eq!(history["history"][1]["applied"]["release"], json!(null));
}
