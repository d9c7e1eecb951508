//! What is published is stored once, through outages and refusals.

use std::time::Duration;

use bus::{Bus, Connection, Outgoing, PublishError};
use tokio_util::sync::CancellationToken;

use crate::{declared, event};

#[tokio::test]
async fn a_repeated_id_is_stored_once() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let first = bus.publish(&event(7, "hello")).await?;
    let again = bus.publish(&event(7, "hello")).await?;
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 1);
    Ok(())
}

#[tokio::test]
async fn a_repeated_id_is_known_after_the_server_was_killed() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    bus.publish(&event(7, "hello")).await?;
    server.kill().await?;
    server.restart().await?;
    let stop = CancellationToken::new();
    let again = bus.publish_until_stored(&event(7, "hello"), &stop).await?;
    assert!(again.duplicate, "the same id must not be stored twice");
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_published_while_the_server_is_away_arrives_once_it_is_back() -> anyhow::Result<()>
{
    let (mut server, bus) = declared().await?;
    server.kill().await?;
    let mut connection = bus.connection();
    connection.wait_for(|state| matches!(state, Connection::Disconnected { .. })).await?;
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move {
            let stop = CancellationToken::new();
            for number in 0..20 {
                bus.publish_until_stored(&event(7, &number.to_string()), &stop).await?;
            }
            Ok::<(), PublishError>(())
        }
    });
    tokio::task::yield_now().await;
    server.restart().await?;
    publisher.await??;
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 20);
    Ok(())
}

#[tokio::test]
async fn a_message_larger_than_the_server_takes_is_refused_for_good() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let mut message = event(7, "large");
    message.payload = vec![b'x'; 9 * 1024 * 1024].into();
    let error = bus.publish(&message).await.expect_err("9 MiB do not fit");
    assert!(matches!(error, PublishError::TooLarge { .. }), "{error}");
    assert!(!error.is_transient());
    Ok(())
}

#[tokio::test]
async fn a_message_larger_than_its_stream_takes_is_refused_for_good() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let message = Outgoing {
        subject: "conversation.usage.test".to_owned(),
        payload: vec![b'x'; 100 * 1024].into(),
        ..Outgoing::default()
    };
    let error = bus.publish(&message).await.expect_err("usage records are at most 64 KiB");
    assert!(matches!(error, PublishError::TooLarge { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_is_told_to_stop_stops() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    server.kill().await?;
    let stop = CancellationToken::new();
    stop.cancel();
    let error = bus.publish_until_stored(&event(7, "late"), &stop).await.expect_err("stopped");
    assert_eq!(error, PublishError::Cancelled);
    Ok(())
}

#[tokio::test]
async fn a_full_stream_refuses_new_messages_and_keeps_the_old() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    // USAGE holds 128 MiB at most; 64 KiB records fill it in about two thousand steps.
    let record = |number: u32| Outgoing {
        subject: "conversation.usage.test".to_owned(),
        id: Some(number.to_string()),
        payload: vec![b'x'; 63 * 1024].into(),
        ..Outgoing::default()
    };
    let mut stored = 0;
    let refusal = loop {
        match bus.publish(&record(stored)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 4000, "the stream's limit was never reached");
    };
    assert!(matches!(refusal, PublishError::Full(_)), "{refusal}");
    assert!(refusal.is_transient());
    assert!(bus.stalled().is_some(), "it can be told that nothing is stored any more");
    bus.publish(&event(7, "another stream")).await?;
    assert_eq!(bus.stalled(), None);
    let state = bus.stream_state("USAGE").await?;
    assert_eq!((state.first_sequence, state.messages), (1, u64::from(stored)));
    Ok(())
}

#[tokio::test]
async fn declaring_again_changes_nothing() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    bus.publish(&event(7, "hello")).await?;
    let before = bus.stream_state("DISCORD_EVENTS").await?;
    bus.declare().await?;
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?, before);
    Ok(())
}

#[tokio::test]
async fn half_of_a_login_is_a_settings_fault() {
    let config = bus::BusConfig {
        url: "nats://127.0.0.1:1".to_owned(),
        service: "test".to_owned(),
        user: Some("someone".to_owned()),
        password: None,
        ca_file: None,
    };
    let error = Bus::connect(config).await.expect_err("a user without a password");
    assert!(error.to_string().contains("NATS_PASSWORD"), "{error}");
}

#[tokio::test]
async fn streams_and_buckets_of_an_older_build_are_brought_up_to_date() -> anyhow::Result<()> {
    let (server, bus) = declared().await?;
    let stored = bus.publish(&event(7, "hello")).await?;
    let settings = bus.bucket("settings").await?;
    settings.put("thread.1", b"on".to_vec()).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let mut as_declared = Vec::new();
    for name in ["DISCORD_EVENTS", "KV_settings", "KV_turns"] {
        let config = jetstream.get_stream(name).await?.cached_info().config.clone();
        let older = async_nats::jetstream::stream::Config {
            description: Some("of an older build".to_owned()),
            max_bytes: 1024 * 1024,
            max_age: Duration::from_hours(1),
            duplicate_window: Duration::from_mins(1),
            ..config.clone()
        };
        jetstream.update_stream(older).await?;
        as_declared.push(config);
    }
    bus.declare().await?;
    for config in as_declared {
        let is = jetstream.get_stream(&config.name).await?.cached_info().config.clone();
        assert_eq!(
            (is.max_bytes, is.max_age, is.description),
            (config.max_bytes, config.max_age, config.description),
            "{}",
            config.name
        );
    }
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.last_sequence, stored.sequence);
    assert!(settings.get("thread.1").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_bucket_in_memory_is_gone_with_the_server() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    bus.bucket("leases").await?;
    server.kill().await?;
    server.restart().await?;
    let fresh = Bus::connect(server.config("test")).await?;
    fresh.wait_connected().await;
    fresh.bucket("settings").await?;
    // Whoever takes leases must be able to make their bucket again; until then nobody needs it.
    assert!(fresh.bucket("leases").await.is_err());
    Ok(())
}
