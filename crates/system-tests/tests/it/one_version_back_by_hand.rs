//! An update is taken back by hand: the database of the newer release serves the older one, or says
//! why it does not and how it will.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conversation_worker::store::SCHEMA;
use database::Schema;
use database::rehearsal::next_release;
use serde_json::{Value, json};
use system_tests::{House, Options, SmallDisk};

use crate::settled;

fn additive() -> Schema {
    next_release(
        &SCHEMA,
        "-- compatible-with: 1\nALTER TABLE turns ADD COLUMN mood TEXT;",
        "ALTER TABLE turns DROP COLUMN mood;",
    )
}

fn breaking() -> Schema {
    next_release(
        &SCHEMA,
        "ALTER TABLE turns RENAME COLUMN state TO condition;",
        "ALTER TABLE turns RENAME COLUMN condition TO state;",
    )
}

/// What the next release does at its start; gives the copy it makes before.
async fn updated(schema: &Schema, path: &Path) -> anyhow::Result<PathBuf> {
    let words = ["upgrade", "head", "--json"].map(str::to_owned);
    let answer = database::migrate(schema, path, &words).await;
    anyhow::ensure!(answer.code == 0, "{}{}", answer.out, answer.complaint);
    let said: Value = serde_json::from_str(&answer.out)?;
    Ok(PathBuf::from(said["copy"].as_str().unwrap_or_default()))
}

/// Says something in the thread, and waits for the reply that must be the last so far.
async fn talk(house: &House, thread: &str, number: usize, word: &str) -> anyhow::Result<()> {
    house.discord.script(json!({"queue": [{"reply": format!("はい、{word} です。")}]})).await?;
    house.discord.say(thread, &house.person, word).await?;
    house.discord.replies_until(thread, number, word).await?;
    settled(house).await
}

/// Whether the newest model request held `word`.
async fn remembered(house: &House, word: &str) -> anyhow::Result<bool> {
    let requests = house.discord.model_requests().await?;
    Ok(requests.last().is_some_and(|request| request.to_string().contains(word)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_goes_on_with_the_database_of_the_one_after() -> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    house.discord.script(json!({"queue": [{"reply": "朝顔ですね。"}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "合言葉は朝顔").await?;
    house.discord.replies_until(&thread, 1, "朝顔").await?;
    settled(&house).await?;

    house.worker.stop().await?;
    let copy = updated(&additive(), &house.database()).await?;
    assert!(copy.exists(), "the update copied the database before it changed anything");
    house.worker.start().await?;
    house.worker.ready().await?;
    talk(&house, &thread, 2, "前の版").await?;
    assert!(remembered(&house, "合言葉は朝顔").await?, "the first turn is in the prompt");

    // Forward again: nothing is left to do, and nothing is lost.
    house.worker.stop().await?;
    updated(&additive(), &house.database()).await?;
    house.worker.start().await?;
    house.worker.ready().await?;
    talk(&house, &thread, 3, "次の版").await?;
    assert!(remembered(&house, "前の版").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_too_new_is_named_and_its_copy_put_back_with_cp() -> anyhow::Result<()> {
    let worker = vec![("KOTONOHA_ON_FAULT", "stay".to_owned())];
    let mut house = House::start(Options { worker, ..Options::default() }).await?;
    house.discord.script(json!({"queue": [{"reply": "朝顔ですね。"}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "合言葉は朝顔").await?;
    house.discord.replies_until(&thread, 1, "朝顔").await?;
    settled(&house).await?;

    house.worker.stop().await?;
    let copy = updated(&breaking(), &house.database()).await?;
    house.worker.start().await?;
    let named = |status: u16, body: &Value| {
        let text = body.to_string();
        status == 503 && text.contains("release 99.0.0") && text.contains("before-migration")
    };
    house.worker.health(Duration::from_secs(15), "both versions are named", named).await?;
    assert_eq!(house.worker.get("/health/live").await?.0, 200);

    // As the seed restores: a copy over the file, then a restart.
    std::fs::copy(&copy, house.database())?;
    house.worker.stop().await?;
    house.worker.start().await?;
    house.worker.ready().await?;
    talk(&house, &thread, 2, "戻りました").await?;
    assert!(remembered(&house, "合言葉は朝顔").await?, "the first turn is in the prompt");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_copy_nothing_is_changed() -> anyhow::Result<()> {
    let Some(disk) = SmallDisk::mount(8)? else {
        println!("skipped: no right to mount a small disk");
        return Ok(());
    };
    let path = disk.path().join("conversation.db");
    anyhow::ensure!(updated(&SCHEMA, &path).await?.as_os_str().is_empty(), "nothing to copy yet");
    let before = std::fs::read(&path)?;
    let refused = updated(&additive(), &path).await.err().map(|error| error.to_string());
    let refused = refused.unwrap_or_default();
    for part in ["no room for the copy", "nothing was changed", "空き"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(std::fs::read(&path)?, before);
    Ok(())
}
