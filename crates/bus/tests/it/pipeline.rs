//! A pipeline stores each message once and tells of each once, whatever happens on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use bus::server::NatsServer;
use bus::{Bus, Connection, Outgoing, Pipeline, PublishError, Settled};
use futures_util::FutureExt as _;

use crate::{declared, event};

const PATIENCE: Duration = Duration::from_secs(30);

async fn next<T>(pipeline: &mut Pipeline<T>) -> anyhow::Result<Settled<T>> {
    tokio::time::timeout(PATIENCE, pipeline.settled()).await.context("nothing settles")
}

/// Waits for everything on its way: tag, and whether the stream had it already.
async fn all(pipeline: &mut Pipeline<u64>) -> anyhow::Result<BTreeMap<u64, u64>> {
    let mut stored = BTreeMap::new();
    while !pipeline.is_empty() {
        let settled = next(pipeline).await?;
        let place = settled.outcome.map_err(|rejected| rejected.error)?;
        anyhow::ensure!(stored.insert(settled.tag, place.sequence).is_none(), "told twice");
    }
    Ok(stored)
}

/// Takes what settles next, where that is soon.
async fn step(pipeline: &mut Pipeline<u64>) -> anyhow::Result<()> {
    if let Ok(settled) = tokio::time::timeout(Duration::from_millis(20), pipeline.settled()).await {
        settled.outcome.map_err(|rejected| rejected.error)?;
    }
    Ok(())
}

fn record(number: u64, bytes: usize) -> Outgoing {
    Outgoing {
        subject: "conversation.usage.test".to_owned(),
        id: Some(number.to_string()),
        payload: vec![b'x'; bytes].into(),
        ..Outgoing::default()
    }
}

#[tokio::test]
async fn every_message_is_told_of_once_and_under_its_own_tag() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    // Two streams answer independently of each other, so that answers overtake one another.
    for tag in 0..200 {
        let message = if tag % 2 == 0 { event(tag, "hello") } else { record(tag, 10) };
        pipeline.begin(tag, message).await;
    }
    let stored = all(&mut pipeline).await?;
    assert_eq!(stored.len(), 200);
    // Each stream counts its own messages in the order in which they were begun.
    assert!(stored.iter().all(|(tag, sequence)| *sequence == tag / 2 + 1), "{stored:?}");
    assert!(pipeline.settled_now().is_none());
    Ok(())
}

#[tokio::test]
async fn a_repeated_id_is_told_to_be_a_duplicate() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    pipeline.begin('a', event(7, "hello")).await;
    pipeline.begin('b', event(7, "hello")).await;
    let mut found = [next(&mut pipeline).await?, next(&mut pipeline).await?];
    found.sort_by_key(|settled| settled.tag);
    let [first, again] = found.map(|settled| settled.outcome.unwrap());
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    Ok(())
}

#[tokio::test]
async fn a_killed_server_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    // With every answer that is heard the server may be killed after it stored a message and
    // before its answer was heard.
    for round in 0..5 {
        for tag in round * 100..(round + 1) * 100 {
            pipeline.begin(tag, event(tag, "hello")).await;
        }
        let first = next(&mut pipeline).await?;
        assert!(first.outcome.is_ok());
        server.kill().await?;
        server.restart().await?;
        let rest = all(&mut pipeline).await?;
        assert_eq!(rest.len(), 99, "round {round}");
    }
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 500);
    Ok(())
}

