//! Bad settings: all faults at once with their remedy, exit 64 at a terminal, no restart loop.

use std::time::Duration;

use system_tests::{House, Options};

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_named_at_once_and_the_exit_code_is_64() -> anyhow::Result<()> {
    let mut house = House::build(Options::default()).await?;
    house.gateway.set("DISCORD_TOKEN", "");
    house.gateway.set("DISCORD_ALLOWED_GUILDS", "not-a-number");
    house.gateway.set("SHUTDOWN_GRACE_SECONDS", "soon");
    let (status, said) = house.gateway.run_to_end().await?;
    assert_eq!(status.code(), Some(64), "{said}");
    for key in ["DISCORD_TOKEN", "DISCORD_ALLOWED_GUILDS", "SHUTDOWN_GRACE_SECONDS"] {
        assert!(said.contains(key), "{key} is not named in: {said}");
    }
    house.worker.set("MODEL_BASE_URL", "nowhere");
    house.worker.set("TURNS_PER_USER_PER_DAY", "-1");
    let (status, said) = house.worker.run_to_end().await?;
    assert_eq!(status.code(), Some(64), "{said}");
    for key in ["MODEL_BASE_URL", "TURNS_PER_USER_PER_DAY"] {
        assert!(said.contains(key), "{key} is not named in: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_and_the_exit_code_is_64() -> anyhow::Result<()> {
    let mut house = House::build(Options::default()).await?;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    house.worker.set("HEALTH_LISTEN", address.clone());
    let (status, said) = house.worker.run_to_end().await?;
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains(&address), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_container_a_fault_keeps_the_service_up_and_not_ready() -> anyhow::Result<()> {
    let mut house = House::build(Options::default()).await?;
    house.gateway.set("KOTONOHA_ON_FAULT", "stay");
    house.gateway.set("DISCORD_TOKEN", "");
    house.gateway.start().await?;
    // At first it may only say that it is starting.
    house
        .gateway
        .health(Duration::from_secs(20), "503 that names the fault", |status, body| {
            status == 503 && body.to_string().contains("DISCORD_TOKEN")
        })
        .await?;
    assert_eq!(house.gateway.get("/health/live").await?.0, 200);
    assert_eq!(house.gateway.get("/health/ready").await?.0, 503);
    let status = house.gateway.stop().await?;
    assert!(status.success(), "it stops when asked: {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_keeps_the_gateway_up_with_the_remedy_and_few_logins() -> anyhow::Result<()> {
    let mut house = House::build(Options::default()).await?;
    house.gateway.set("KOTONOHA_ON_FAULT", "stay");
    house
        .gateway
        .set("DISCORD_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.wrong0.AAAAAAAAAAAAAAAAAAAAAAAAAAA");
    house.gateway.start().await?;
    let body = house
        .gateway
        .health(Duration::from_secs(30), "the token is named", |status, body| {
            status == 503 && body.to_string().contains("DISCORD_TOKEN")
        })
        .await?;
    let log = house.gateway.log()?;
    assert!(!log.contains("AAAAAAAAAAAAAAAAAAAAAAAAAAA"), "the token is in the log");
    assert!(!body.to_string().contains("AAAAAAAAAAAAAAAAAAAAAAAAAAA"), "the token is in health");
    let opened = house.discord.ledger("gateway_in").await?.len();
    assert!(opened <= 5, "{opened} frames were sent with a token that cannot work");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_at_a_terminal_is_exit_64_with_the_remedy() -> anyhow::Result<()> {
    let mut house = House::build(Options::default()).await?;
    house
        .gateway
        .set("DISCORD_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.wrong0.AAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let (status, said) = house.gateway.run_to_end().await?;
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains("Reset Token"), "the remedy is told: {said}");
    Ok(())
}
