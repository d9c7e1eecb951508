//! Discord as people see it: speaking as someone, reading what stands in a channel.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::wait::until;

/// The simulator's control API, in the words of a story.
#[derive(Clone)]
pub struct Discord {
    base: String,
    http: reqwest::Client,
    /// The bot's own user id.
    pub bot_id: String,
}

impl Discord {
    /// Reads the world once, to know the bot.
    pub async fn connect(base: String, http: reqwest::Client) -> anyhow::Result<Self> {
        let mut discord = Self { base, http, bot_id: String::new() };
        discord.bot_id = text(&discord.get("world").await?["bot"]["id"]);
        Ok(discord)
    }

    /// Asks the control API.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/control/{path}", self.base);
        let response = self.http.get(url).timeout(Duration::from_secs(20)).send().await?;
        answer(path, response).await
    }

    /// Tells the control API.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let url = format!("{}/control/{path}", self.base);
        let request = self.http.post(url).timeout(Duration::from_secs(20)).json(&body);
        answer(path, request.send().await?).await
    }

    /// Makes a person and returns the id.
    pub async fn person(&self, name: &str) -> anyhow::Result<String> {
        let made = self.post("users", json!({"name": name, "global_name": name})).await?;
        Ok(text(&made["id"]))
    }

    /// Makes a guild with the bot and these people in it, and one text channel: both ids.
    pub async fn guild(&self, name: &str, people: &[&str]) -> anyhow::Result<(String, String)> {
        let body = json!({"name": name, "preferred_locale": "ja", "member_ids": people});
        let guild = text(&self.post("guilds", body).await?["id"]);
        let channel = self.channel(&guild, "general").await?;
        Ok((guild, channel))
    }

    /// Makes a text channel and returns its id.
    pub async fn channel(&self, guild: &str, name: &str) -> anyhow::Result<String> {
        let made = self.post(&format!("guilds/{guild}/channels"), json!({"name": name})).await?;
        Ok(text(&made["id"]))
    }

    /// Says something as someone and returns the message's id.
    pub async fn say(&self, channel: &str, author: &str, content: &str) -> anyhow::Result<String> {
        let body = json!({"author_id": author, "content": content});
        let said = self.post(&format!("channels/{channel}/messages"), body).await?;
        Ok(text(&said["id"]))
    }

    /// Deletes a message as its author.
    pub async fn delete_message(
        &self,
        channel: &str,
        message: &str,
        author: &str,
    ) -> anyhow::Result<()> {
        let url = format!("{}/control/channels/{channel}/messages/{message}", self.base);
        let request = self.http.delete(url).json(&json!({"author_id": author}));
        answer("messages", request.send().await?).await.map(drop)
    }

    /// Mentions the bot as someone and returns the message's id.
    pub async fn mention(
        &self,
        channel: &str,
        author: &str,
        content: &str,
    ) -> anyhow::Result<String> {
        self.say(channel, author, &format!("<@{}> {content}", self.bot_id)).await
    }

    /// What stands in a channel, oldest first; nothing where there is no such channel yet.
    pub async fn messages(&self, channel: &str) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/control/channels/{channel}/messages", self.base);
        let response = self.http.get(url).timeout(Duration::from_secs(20)).send().await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let messages = answer("messages", response).await?;
        Ok(messages.as_array().cloned().unwrap_or_default())
    }

    /// What the bot has written in a channel, oldest first. Notes of Discord's own (a thread's
    /// first line, "started a thread") are left out.
    pub async fn replies(&self, channel: &str) -> anyhow::Result<Vec<Value>> {
        let written = self.messages(channel).await?.into_iter().filter(|message| {
            message["author"]["id"] == self.bot_id.as_str()
                && matches!(message["type"].as_u64(), Some(0 | 19))
        });
        Ok(written.collect())
    }

    /// Waits until the bot has `count` messages in a channel and the last of them contains
    /// `part`, and returns their texts.
    pub async fn replies_until(
        &self,
        channel: &str,
        count: usize,
        part: &str,
    ) -> anyhow::Result<Vec<String>> {
        let what = format!("{count} replies, the last with `{part}`");
        let waited = until(&what, || async {
            let texts: Vec<String> =
                self.replies(channel).await?.iter().map(|reply| text(&reply["content"])).collect();
            let there =
                texts.len() >= count && texts.last().is_some_and(|last| last.contains(part));
            Ok(there.then_some(texts))
        });
        match waited.await {
            Ok(texts) => Ok(texts),
            Err(error) => {
                Err(error.context(format!("there is: {:?}", self.replies(channel).await?)))
            }
        }
    }

    /// Tells the model stand-in what to answer, as the simulator's own documentation has it.
    pub async fn script(&self, script: Value) -> anyhow::Result<()> {
        self.post("model/script", script).await.map(drop)
    }

    /// The bodies of all model requests so far, oldest first.
    pub async fn model_requests(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.get("model/requests").await?;
        let requests = answer.as_array().or_else(|| answer["requests"].as_array());
        Ok(requests.context("a list of requests")?.clone())
    }

    /// The ledger's entries of one kind, oldest first.
    pub async fn ledger(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.get("ledger?limit=100000").await?;
        let entries = answer["entries"].as_array().context("a list of entries")?;
        Ok(entries.iter().filter(|entry| entry["kind"] == kind).cloned().collect())
    }
}

/// A JSON string's text, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn answer(path: &str, response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body = response.text().await?;
    anyhow::ensure!(status.is_success(), "control/{path}: {status}: {body}");
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}