#[tokio::test]
async fn what_is_begun_while_the_server_is_away_is_stored_once_it_is_back() -> anyhow::Result<()> {
    let (mut server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    server.kill().await?;
    let mut connection = bus.connection();
    connection.wait_for(|state| matches!(state, Connection::Disconnected { .. })).await?;
    for tag in 0..50 {
        pipeline.begin(tag, event(tag, "hello")).await;
    }
    assert!(pipeline.settled().now_or_never().is_none());
    assert_eq!(pipeline.len(), 50);
    server.restart().await?;
    assert_eq!(all(&mut pipeline).await?.len(), 50);
    assert_eq!(bus.stream_state("DISCORD_EVENTS").await?.messages, 50);
    Ok(())
}

#[tokio::test]
async fn a_message_waits_for_a_stream_that_does_not_exist_yet() -> anyhow::Result<()> {
    let server = NatsServer::start().await?;
    let bus = Bus::connect(server.config("test")).await?;
    bus.wait_connected().await;
    let mut pipeline = bus.pipeline().await?;
    pipeline.begin(1, event(7, "early")).await;
    let stalled = async {
        while bus.stalled().is_none() {
            assert!(
                tokio::time::timeout(Duration::from_millis(5), pipeline.settled()).await.is_err()
            );
        }
    };
    tokio::time::timeout(PATIENCE, stalled).await.context("no stall is told of")?;
    bus.declare().await?;
    assert_eq!(all(&mut pipeline).await?.len(), 1);
    assert_eq!(bus.stalled(), None);
    Ok(())
}

#[tokio::test]
async fn what_no_stream_takes_comes_back_and_the_rest_is_stored() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    let mut larger_than_the_server_takes = event(1, "large");
    larger_than_the_server_takes.payload = vec![b'x'; 9 * 1024 * 1024].into();
    pipeline.begin(1, larger_than_the_server_takes.clone()).await;
    pipeline.begin(2, larger_than_the_server_takes).await;
    pipeline.begin(3, record(3, 100 * 1024)).await;
    pipeline.begin(4, event(4, "small")).await;
    let mut rejected = Vec::new();
    while !pipeline.is_empty() {
        let settled = next(&mut pipeline).await?;
        match settled.outcome {
            Ok(_) => assert_eq!(settled.tag, 4),
            Err(refusal) => {
                assert!(matches!(refusal.error, PublishError::TooLarge { .. }), "{refusal:?}");
                assert!(refusal.message.payload.len() >= 100 * 1024);
                rejected.push(settled.tag);
            }
        }
    }
    rejected.sort_unstable();
    assert_eq!(rejected, [1, 2, 3]);
    assert_eq!(bus.stalled(), None, "a message that is itself at fault says nothing of the bus");
    Ok(())
}

#[tokio::test]
async fn a_full_stream_holds_its_messages_until_there_is_room() -> anyhow::Result<()> {
    let (server, bus) = declared().await?;
    let mut pipeline = bus.pipeline().await?;
    // USAGE holds 128 MiB at most.
    let full = 128 * 1024 / 63 + 2;
    for tag in 0..full {
        pipeline.begin(tag, record(tag, 63 * 1024)).await;
        if pipeline.len() > 64 {
            step(&mut pipeline).await?;
        }
    }
    let stall = async {
        while bus.stalled().is_none() {
            step(&mut pipeline).await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, stall).await.context("the stream never fills up")??;
    assert!(!pipeline.is_empty());
    let client = async_nats::connect(server.url()).await?;
    async_nats::jetstream::new(client).get_stream("USAGE").await?.purge().await?;
    all(&mut pipeline).await?;
    assert_eq!(bus.stalled(), None);
    Ok(())
}

#[tokio::test]
async fn a_message_keeps_the_trace_of_its_cause_and_else_begins_its_own() -> anyhow::Result<()> {
    let (server, bus) = declared().await?;
    let derived = contracts::trace::of_message(contracts::id::MessageId(7));
    let mut with_a_cause = event(7, "hello");
    with_a_cause.headers.push((contracts::trace::HEADER, derived.clone()));
    let mut pipeline = bus.pipeline().await?;
    for (tag, message) in
        [with_a_cause, event(8, "hello"), event(9, "hello")].into_iter().enumerate()
    {
        pipeline.begin(tag as u64, message).await;
    }
    all(&mut pipeline).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let stream = jetstream.get_stream("DISCORD_EVENTS").await?;
    let mut traces = Vec::new();
    for sequence in 1..=3 {
        let message = stream.get_raw_message(sequence).await?;
        let parents: Vec<_> = message.headers.get_all("traceparent").collect();
        assert_eq!(parents.len(), 1);
        let parent = parents[0].to_string();
        let parts: Vec<&str> = parent.split('-').collect();
        let is_well_formed =
            matches!(parts[..], ["00", trace, span, "01"] if (trace.len(), span.len()) == (32, 16));
        assert!(is_well_formed, "{parent}");
        assert!(message.headers.get("Kotonoha-Schema").is_some());
        assert!(message.headers.get("Nats-Msg-Id").is_some());
        traces.push(parent);
    }
    assert_eq!(traces[0], derived);
    assert_ne!(traces[1], traces[2]);
    Ok(())
}
