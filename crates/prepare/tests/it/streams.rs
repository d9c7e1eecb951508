//! Streams and buckets, made by the admin and by nobody else.

use std::time::Duration;

use bus::server::NatsServer;
use bus::{Bus, Presence};
use contracts::access::{ADMIN, CONVERSATION_WORKER, GATEWAY};
use prepare::streams::{self, StreamsError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_admin_makes_all_streams_and_making_them_again_changes_nothing() -> anyhow::Result<()> {
    let server = NatsServer::start_with(&crate::users(), None).await?;
    for _time in 0..2 {
        streams::prepare(server.config_of(ADMIN.user, crate::PASSWORD), PATIENCE).await?;
    }
    for role in [&GATEWAY, &CONVERSATION_WORKER] {
        let bus = Bus::connect(server.config_of(role.user, crate::PASSWORD)).await?;
        bus.wait_connected().await;
        assert_eq!(bus.missing(role).await?, [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_service_waits_for_its_streams_and_goes_on_when_they_come() -> anyhow::Result<()> {
    let mut server = NatsServer::start_with(&crate::users(), None).await?;
    let bus = Bus::connect(server.config_of(GATEWAY.user, crate::PASSWORD)).await?;
    let stop = CancellationToken::new();
    let _until = stop.clone().drop_guard();
    let grounds = bus.grounds(&GATEWAY, stop);
    let mut all: Vec<String> = GATEWAY.streams().into_iter().map(str::to_owned).collect();
    all.extend(GATEWAY.buckets.iter().map(|name| (*name).to_owned()));
    wait_for(&grounds, &Presence::Missing(all.clone())).await?;
    streams::prepare(server.config_of(ADMIN.user, crate::PASSWORD), PATIENCE).await?;
    tokio::time::timeout(PATIENCE, grounds.wait_whole()).await?;
    // The server comes back with nothing: that is seen after the reconnect.
    server.kill().await?;
    server.forget_streams()?;
    server.restart().await?;
    wait_for(&grounds, &Presence::Missing(all)).await?;
    streams::prepare(server.config_of(ADMIN.user, crate::PASSWORD), PATIENCE).await?;
    tokio::time::timeout(PATIENCE, grounds.wait_whole()).await?;
    Ok(())
}

async fn wait_for(grounds: &bus::Grounds, wanted: &Presence) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while grounds.presence() != *wanted {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "{:?}", grounds.presence());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_has_no_right_to_make_streams() -> anyhow::Result<()> {
    let server = NatsServer::start_with(&crate::users(), None).await?;
    let config = server.config_of(GATEWAY.user, crate::PASSWORD);
    let outcome = streams::prepare(config, Duration::from_secs(7)).await;
    assert!(matches!(outcome, Err(StreamsError::NotReady { .. })), "{outcome:?}");
    let admin = Bus::connect(server.config_of(ADMIN.user, crate::PASSWORD)).await?;
    admin.wait_connected().await;
    assert_eq!(admin.missing(&GATEWAY).await?.len(), 7);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_the_password_is_named() -> anyhow::Result<()> {
    let server = NatsServer::start_with(&crate::users(), None).await?;
    let outcome = streams::prepare(server.config_of(ADMIN.user, "wrong"), Duration::from_secs(2));
    let text = outcome.await.unwrap_err().to_string();
    assert!(text.contains("NATS_PASSWORD"), "{text}");
    let mut away = server.config_of(ADMIN.user, crate::PASSWORD);
    away.url = "nats://127.0.0.1:1".to_owned();
    let text = streams::prepare(away, Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(text.contains("within 2 s"), "{text}");
    Ok(())
}

#[tokio::test]
async fn with_certificate_and_key_the_server_speaks_tls_to_those_who_know_its_authority()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate()?;
    let name = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(name)?.signed_by(&own, &issuer)?;
    std::fs::write(folder.path().join(prepare::users::CERTIFICATE), certificate.pem())?;
    std::fs::write(folder.path().join(prepare::users::KEY), own.serialize_pem())?;
    let tls = prepare::users::encryption(&folder.path().display().to_string());
    let server = NatsServer::start_with(&(crate::users() + &tls), None).await?;
    let config = server.config_of(ADMIN.user, crate::PASSWORD);
    let stranger = streams::prepare(config.clone(), Duration::from_secs(2)).await;
    assert!(stranger.is_err(), "without the authority");
    streams::prepare(bus::BusConfig { ca_file: Some(ca_file), ..config }, PATIENCE).await?;
    Ok(())
}
