//! A full disk is named on `/health`; what people said meanwhile is answered once there is room.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use system_tests::{House, Options, SmallDisk};

const SKIPPED: &str = "skipped: no right to mount a small disk";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_asked_while_the_database_has_no_room_is_answered_later() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(8)? else {
        println!("{SKIPPED}");
        return Ok(());
    };
    let database = disk.path().join("conversation.db").display().to_string();
    let house =
        House::start(Options { worker: vec![("DATABASE_PATH", database)], ..Options::default() })
            .await?;
    house.discord.script(json!({"rules": [{"match": "genki", "reply": "元気です"}]})).await?;
    leave_no_room_in_the_log(&disk.path().join("conversation.db")).await?;
    disk.fill()?;
    let thread = house.discord.mention(&house.channel, &house.person, "genki").await?;
    let named =
        |status: u16, body: &serde_json::Value| status == 503 && body["database"] == "disconnected";
    house.worker.health(Duration::from_secs(30), "the full disk is named", named).await?;
    assert!(house.discord.replies(&thread).await?.is_empty());
    disk.empty()?;
    house.discord.replies_until(&thread, 1, "元気です").await?;
    let healthy = |status: u16, _body: &serde_json::Value| status == 200;
    house.worker.health(Duration::from_secs(30), "healthy again", healthy).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_asked_while_the_broker_has_no_room_is_answered_later() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(48)? else {
        println!("{SKIPPED}");
        return Ok(());
    };
    let mut house =
        House::start(Options { nats_store: Some(disk.path().join("store")), ..Options::default() })
            .await?;
    house.discord.script(json!({"rules": [{"match": "genki", "reply": "元気です"}]})).await?;
    disk.fill()?;
    let thread = house.discord.mention(&house.channel, &house.person, "genki").await?;
    let failing = |status: u16, _body: &serde_json::Value| status == 503;
    house.gateway.health(Duration::from_mins(1), "the gateway is held up", failing).await?;
    disk.empty()?;
    // nats-server freezes a stream after a write error; a restart is the remedy it asks for.
    house.nats.kill().await?;
    house.nats.restart().await?;
    house.discord.replies_until(&thread, 1, "元気です").await?;
    Ok(())
}

/// Empties the write-ahead log, which the start has filled and which would hold a few turns more.
async fn leave_no_room_in_the_log(database: &Path) -> anyhow::Result<()> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}
