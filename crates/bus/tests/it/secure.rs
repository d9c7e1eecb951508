//! TLS with a certificate authority of our own: the right one works, a wrong one is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::server::NatsServer;
use bus::{Bus, BusConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const PATIENCE: Duration = Duration::from_secs(20);

/// Makes an authority; with it a certificate for `name`. Gives the authority's file.
fn authority(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let file = folder.join(format!("ca-of-{name}.pem"));
    std::fs::write(&file, params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&own, &issuer)?;
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
    std::fs::write(folder.join(format!("{name}.key")), own.serialize_pem())?;
    Ok(file)
}

/// A server that speaks TLS only, with the certificate for `name`.
async fn server(folder: &Path, name: &str) -> anyhow::Result<NatsServer> {
    let path = |end: &str| folder.join(format!("{name}.{end}")).display().to_string();
    let tls = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", timeout: 5 }}",
        path("pem"),
        path("key")
    );
    Ok(NatsServer::start_with(&tls, None).await?)
}

fn config(server: &NatsServer, ca_file: Option<PathBuf>) -> BusConfig {
    let url = server.url().replace("nats://", "tls://");
    BusConfig { url, ca_file, ..server.config("test") }
}

async fn trouble(bus: &Bus) -> anyhow::Result<String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(why) = bus.trouble() {
            return Ok(why);
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "no trouble was told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_right_authority_opens_the_door() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = authority(folder.path(), "127.0.0.1")?;
    let server = server(folder.path(), "127.0.0.1").await?;
    let bus = Bus::connect(config(&server, Some(ca))).await?;
    tokio::time::timeout(PATIENCE, bus.wait_connected()).await?;
    bus.declare().await?;
    bus.publish(&crate::event(7, "hello")).await?;
    assert_eq!(bus.trouble(), None);
    Ok(())
}

#[tokio::test]
async fn a_wrong_authority_is_refused_and_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    authority(folder.path(), "127.0.0.1")?;
    let stranger = authority(folder.path(), "stranger")?;
    let server = server(folder.path(), "127.0.0.1").await?;
    let bus = Bus::connect(config(&server, Some(stranger))).await?;
    let why = trouble(&bus).await?;
    assert!(why.contains("NATS_CA_FILE"), "{why}");
    assert_ne!(*bus.connection().borrow(), bus::Connection::Connected);
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = authority(folder.path(), "elsewhere")?;
    let server = server(folder.path(), "elsewhere").await?;
    let bus = Bus::connect(config(&server, Some(ca))).await?;
    let why = trouble(&bus).await?;
    assert!(why.contains("NATS_URL"), "{why}");
    Ok(())
}

#[tokio::test]
async fn an_authority_s_file_without_a_certificate_is_a_settings_fault() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "not a certificate")?;
    let config = BusConfig {
        url: "tls://127.0.0.1:1".to_owned(),
        service: "test".to_owned(),
        user: None,
        password: None,
        ca_file: Some(file),
    };
    let error = Bus::connect(config).await.expect_err("a file without a certificate");
    assert!(error.to_string().contains("no certificate"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_is_told_as_trouble_until_it_comes() -> anyhow::Result<()> {
    let mut server = NatsServer::start().await?;
    server.kill().await?;
    let bus = Bus::connect(server.config("test")).await?;
    let why = trouble(&bus).await?;
    assert!(why.to_lowercase().contains("refused"), "{why}");
    server.restart().await?;
    tokio::time::timeout(PATIENCE, bus.wait_connected()).await?;
    assert_eq!(bus.trouble(), None);
    Ok(())
}
