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

    /// Tells the played model what to answer.
    pub(crate) fn script(&self, script: &Value) -> Result<()> {
        let url = format!("{}/model/script", self.base);
        fine(self.http.post(&url, script)?, &url).map(drop)
    }

    /// Channel and id of every message the bot made by REST, also of those that are gone.
    pub(crate) fn created_messages(&self) -> Result<Vec<(String, String)>> {
        let (mut made, mut after) = (Vec::new(), 0);
        loop {
            let url = format!("{}/ledger?after={after}&limit=500&kind=rest", self.base);
            let answer = fine(self.http.get(&url)?, &url)?;
            let entries = answer["entries"].as_array().cloned().unwrap_or_default();
            let Some(last) = entries.last().and_then(|entry| entry["seq"].as_u64()) else {
                return Ok(made);
            };
            after = last;
            made.extend(entries.iter().filter_map(created));
        }
    }

    /// Requests the played model received after the given one, and the number of the last.
    pub(crate) fn model_requests(&self, after: u64) -> Result<(Vec<Value>, u64)> {
        let url = format!("{}/model/requests?after={after}", self.base);
        let answer = fine(self.http.get(&url)?, &url)?;
        let list = answer["requests"].as_array().cloned().unwrap_or_default();
        Ok((list, answer["last"].as_u64().unwrap_or(after)))
    }
}

/// Channel and id of the message that this request made, if it made one.
fn created(entry: &Value) -> Option<(String, String)> {
    let path = entry["path"].as_str()?.split('?').next()?;
    let rest = path.split_once("/channels/")?.1.strip_suffix("/messages")?;
    let id = entry["response"]["id"].as_str().filter(|_| entry["method"] == "POST")?;
    Some((rest.to_owned(), id.to_owned()))
}

fn fine(answer: Answer, url: &str) -> Result<Value> {
    if !(200..300).contains(&answer.status) {
        bail!("use {url}: it answered {} {}", answer.status, answer.body);
    }
    Ok(answer.body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::created;

    #[test]
    fn only_a_post_that_was_answered_made_a_message() {
        let made = json!({
            "method": "POST", "path": "/api/v10/channels/5/messages", "response": {"id": "7"}
        });
        assert_eq!(created(&made), Some(("5".to_owned(), "7".to_owned())));
        let read = json!({
            "method": "GET", "path": "/api/v10/channels/5/messages", "response": {"id": "7"}
        });
        assert_eq!(created(&read), None);
        let refused = json!({
            "method": "POST", "path": "/api/v10/channels/5/messages", "response": {"code": 50013}
        });
        assert_eq!(created(&refused), None);
        let other = json!({
            "method": "POST", "path": "/api/v10/channels/5/typing", "response": {"id": "7"}
        });
        assert_eq!(created(&other), None);
    }
}
