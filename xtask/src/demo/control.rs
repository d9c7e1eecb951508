//! The simulator's control API and the services' health, as the demo asks for them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::Agent;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A plain HTTP client for loopback.
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

    fn post(&self, url: &str, body: &Value) -> Result<Answer> {
        let mut answer = self.0.post(url).send_json(body).with_context(|| format!("ask {url}"))?;
        let status = answer.status().as_u16();
        Ok(Answer { status, body: answer.body_mut().read_json().unwrap_or(Value::Null) })
    }
}

/// The control API of one simulator.
#[derive(Debug)]
pub(crate) struct Control {
    http: Http,
    base: String,
}

impl Control {
    /// For the simulator at `address` (`host:port`).
    pub(crate) fn new(http: Http, address: &str) -> Self {
        Self { http, base: format!("http://{address}/control") }
    }

    /// Users, guilds and channels.
    pub(crate) fn world(&self) -> Result<Value> {
        let url = format!("{}/world", self.base);
        let answer = self.http.get(&url)?;
        fine(answer, &url)
    }

    /// Speaks as a user; gives the message's id.
    pub(crate) fn say(&self, channel: &str, author: &str, content: &str) -> Result<String> {
        let url = format!("{}/channels/{channel}/messages", self.base);
        let body = serde_json::json!({ "author_id": author, "content": content });
        let message = fine(self.http.post(&url, &body)?, &url)?;
        let id = message["id"].as_str().context("read the id of the message just written")?;
        Ok(id.to_owned())
    }

    /// A channel's messages, oldest first; none when there is no such channel (yet).
    pub(crate) fn messages(&self, channel: &str) -> Result<Vec<Value>> {
        let url = format!("{}/channels/{channel}/messages", self.base);
        let answer = self.http.get(&url)?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        Ok(fine(answer, &url)?.as_array().cloned().unwrap_or_default())
    }

    /// Requests the played model received after the given one, and the number of the last.
    pub(crate) fn model_requests(&self, after: u64) -> Result<(Vec<Value>, u64)> {
        let url = format!("{}/model/requests?after={after}", self.base);
        let answer = fine(self.http.get(&url)?, &url)?;
        let list = answer["requests"].as_array().cloned().unwrap_or_default();
        Ok((list, answer["last"].as_u64().unwrap_or(after)))
    }
}

fn fine(answer: Answer, url: &str) -> Result<Value> {
    if !(200..300).contains(&answer.status) {
        bail!("use {url}: it answered {} {}", answer.status, answer.body);
    }
    Ok(answer.body)
}
