//! Discord and the model, played on this machine beside the containers, so that a power cut spares them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::http::Http;
use crate::process::Service;

/// A running simulator that containers reach by the address of their network's gateway.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) service: Service,
    /// `host:port`.
    pub(super) address: String,
    pub(super) token: String,
}

impl Stage {
    /// Starts it at an address of this machine; what it says goes into `folder`.
    pub(super) fn start(program: &Path, host: &str, folder: &Path) -> Result<Self> {
        let ready = folder.join("simulator.ready");
        let mut service =
            Service::start("simulator", program, folder.join("simulator.log"), |command| {
                command.args(["--listen", &format!("{host}:0")]).arg("--ready-file").arg(&ready);
            })?;
        let http = Http::new();
        let said = service.wait_until_ready(|| {
            let Ok(text) = std::fs::read_to_string(&ready) else { return Ok(None) };
            let said: Value = serde_json::from_str(&text).context("read its ready file")?;
            let address = said["address"].as_str().unwrap_or_default();
            let lives = http.is_ok(&format!("http://{address}/health/live"));
            Ok(lives.then_some(said))
        })?;
        let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        Ok(Self { service, address: word("address"), token: word("bot_token") })
    }
}
