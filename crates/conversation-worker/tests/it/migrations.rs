//! The worker's own revisions: up and down, beside a newer release, and a file that is exchanged.

use std::path::Path;
use std::process::Output;

use contracts::status::ShardState;
use conversation_worker::store::{OpenError, SCHEMA, Store, Tidy};
use database::Schema;
use database::rehearsal::next_release;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::house::worker::get;
use crate::house::{House, Question, eventually};

/// The release after this one: its tables are ours and more, and ours goes on working with them.
const ADDITIVE: &str = "-- compatible-with: 1\n\
    ALTER TABLE turns ADD COLUMN mood TEXT;\n\
    CREATE TABLE moods (name TEXT NOT NULL PRIMARY KEY) STRICT;\n\
    CREATE INDEX turns_mood ON turns (mood) WHERE mood IS NOT NULL;";
const ADDITIVE_BACK: &str =
    "DROP INDEX turns_mood;\nDROP TABLE moods;\nALTER TABLE turns DROP COLUMN mood;";
/// The release after this one, where it cannot go together with ours.
const BREAKING: &str = "ALTER TABLE turns RENAME COLUMN state TO condition;";
const BREAKING_BACK: &str = "ALTER TABLE turns RENAME COLUMN condition TO state;";

async fn migrate(schema: &Schema, path: &Path, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let answer = database::migrate(schema, path, &words).await;
    assert_eq!(answer.code, 0, "{line}: {}{}", answer.out, answer.complaint);
    answer.out
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// The tables and indexes as their makers wrote them, apart from the books of the revisions.
async fn tables(path: &Path) -> Vec<String> {
    let mut connection = raw(path).await;
    let tables = sqlx::query_scalar(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
         AND tbl_name NOT IN ('_sqlx_migrations', '_schema_compatibility', 'sqlite_sequence') \
         ORDER BY name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    tables
}

#[tokio::test]
async fn every_revision_has_a_way_back_that_says_what_it_loses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    Store::open(&path).await.unwrap().close().await;
    let made = tables(&path).await;
    migrate(&SCHEMA, &path, "downgrade base --yes-lose-data").await;
    assert_eq!(tables(&path).await, [""; 0]);
    Store::open(&path).await.unwrap().close().await;
    assert_eq!(tables(&path).await, made);
    // One by one as well.
    let revisions: Vec<i64> = SCHEMA
        .migrations
        .iter()
        .filter(|revision| revision.migration_type.is_down_migration())
        .map(|revision| revision.version)
        .collect();
    for _ in &revisions {
        migrate(&SCHEMA, &path, "downgrade -1 --yes-lose-data").await;
    }
    assert_eq!(tables(&path).await, [""; 0]);
    for revision in &revisions {
        migrate(&SCHEMA, &path, &format!("upgrade {revision}")).await;
    }
    assert_eq!(tables(&path).await, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_answers_on_the_tables_of_the_next_release() {
    let house = House::build().await;
    let path = house.database_path();
    let next = next_release(&SCHEMA, ADDITIVE, ADDITIVE_BACK);
    let worker = house.worker().await;
    house.ask(&Question::mention("before the update")).await;
    worker.stop().await;

    // The next release was here, and has left its mark on the rows.
    migrate(&next, &path, "upgrade head").await;
    let mut later = raw(&path).await;
    sqlx::query("UPDATE turns SET mood = 'glad'").execute(&mut later).await.unwrap();
    later.close().await.unwrap();

    let worker = house.worker().await;
    house.ask(&Question::mention("after going back")).await;
    worker.stop().await;
    let told = migrate(&SCHEMA, &path, "current").await;
    assert!(told.contains("newer than this release"), "{told}");

    // And forward again, with what was answered in between.
    let opened = database::open(&path, &next).await.unwrap();
    let moods: Vec<Option<String>> = sqlx::query_scalar("SELECT mood FROM turns ORDER BY id")
        .fetch_all(&opened.readers)
        .await
        .unwrap();
    assert_eq!(moods, [Some("glad".to_owned()), None]);
    opened.guard.close(opened.writer).await.unwrap();
    opened.readers.close().await;
    opened.guard.release();
    migrate(&next, &path, "downgrade -1").await;
    let worker = house.worker().await;
    house.ask(&Question::mention("on the old tables")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_too_new_keeps_the_worker_from_starting() {
    let house = House::build().await;
    let path = house.database_path();
    Store::open(&path).await.unwrap().close().await;
    let next = next_release(&SCHEMA, BREAKING, BREAKING_BACK);
    migrate(&next, &path, "upgrade head").await;
    let error = Store::open(&path).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    let error = house.worker().await.failed().await;
    let faults = error.downcast_ref::<chassis::Faults>().expect("a fault of the settings");
    let text = faults.to_string();
    for part in
        ["DATABASE_PATH", "release 99.0.0", "revisions up to", "migrate downgrade", "リリース"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    migrate(&next, &path, "downgrade -1").await;
    Store::open(&path).await.unwrap().close().await;
}

async fn command(house: &House, line: &str) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_conversation-worker"))
        .args(line.split(' '))
        .env_clear()
        .env("DATABASE_PATH", house.database_path())
        .output()
        .await
        .unwrap()
}

/// With no other setting than the database's path, as someone in trouble has it.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_migrates_by_the_worker_s_own_program() {
    let house = House::build().await;
    let made = command(&house, "migrate upgrade head").await;
    let out = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success() && out.contains("0001 conversations: applied"), "{out}");
    let worker = house.child().await;
    let current = command(&house, "migrate current --json").await;
    let said: serde_json::Value = serde_json::from_slice(&current.stdout).unwrap();
    assert_eq!(said["current"], said["head"]);
    let refused = command(&house, "migrate downgrade base --yes-lose-data").await;
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint.contains("docker compose stop conversation-worker"), "{complaint}");
    worker.kill().await;
    let done = command(&house, "migrate downgrade base --yes-lose-data").await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let usage = command(&house, "migrate").await;
    assert_eq!(usage.status.code(), Some(64));
    let help = command(&house, "--help").await;
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("conversation-worker migrate downgrade -1|<revision>|base"), "{help}");
}

/// The file of settings may be what says which database is meant.
#[tokio::test]
async fn a_command_over_settings_that_cannot_be_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, "database_path = [").unwrap();
    let path = folder.path().join("x.db");
    let refused = tokio::process::Command::new(env!("CARGO_BIN_EXE_conversation-worker"))
        .args(["migrate", "upgrade", "head"])
        .env_clear()
        .env("KOTONOHA_CONFIG", &settings)
        .env("DATABASE_PATH", &path)
        .output()
        .await
        .unwrap();
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64), "{complaint}");
    assert!(complaint.contains("settings.toml"), "{complaint}");
    assert!(!path.exists(), "nothing was carried out");
}

