//! Deliveries come in order, until they are acknowledged, across a killed server.

use std::time::Duration;

use bus::{BusError, Start};

use crate::{declared, event, events};

async fn texts(deliveries: &mut bus::Deliveries, count: usize) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let batch =
            tokio::time::timeout(Duration::from_secs(30), deliveries.batch(count)).await??;
        for delivery in batch {
            delivery.ack_confirmed().await?;
            texts.push(String::from_utf8(delivery.payload.to_vec())?);
        }
    }
    Ok(texts)
}

#[tokio::test]
async fn deliveries_carry_what_was_published() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    bus.publish(&event(7, "hello")).await?;
    let mut deliveries = bus.consume(&events(Start::All, false)).await?;
    let delivery = deliveries.next().await?;
    assert_eq!(delivery.subject, "discord.event.MESSAGE_CREATE.1.7");
    assert_eq!(&delivery.payload[..], b"hello");
    assert_eq!(delivery.header("Kotonoha-Schema"), Some("1"));
    assert_eq!((delivery.stream_sequence, delivery.delivered), (1, 1));
    assert!(delivery.published_unix_ms > 1_700_000_000_000);
    Ok(())
}

#[tokio::test]
async fn a_fresh_consumer_starts_where_it_is_told() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    for number in 1..=5 {
        bus.publish(&event(7, &number.to_string())).await?;
    }
    let mut first = bus.consume(&events(Start::All, false)).await?;
    assert_eq!(texts(&mut first, 5).await?, ["1", "2", "3", "4", "5"]);
    let mut again = bus.consume(&events(Start::Sequence(4), true)).await?;
    assert_eq!(texts(&mut again, 2).await?, ["4", "5"]);
    Ok(())
}

#[tokio::test]
async fn an_unacknowledged_delivery_comes_again() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    bus.publish(&event(7, "hello")).await?;
    let mut deliveries = bus.consume(&events(Start::All, false)).await?;
    deliveries.next().await?.nak(Some(Duration::from_millis(10))).await?;
    let again = deliveries.next().await?;
    assert_eq!(again.delivered, 2);
    again.ack_confirmed().await?;
    Ok(())
}

#[tokio::test]
async fn a_consumer_goes_on_after_the_server_was_killed() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    let mut deliveries = bus.consume(&events(Start::All, false)).await?;
    bus.publish(&event(7, "before")).await?;
    assert_eq!(texts(&mut deliveries, 1).await?, ["before"]);
    server.kill().await?;
    server.restart().await?;
    bus.wait_connected().await;
    let stop = tokio_util::sync::CancellationToken::new();
    bus.publish_until_stored(&event(7, "after"), &stop).await?;
    let mut seen = texts(&mut deliveries, 1).await?;
    // An acknowledgement is not durable at once, so the first one may come again.
    if seen == ["before"] {
        seen = texts(&mut deliveries, 1).await?;
    }
    assert_eq!(seen, ["after"]);
    Ok(())
}

#[tokio::test]
async fn a_deleted_consumer_is_reported_lost() -> anyhow::Result<()> {
    let (server, bus) = declared().await?;
    let mut deliveries = bus.consume(&events(Start::All, false)).await?;
    let other = async_nats::connect(server.url()).await?;
    async_nats::jetstream::new(other)
        .delete_consumer_from_stream("reader", "DISCORD_EVENTS")
        .await?;
    let outcome = tokio::time::timeout(Duration::from_secs(40), deliveries.next()).await?;
    assert!(matches!(outcome, Err(BusError::ConsumerLost { .. })), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn an_erased_message_is_gone_and_erasing_it_again_is_no_error() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let stored = bus.publish(&event(7, "secret")).await?;
    assert!(bus.erase("DISCORD_EVENTS", stored.sequence).await?);
    assert!(!bus.erase("DISCORD_EVENTS", stored.sequence).await?);
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 0);
    Ok(())
}

#[tokio::test]
async fn core_messages_reach_whoever_listens() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let mut subscription = bus.subscribe("discord.draft.*").await?;
    bus.flush().await?;
    bus.publish_core("discord.draft.9".to_owned(), b"text".to_vec()).await?;
    let message = subscription.next().await.expect("the connection is open");
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("discord.draft.9", &b"text"[..]));
    Ok(())
}
