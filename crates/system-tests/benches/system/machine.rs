//! The machine a run was made on, in words: figures mean nothing without it.

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use crate::figures::Samples;

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) nats_server: String,
    /// The median of writing 1.5 KB to the end of a file and syncing it, in milliseconds.
    pub(crate) fsync_ms: f64,
    /// How busy the machine was before we began (load of the last minute).
    pub(crate) load_before: f64,
}

impl Machine {
    pub(crate) fn describe() -> anyhow::Result<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kib: u64 = field(&meminfo, "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            cpu: field(&cpuinfo, "model name"),
            memory_mib: kib / 1024,
            kernel: kernel.trim().to_owned(),
            rustc: version(Command::new("rustc").arg("--version")),
            nats_server: version(Command::new(nats_server()).arg("--version")),
            fsync_ms: fsync_ms().context("measure a bare fsync")?,
            load_before: load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the chore names the server by a variable")]
fn nats_server() -> std::ffi::OsString {
    std::env::var_os(bus::server::BINARY_VARIABLE).unwrap_or_else(|| "nats-server".into())
}

/// What a program says of its version, or that it does not.
fn version(command: &mut Command) -> String {
    let said = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

fn fsync_ms() -> anyhow::Result<f64> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile()?;
    let mut samples = Samples::default();
    for _ in 0..300 {
        let begun = Instant::now();
        file.write_all(&[7; 1536])?;
        file.sync_data()?;
        samples.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples.median())
}
