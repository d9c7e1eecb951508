//! Everything that is said on the bus for one question belongs to one trace, crashes included.

use std::time::Duration;

use bus::{ConsumerSpec, Start};
use contracts::id::TurnId;
use contracts::{stream, trace};
use serde_json::json;
use system_tests::{House, Options};

#[tokio::test(flavor = "multi_thread")]
async fn question_commands_and_results_share_a_trace_over_a_crash() -> anyhow::Result<()> {
    let mut house = House::start(Options::default()).await?;
    let slow = json!({"queue": [{"reply": "one two three four", "first_token_ms": 60_000}]});
    house.discord.script(slow).await?;
    let question = house.discord.mention(&house.channel, &house.person, "hello").await?;
    system_tests::until("the model is asked", async || {
        Ok((!house.discord.model_requests().await?.is_empty()).then_some(()))
    })
    .await?;
    house.worker.kill().await?;
    house.discord.script(json!({"queue": [{"reply": "the answer"}]})).await?;
    house.worker.start().await?;
    house.discord.replies_until(&question, 1, "the answer").await?;

    let wanted = trace_id(&trace::of_turn(TurnId(question.parse()?)));
    let bus = house.bus().await?;
    for (name, at_least) in [
        (stream::DISCORD_EVENTS.name, 1),
        (stream::DISCORD_COMMANDS.name, 2),
        (stream::DISCORD_RESULTS.name, 2),
    ] {
        let traces = traces_of(&bus, name, &question).await?;
        assert!(traces.len() >= at_least, "{name}: {traces:?}");
        assert!(traces.iter().all(|trace| *trace == wanted), "{name}: {traces:?}, not {wanted}");
    }
    Ok(())
}

/// The trace ids of all messages of a stream whose id or body speaks of the question.
async fn traces_of(
    bus: &bus::Bus,
    name: &'static str,
    question: &str,
) -> anyhow::Result<Vec<String>> {
    let spec = ConsumerSpec {
        stream: name,
        durable: "story",
        filters: Vec::new(),
        start: Start::All,
        fresh: true,
        ack_wait: Duration::from_secs(30),
        in_flight_max: 1_000,
        deliver_max: None,
    };
    let last = bus.stream_state(name).await?.last_sequence;
    let mut deliveries = bus.consume(&spec).await?;
    let mut traces = Vec::new();
    loop {
        let delivery = deliveries.next().await?;
        delivery.ack().await?;
        let id = delivery.header("Nats-Msg-Id").unwrap_or_default();
        if id.contains(question) {
            traces.push(delivery.header(trace::HEADER).map(trace_id).unwrap_or_default());
        }
        if delivery.stream_sequence >= last {
            return Ok(traces);
        }
    }
}

fn trace_id(traceparent: &str) -> String {
    traceparent.split('-').nth(1).unwrap_or_default().to_owned()
}
