//! The worker's health tells, to the letter, whether database and Discord are connected.

use std::time::Duration;

use serde_json::json;
use system_tests::{House, Options};

/// Within this, the worker must have noticed that the gateway went or came back.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_a_paused_gateway() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    let healthy = |status: u16, body: &serde_json::Value| {
        status == 200
            && body["status"] == "healthy"
            && body["database"] == "connected"
            && body["discord"] == "connected"
    };
    house.worker.health(NOTICED_WITHIN, "healthy at first", healthy).await?;

    house.gateway.pause()?;
    house
        .worker
        .health(NOTICED_WITHIN, "disconnected", |status, body| {
            status == 503 && body["discord"] == "disconnected" && body["database"] == "connected"
        })
        .await?;
    let (live, body) = house.worker.get("/health/live").await?;
    assert_eq!((live, body), (200, json!({"status": "ok"})), "liveness is its own");

    house.gateway.go_on()?;
    house.worker.health(NOTICED_WITHIN, "healthy again", healthy).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_begins_with_the_three_fields_of_the_seed() -> anyhow::Result<()> {
    let house = House::start(Options::default()).await?;
    house
        .worker
        .health(NOTICED_WITHIN, "healthy", |status, body| {
            status == 200 && body["discord"] == "connected"
        })
        .await?;
    let raw = house.worker.get_text("/health").await?;
    let wanted = r#"{"status":"healthy","database":"connected","discord":"connected""#;
    let packed: String = raw.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(packed.starts_with(wanted), "{raw}");
    Ok(())
}
