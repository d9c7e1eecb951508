//! Someone mentions the bot; a streamed reply appears, is kept, and is remembered after a restart.

use serde_json::Value;
use sqlx::Row;
use system_tests::discord::text;
use system_tests::{House, Options};

use crate::settled;

/// A word that nobody could have written into a test beforehand.
fn drawn_word() -> String {
    format!("kotoba-{:016x}", rand::random::<u64>())
}

/// The texts of a model request's messages, as `role: text`.
fn prompt(request: &Value) -> Vec<String> {
    let body = if request["body"].is_object() { &request["body"] } else { request };
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .map(|message| {
            let content = match &message["content"] {
                Value::String(content) => content.clone(),
                parts => parts.to_string(),
            };
            format!("{}: {content}", text(&message["role"]))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_opens_a_thread_with_a_streamed_reply() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    let word = drawn_word();
    let reply = (0..40).map(|n| format!("{n} {word}")).collect::<Vec<_>>().join(" ");
    house
        .discord
        .script(serde_json::json!({
            "queue": [{"reply": reply, "chunk_chars": 20, "first_token_ms": 10, "total_ms": 4000}]
        }))
        .await?;
    let question = house.discord.mention(&house.channel, &house.person, "こんにちは").await?;
    let texts = house.discord.replies_until(&question, 1, &format!("39 {word}")).await?;
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].trim(), reply.trim());
    let shown = house.discord.replies(&question).await?;
    assert!(shown[0]["edits"].as_u64() >= Some(2), "the reply streams in: {}", shown[0]["edits"]);
    assert!(house.discord.replies(&house.channel).await?.is_empty(), "it went into the thread");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_turn_is_remembered_after_both_services_were_restarted() -> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    let (asked, answered) = (drawn_word(), drawn_word());
    let first = serde_json::json!({"queue": [{"reply": format!("合言葉は {answered} です。")}]});
    house.discord.script(first).await?;
    let thread = house.discord.mention(&house.channel, &house.person, &asked).await?;
    house.discord.replies_until(&thread, 1, &answered).await?;

    house.gateway.stop().await?;
    house.worker.stop().await?;
    house.gateway.start().await?;
    house.worker.start().await?;
    house.gateway.ready().await?;
    house.worker.ready().await?;

    let second = serde_json::json!({"queue": [{"reply": "覚えています。"}]});
    house.discord.script(second).await?;
    house.discord.say(&thread, &house.person, "合言葉は何でしたか").await?;
    house.discord.replies_until(&thread, 2, "覚えています。").await?;

    let requests = house.discord.model_requests().await?;
    assert_eq!(requests.len(), 2, "one request for each turn");
    let prompt = prompt(&requests[1]);
    let place = |part: &str| prompt.iter().position(|line| line.contains(part));
    let question = place(&asked).expect("the first question is in the prompt");
    let answer = place(&answered).expect("the first answer is in the prompt");
    let follow_up = place("合言葉は何でしたか").expect("the follow-up is in the prompt");
    assert!(question < answer && answer < follow_up, "in order: {prompt:#?}");
    assert!(prompt[question].contains("はる"), "with the speaker's name: {prompt:#?}");
    assert!(prompt[answer].starts_with("assistant:"), "{prompt:#?}");

    let identifies = house.discord.ledger("gateway_in").await?;
    let logins = identifies.iter().filter(|entry| entry.to_string().contains("\"op\":2")).count();
    assert_eq!(logins, 1, "a clean restart resumes the session instead of logging in again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn question_reply_and_usage_stand_in_the_database() -> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    let (asked, answered) = (drawn_word(), drawn_word());
    house.discord.script(serde_json::json!({"queue": [{"reply": answered}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, &asked).await?;
    house.discord.replies_until(&thread, 1, &answered).await?;
    settled(&house).await?;
    house.worker.stop().await?;

    let url = format!("sqlite://{}?mode=ro", house.database().display());
    let pool = sqlx::SqlitePool::connect(&url).await?;
    let count = |query: &'static str| {
        let pool = pool.clone();
        async move { Ok::<i64, sqlx::Error>(sqlx::query(query).fetch_one(&pool).await?.get(0)) }
    };
    let content: String = sqlx::query(
        "SELECT content FROM inbox WHERE content <> '' ORDER BY stream_sequence LIMIT 1",
    )
    .fetch_one(&pool)
    .await?
    .get(0);
    assert!(content.contains(&asked));
    assert_eq!(count("SELECT count(*) FROM turns WHERE state = 'done'").await?, 1);
    assert_eq!(count("SELECT count(*) FROM attempts").await?, 1, "one row for each request");
    let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(&pool).await?.get(0);
    assert_eq!(mode, "wal");
    Ok(())
}
