//! Malformed, oversized and unknown dispatches are survived: named, counted, and nothing else lost.

use serde_json::json;
use system_tests::{House, Options, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_after_broken_dispatches_is_answered() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    house.discord.script(json!({"rules": [{"match": "genki", "reply": "元気です"}]})).await?;
    let raw = |text: &str| json!({"raw": text});
    for frame in [
        "",
        "not json",
        "{\"t\":\"MESSAGE_CREATE\",\"s\":",
        "{\"t\":\"NEVER_HEARD_OF\",\"s\":900001,\"op\":0,\"d\":{\"a\":1}}",
        "{\"t\":null,\"s\":null,\"op\":99,\"d\":null}",
    ] {
        house.discord.post("gateway/send", raw(frame)).await?;
    }
    house
        .discord
        .post("gateway/dispatch", json!({"t": "MESSAGE_CREATE", "d": {"id": "nonsense"}}))
        .await?;
    let thread = house.discord.mention(&house.channel, &house.person, "genki").await?;
    house.discord.replies_until(&thread, 1, "元気です").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_dispatch_becomes_a_dead_letter_and_the_next_is_answered() -> anyhow::Result<()>
{
    let house = House::start(Options::default()).await?;
    house.discord.script(json!({"rules": [{"match": "genki", "reply": "元気です"}]})).await?;
    let huge = json!({
        "id": "999999999999999999", "channel_id": house.channel, "guild_id": house.guild,
        "author": {"id": house.person, "username": "haru", "discriminator": "0"},
        "content": format!("<@{}> {}", house.discord.bot_id, "x".repeat(9 * 1024 * 1024)),
        "mentions": [{"id": house.discord.bot_id, "username": "kotonoha", "bot": true}],
        "type": 0, "timestamp": "2026-01-01T00:00:00.000000+00:00"
    });
    house.discord.post("gateway/dispatch", json!({"t": "MESSAGE_CREATE", "d": huge})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "genki").await?;
    house.discord.replies_until(&thread, 1, "元気です").await?;
    let bus = house.bus().await?;
    until("the dead letter is stored", || async {
        let state = bus.stream_state("DEAD_LETTERS").await?;
        Ok((state.messages == 1).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_no_event_becomes_a_dead_letter() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    house.discord.script(json!({"rules": [{"match": "genki", "reply": "元気です"}]})).await?;
    let bus = house.bus().await?;
    for (number, payload) in [&b"\xff\xfe\x00"[..], b"{}", b"[1,2", b""].into_iter().enumerate() {
        bus.publish(&bus::Outgoing {
            subject: format!("discord.event.MESSAGE_CREATE.{}.{}", house.guild, house.channel),
            id: Some(format!("broken:{number}")),
            headers: vec![("Kotonoha-Reason", "mention".to_owned())],
            payload: payload.to_vec().into(),
        })
        .await?;
    }
    let thread = house.discord.mention(&house.channel, &house.person, "genki").await?;
    house.discord.replies_until(&thread, 1, "元気です").await?;
    until("four dead letters are stored", || async {
        Ok((bus.stream_state("DEAD_LETTERS").await?.messages == 4).then_some(()))
    })
    .await
}
