//! The baseline of the gateway's costs: a program that receives frames and parses each fully.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use futures_util::future;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};

use crate::feeder::{Feeder, Login};
use crate::figures::as_f64;
use crate::kernel::cpu_seconds;

/// The hidden command line word under which this program becomes the listener.
pub(crate) const WORD: &str = "listen";

/// Becomes the listener: receives `count` messages from `url`, and prints the processor time it
/// took for them, in seconds.
pub(crate) async fn become_listener(url: String, count: usize) -> anyhow::Result<()> {
    let config = ConfigBuilder::new("listener".to_owned(), Intents::all()).proxy_url(url).build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let mut begun = None;
    let mut heard = 0;
    while heard < count {
        let event = shard.next_event(EventTypeFlags::all()).await.context("the shard ended")?;
        match event? {
            Event::GuildCreate(_) => begun = Some(cpu_seconds(std::process::id())?),
            Event::MessageCreate(message) => {
                std::hint::black_box(message);
                heard += 1;
            }
            _ => {}
        }
    }
    let used = cpu_seconds(std::process::id())? - begun.context("a guild came first")?;
    crate::paper::line(&used.to_string());
    Ok(())
}

/// Processor time of such a program for each of these messages, in microseconds.
pub(crate) async fn cpu_us(login: &Login, data: &[String]) -> anyhow::Result<f64> {
    let feeder = Feeder::start(login.clone()).await?;
    let own = std::env::current_exe().context("find the bench's own path")?;
    let mut child = Command::new(own)
        .args([WORD, feeder.url(), &data.len().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the listener")?;
    let dispatches = data.iter().map(|data| ("MESSAGE_CREATE", data.clone())).collect();
    let prepared = feeder.prepare(dispatches, (u64::MAX, Arc::new(AtomicU64::new(0)))).await?;
    let output = child.stdout.take().context("the listener's output")?;
    let mut lines = BufReader::new(output).lines();
    let (sent, said) = future::join(prepared.go(), lines.next_line()).await;
    sent?;
    let seconds: f64 = said?.context("the listener says its time")?.parse()?;
    child.wait().await?;
    Ok(seconds * 1e6 / as_f64(data.len()))
}
