//! The database is destroyed; it comes back from its copies, what was said since from the bus, and
//! people chat on.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use system_tests::{House, Options, until};

use crate::settled;

/// Says something in the thread, and waits for the reply that must be the last so far.
async fn talk(house: &House, thread: &str, number: usize, word: &str) -> anyhow::Result<()> {
    house.discord.script(json!({"queue": [{"reply": format!("はい、{word} ですね。")}]})).await?;
    house.discord.say(thread, &house.person, word).await?;
    house.discord.replies_until(thread, number, word).await?;
    settled(house).await
}

/// Gives the agent a command that must be done.
async fn done(house: &House, words: &[&str]) -> anyhow::Result<Value> {
    let (status, said) = house.backup.command(&[words, &["--json"]].concat()).await?;
    anyhow::ensure!(status.success(), "{words:?}: {status}: {said}");
    let line = said.lines().find(|line| line.starts_with('{')).context("find the answer")?;
    Ok(serde_json::from_str(line)?)
}

/// Waits until the first full copy is there and the database is followed. Whether the whole agent
/// is well also depends on how full the disk of this machine is.
async fn followed(house: &House) -> anyhow::Result<()> {
    let wanted = |_status, health: &Value| {
        // A gap that was repaired is told for a day.
        let followed = &health["checks"]["database.conversations"]["status"];
        health["checks"]["full"]["status"] == "ok" && (followed == "ok" || followed == "degraded")
    };
    house.backup.health(Duration::from_mins(1), "the database is followed", wanted).await.map(drop)
}

/// Waits until so many messages are in the database.
async fn taken_in(house: &House, messages: i64) -> anyhow::Result<()> {
    let url = format!("sqlite://{}?mode=ro", house.database().display());
    let pool = sqlx::SqlitePool::connect(&url).await?;
    until("the bus has given back what was said since", || async {
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM inbox").fetch_one(&pool).await?;
        Ok((there == messages).then_some(()))
    })
    .await
}

/// The transaction after which everything that is in the database now is copied: the audit ships
/// what is new before it compares.
async fn copied(house: &House) -> anyhow::Result<u64> {
    let audit = done(house, &["audit"]).await?;
    audit["conversations.audit"]["txid"].as_u64().context("read the transaction")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_database_comes_back_and_what_was_said_since_comes_from_the_bus()
-> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    house.backup.start().await?;
    followed(&house).await?;
    house.discord.script(json!({"queue": [{"reply": "朝顔ですね。"}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "合言葉は朝顔").await?;
    house.discord.replies_until(&thread, 1, "朝顔").await?;
    settled(&house).await?;
    talk(&house, &thread, 2, "好きな色は藍色").await?;
    let before = copied(&house).await?;
    let since = "きのうは雨でした";
    talk(&house, &thread, 3, since).await?;
    let after = copied(&house).await?;
    let said = house.discord.replies_until(&thread, 3, since).await?;
    anyhow::ensure!(before < after, "{before} is before {after}");

    // Everything stops, and the database is destroyed: other bytes, and nothing beside it.
    house.backup.stop().await?;
    house.worker.stop().await?;
    house.gateway.stop().await?;
    let database = house.database();
    for ending in ["-wal", "-shm"] {
        let mut beside = database.clone().into_os_string();
        beside.push(ending);
        drop(std::fs::remove_file(beside));
    }
    std::fs::remove_file(&database).context("destroy the database")?;

    let at = format!("txid:{before}");
    let report = done(&house, &["restore", "--at", &at, "--swap", "--yes"]).await?;
    assert_eq!(report["restored"]["txid"], before);

    // The bus still has what was said after that point: it is answered again, and the answer goes
    // into the same message of Discord, as every effect is named after its cause.
    house.discord.script(json!({"queue": [{"reply": format!("はい、{since} ですね。")}]})).await?;
    house.gateway.start().await?;
    house.worker.start().await?;
    house.backup.start().await?;
    house.gateway.ready().await?;
    house.worker.ready().await?;
    followed(&house).await?;
    taken_in(&house, 3).await?;
    settled(&house).await?;
    assert_eq!(house.discord.replies_until(&thread, 3, since).await?, said, "none is doubled");

    talk(&house, &thread, 4, "合言葉は何でしたか").await?;
    let requests = house.discord.model_requests().await?;
    let prompt = requests.last().context("a request")?.to_string();
    for word in ["合言葉は朝顔", "好きな色は藍色", since] {
        assert!(prompt.contains(word), "{word} is lost: {prompt}");
    }
    let texts = house.discord.replies_until(&thread, 4, "合言葉").await?;
    assert_eq!(texts.len(), 4, "each was answered once: {texts:?}");

    // The history goes on with a timeline of its own, and the old one is still there.
    let list = done(&house, &["list"]).await?;
    let timelines = list["databases"][0]["timelines"].as_array().context("the timelines")?.len();
    assert!(timelines >= 2, "{list:#}");
    house.backup.stop().await?;
    Ok(())
}
