//! The bus against a real nats-server.

mod buckets;
mod consuming;
mod pipeline;
mod publishing;
mod secure;

use std::time::Duration;

use bus::server::NatsServer;
use bus::{Bus, ConsumerSpec, Outgoing, Start};

/// A server with all streams declared, and a connection to it.
async fn declared() -> anyhow::Result<(NatsServer, Bus)> {
    let server = NatsServer::start().await?;
    let bus = Bus::connect(server.config("test")).await?;
    bus.wait_connected().await;
    bus.declare().await?;
    Ok((server, bus))
}

fn event(channel: u64, text: &str) -> Outgoing {
    Outgoing {
        subject: format!("discord.event.MESSAGE_CREATE.1.{channel}"),
        id: Some(format!("create:{channel}-{text}")),
        headers: vec![("Kotonoha-Schema", "1".to_owned())],
        payload: text.to_owned().into(),
    }
}

fn events(start: Start, fresh: bool) -> ConsumerSpec {
    ConsumerSpec {
        stream: "DISCORD_EVENTS",
        durable: "reader",
        filters: Vec::new(),
        start,
        fresh,
        ack_wait: Duration::from_secs(2),
        in_flight_max: 64,
        deliver_max: None,
    }
}
