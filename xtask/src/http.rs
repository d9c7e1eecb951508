//! A plain HTTP client for what runs on this machine.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::Agent;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The client. It keeps connections open from one question to the next.
#[derive(Clone, Debug)]
pub(crate) struct Http(Agent);

/// A status and the JSON that came with it (null when it was none).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Http {
    /// A client that follows no proxy: what it asks is on this machine.
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self(config.into())
    }

    /// Asks; only a broken connection is an error.
    pub(crate) fn get(&self, url: &str) -> Result<Answer> {
        let mut answer = self.0.get(url).call().with_context(|| format!("ask {url}"))?;
        let status = answer.status().as_u16();
        // Some answers (metrics, an error page) are no JSON: then the status is what counts.
        let body = answer.body_mut().read_json().unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }

    /// Whether the address answers 200 now.
    pub(crate) fn is_ok(&self, url: &str) -> bool {
        self.get(url).is_ok_and(|answer| answer.status == 200)
    }

    /// Sends JSON; only a broken connection is an error.
    pub(crate) fn post(&self, url: &str, body: &Value) -> Result<Answer> {
        let mut answer = self.0.post(url).send_json(body).with_context(|| format!("ask {url}"))?;
        let status = answer.status().as_u16();
        Ok(Answer { status, body: answer.body_mut().read_json().unwrap_or(Value::Null) })
    }
}
