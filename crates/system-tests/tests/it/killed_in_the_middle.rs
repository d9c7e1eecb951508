//! Gateway or worker is killed in the middle of a reply: one complete reply, no second one.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use system_tests::discord::text;
use system_tests::{House, Options, until};

use crate::settled;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Gateway,
    Worker,
    Both,
}

async fn story(victim: Victim) -> anyhow::Result<()> {
    let seed: u64 = rand::random();
    println!("seed {seed} ({victim:?})");
    let mut random = StdRng::seed_from_u64(seed);
    let mut house = House::start(Options { seed, ..Options::default() }).await?;
    for round in 0..3_u32 {
        let mark = format!("{:016x}", random.random::<u64>());
        let words: Vec<String> = (0..120).map(|n| format!("{mark}-{n}")).collect();
        let whole = words.join(" ");
        house
            .discord
            .script(json!({"rules": [{
                "match": mark, "reply": whole, "chunk_chars": 24, "first_token_ms": 20,
                "total_ms": 3000
            }]}))
            .await?;
        let question = house.discord.mention(&house.channel, &house.person, &mark).await?;
        // The reply has begun to show, and is far from complete.
        until("the reply has begun", || async {
            Ok((!house.discord.replies(&question).await?.is_empty()).then_some(()))
        })
        .await?;
        let pause = random.random_range(0..1500);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        println!("round {round}: killed {pause} ms after the first text");
        if matches!(victim, Victim::Gateway | Victim::Both) {
            house.gateway.kill().await?;
        }
        if matches!(victim, Victim::Worker | Victim::Both) {
            house.worker.kill().await?;
        }
        if matches!(victim, Victim::Gateway | Victim::Both) {
            house.gateway.start().await?;
        }
        if matches!(victim, Victim::Worker | Victim::Both) {
            house.worker.start().await?;
        }
        let end = words.last().expect("there are words");
        house.discord.replies_until(&question, 1, end).await?;
        // The turn is over once its result is known; whatever would come twice has come by then.
        settled(&house).await?;
        let replies = house.discord.replies(&question).await?;
        let shown: String =
            replies.iter().map(|reply| text(&reply["content"])).collect::<Vec<_>>().join(" ");
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), words, "seed {seed}");
        assert_eq!(created(&house, &question).await?, replies.len(), "seed {seed}: none deleted");
    }
    Ok(())
}

/// How many messages the bot ever created in a channel, deleted ones included.
async fn created(house: &House, channel: &str) -> anyhow::Result<usize> {
    let dispatches = house.discord.ledger("dispatch").await?;
    let mut ids: Vec<String> = dispatches
        .iter()
        .map(|entry| if entry["d"].is_object() { entry } else { &entry["payload"] })
        .filter(|frame| frame["t"] == "MESSAGE_CREATE" && frame["d"]["channel_id"] == channel)
        .filter(|frame| frame["d"]["author"]["id"] == house.discord.bot_id.as_str())
        .filter(|frame| matches!(frame["d"]["type"].as_u64(), Some(0 | 19)))
        .map(|frame| text(&frame["d"]["id"]))
        .collect();
    ids.sort();
    ids.dedup();
    Ok(ids.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_ends_with_one_complete_reply() -> anyhow::Result<()> {
    story(Victim::Worker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_ends_with_one_complete_reply() -> anyhow::Result<()> {
    story(Victim::Gateway).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_killed_end_with_one_complete_reply() -> anyhow::Result<()> {
    story(Victim::Both).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_ends_with_one_complete_reply() -> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    house
        .discord
        .script(json!({"queue": [{
            "reply": "one two three four five six seven eight nine end", "chunk_chars": 4,
            "first_token_ms": 20, "total_ms": 3000
        }]}))
        .await?;
    let question = house.discord.mention(&house.channel, &house.person, "こんにちは").await?;
    until("the reply has begun", || async {
        Ok((!house.discord.replies(&question).await?.is_empty()).then_some(()))
    })
    .await?;
    house.nats.kill().await?;
    house.nats.restart().await?;
    let texts = house.discord.replies_until(&question, 1, "end").await?;
    assert_eq!(texts, ["one two three four five six seven eight nine end"]);
    settled(&house).await?;
    assert_eq!(created(&house, &question).await?, 1);
    Ok(())
}
