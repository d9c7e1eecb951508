//! The simulator's control API, as the demo uses it.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::{Answer, Http};

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

    /// Makes a guild of everybody and the bot, with one channel.
    pub(crate) fn add_guild(&self, name: &str, locale: &str, channel: &str) -> Result<()> {
        let world = self.world()?;
        let users = world["users"].as_array().context("list the users")?;
        let members: Vec<&Value> = users.iter().map(|user| &user["id"]).collect();
        let url = format!("{}/guilds", self.base);
        let body = serde_json::json!({
            "name": name, "preferred_locale": locale, "member_ids": members, "with_bot": true,
        });
        let guild = fine(self.http.post(&url, &body)?, &url)?;
        let id = guild["id"].as_str().context("read the id of the new guild")?;
        let url = format!("{url}/{id}/channels");
        fine(self.http.post(&url, &serde_json::json!({ "name": channel }))?, &url)?;
        Ok(())
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
