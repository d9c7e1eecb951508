//! The bot is silent where the owner did not allow it, and keeps no words from there.

use serde_json::json;
use system_tests::{House, Options, until};

/// Everything that the broker holds of Discord's events, as text.
async fn stored(house: &House) -> anyhow::Result<String> {
    let bus = house.bus().await?;
    let state = bus.stream_state("DISCORD_EVENTS").await?;
    if state.messages == 0 {
        return Ok(String::new());
    }
    let mut deliveries = bus
        .consume(&bus::ConsumerSpec {
            stream: "DISCORD_EVENTS",
            durable: "story",
            filters: Vec::new(),
            start: bus::Start::All,
            fresh: true,
            ack_wait: std::time::Duration::from_secs(30),
            in_flight_max: 1000,
            deliver_max: None,
        })
        .await?;
    let mut text = String::new();
    loop {
        let delivery = deliveries.next().await?;
        text.push_str(&String::from_utf8_lossy(&delivery.payload));
        delivery.ack().await?;
        if delivery.stream_sequence >= state.last_sequence {
            return Ok(text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_words_meant_for_the_bot_are_kept() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    let stranger = house.discord.person("stranger").await?;
    let (_foreign, foreign_channel) = house.discord.guild("elsewhere", &[&stranger]).await?;
    house.discord.script(json!({"rules": [{"match": "", "reply": "はい"}]})).await?;
    house.discord.mention(&foreign_channel, &stranger, "himitsu-foreign").await?;
    let direct = house.discord.post("dms", json!({"user_id": stranger})).await?;
    let direct = system_tests::discord::text(&direct["id"]);
    house.discord.say(&direct, &stranger, "himitsu-direct").await?;
    house.discord.say(&house.channel, &house.person, "himitsu-smalltalk").await?;
    // What comes after them and is answered shows that they were passed over, not late.
    let thread = house.discord.mention(&house.channel, &house.person, "koe").await?;
    house.discord.replies_until(&thread, 1, "はい").await?;
    assert!(house.discord.replies(&foreign_channel).await?.is_empty());
    assert!(house.discord.replies(&direct).await?.is_empty());
    let kept = stored(&house).await?;
    assert!(kept.contains("koe"), "the mention is kept");
    assert!(!kept.contains("himitsu"), "nothing else is");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_answered_in_direct_messages() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    house.discord.script(json!({"rules": [{"match": "hitori", "reply": "聞いています"}]})).await?;
    let direct = house.discord.post("dms", json!({"user_id": house.person})).await?;
    let direct = system_tests::discord::text(&direct["id"]);
    house.discord.say(&direct, &house.person, "hitori").await?;
    house.discord.replies_until(&direct, 1, "聞いています").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_message_leaves_the_broker_and_every_later_prompt() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    house.discord.script(json!({"rules": [{"match": "", "reply": "はい"}]})).await?;
    let thread = house.discord.mention(&house.channel, &house.person, "hajime").await?;
    house.discord.replies_until(&thread, 1, "はい").await?;
    let secret = house.discord.say(&thread, &house.person, "himitsu-deleted").await?;
    house.discord.replies_until(&thread, 2, "はい").await?;
    house.discord.delete_message(&thread, &secret, &house.person).await?;
    until("the event is erased", || async {
        Ok((!stored(&house).await?.contains("himitsu-deleted")).then_some(()))
    })
    .await?;
    house.discord.say(&thread, &house.person, "tsugi").await?;
    house.discord.replies_until(&thread, 3, "はい").await?;
    let last = house.discord.model_requests().await?.pop().expect("there were requests");
    assert!(!last.to_string().contains("himitsu-deleted"), "{last}");
    assert!(last.to_string().contains("tsugi"));
    Ok(())
}