/// The seed's restore, `cp` and a restart, done to a worker that runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_copied_over_the_running_worker_s_file_is_told_and_comes_through() {
    let house = House::build().await;
    let (path, saved) = (house.database_path(), house.folder.path().join("saved.db"));
    let worker = house.child().await;
    let kept = Question::mention("in the backup");
    house.ask(&kept).await;
    let mut connection = raw(&path).await;
    sqlx::query("VACUUM INTO ?").bind(saved.to_str()).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    // A backup is of an earlier life: lives are renewed by restarts, and every few minutes.
    worker.kill().await;
    let worker = house.child().await;
    let gone = Question::mention("after the backup");
    house.ask(&gone).await;

    std::fs::copy(&saved, &path).unwrap();
    let address = worker.address().await;
    let told = eventually(async || {
        house.discord.say_connected(ShardState::Connected).await;
        let (status, health) = get(address, "/health").await;
        (status == 503 && health["database"] == "disconnected").then_some(health)
    });
    let health = told.await.expect("health never told that the file was exchanged");
    let check = &health["checks"]["database"];
    assert!(
        check.to_string().contains("copied over") && check.to_string().contains("再起動"),
        "{check}"
    );
    assert_eq!(get(address, "/health/ready").await.0, 503);
    assert_eq!(get(address, "/health/live").await.0, 200);
    worker.kill().await;

    let worker = house.child().await;
    let later = Question::mention("after the restore");
    house.ask(&later).await;
    let database = house.database().await;
    let turns: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM turns").fetch_all(&database).await.unwrap();
    let has = |question: &Question| turns.contains(&question.id.cast_signed());
    assert!(has(&kept) && has(&later), "{turns:?}");
    let whole: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&database).await.unwrap();
    assert_eq!(whole, "ok");
    database.close().await;
    worker.kill().await;
}

#[tokio::test]
async fn a_store_writes_nothing_into_a_file_that_was_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("conversation.db"), folder.path().join("other.db"));
    Store::open(&other).await.unwrap().close().await;
    let store = Store::open(&path).await.unwrap();
    store.write(Tidy { now_unix_ms: 1 }).await.unwrap();
    let bytes = std::fs::read(&other).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let refused = store.write(Tidy { now_unix_ms: 2 }).await.unwrap_err();
    assert!(refused.is_transient() && refused.remedies().0.contains("restart"), "{refused}");
    store.close().await;
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
