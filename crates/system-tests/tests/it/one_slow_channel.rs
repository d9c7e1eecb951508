//! One slow model call never delays another channel; within a channel answers keep their order.

use serde_json::json;
use system_tests::discord::text;
use system_tests::{House, Options};

#[tokio::test(flavor = "multi_thread")]
async fn another_channel_is_answered_while_one_waits() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    let other = house.discord.channel(&house.guild, "other").await?;
    house
        .discord
        .script(json!({"rules": [
            {"match": "slow", "reply": "slow answer", "first_token_ms": 600_000},
            {"match": "quick", "reply": "quick answer"}
        ]}))
        .await?;
    let slow = house.discord.mention(&house.channel, &house.person, "slow").await?;
    let quick = house.discord.mention(&other, &house.person, "quick").await?;
    house.discord.replies_until(&quick, 1, "quick answer").await?;
    assert!(house.discord.replies(&slow).await?.is_empty(), "its model is still thinking");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_a_thread_keep_the_order_of_the_questions() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    let answers: Vec<_> =
        (0..4).map(|n| json!({"match": format!("q{n}"), "reply": format!("a{n}")})).collect();
    house.discord.script(json!({"rules": answers})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "q0").await?;
    house.discord.replies_until(&thread, 1, "a0").await?;
    for n in 1..4 {
        house.discord.say(&thread, &house.person, &format!("q{n}")).await?;
        let shown = house.discord.replies_until(&thread, n + 1, &format!("a{n}")).await?;
        assert_eq!(shown.len(), n + 1);
    }
    let order: Vec<String> =
        house.discord.replies(&thread).await?.iter().map(|r| text(&r["content"])).collect();
    assert_eq!(order, ["a0", "a1", "a2", "a3"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_split_and_whole() -> anyhow::Result<()> {
    let room = [("MODEL_CONTEXT_TOKENS", "32768"), ("MODEL_MAX_OUTPUT_TOKENS", "16384")];
    let worker = room.map(|(key, value)| (key, value.to_owned())).to_vec();
    let house = House::start(Options { worker, ..Options::default() }).await?;
    let lines: Vec<String> = (0..300).map(|n| format!("{n}番目の、少し長めの一行です。")).collect();
    let whole = lines.join("\n");
    house.discord.script(json!({"queue": [{"reply": whole, "chunk_chars": 200}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "長い話").await?;
    house.discord.replies_until(&thread, 2, "299番目").await?;
    let parts: Vec<String> =
        house.discord.replies(&thread).await?.iter().map(|r| text(&r["content"])).collect();
    assert!(parts.iter().all(|part| part.chars().count() <= 2000 && !part.trim().is_empty()));
    let shown: Vec<String> =
        parts.iter().flat_map(|part| part.lines().map(str::to_owned)).collect();
    assert_eq!(shown, lines);
    Ok(())
}
