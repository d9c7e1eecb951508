//! A running simulator and a client of its control API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulator::{Config, RunningSimulator, Simulator};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A simulator with the demo world.
pub(crate) struct World {
    pub(crate) running: RunningSimulator,
    pub(crate) http: Client,
    pub(crate) ready: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        // A second installation in the same process is refused, which is no fault.
        drop(rustls::crypto::ring::default_provider().install_default());
        let running = Simulator::start(Config::default()).await.unwrap();
        let ready = serde_json::from_str(&running.ready_line()).unwrap();
        Self { running, http: Client::new(), ready }
    }

    pub(crate) fn token(&self) -> &str {
        self.ready["bot_token"].as_str().unwrap()
    }

    pub(crate) fn bot_id(&self) -> &str {
        self.ready["bot_id"].as_str().unwrap()
    }

    pub(crate) fn guild(&self) -> &str {
        self.ready["guilds"][0]["id"].as_str().unwrap()
    }

    /// The `index`th channel of the demo guild.
    pub(crate) fn channel(&self, index: usize) -> &str {
        self.ready["guilds"][0]["channels"][index]["id"].as_str().unwrap()
    }

    /// A person by name.
    pub(crate) fn user(&self, name: &str) -> &str {
        let users = self.ready["users"].as_array().unwrap();
        users.iter().find(|user| user["name"] == name).unwrap()["id"].as_str().unwrap()
    }

    /// Calls the control API and expects success.
    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path} answered {status}: {answer}");
        answer
    }

    pub(crate) async fn try_control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/control/{path}", self.running.base_url());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Speaks as a person and returns the message.
    pub(crate) async fn say(&self, name: &str, channel: &str, content: &str) -> Value {
        let body = json!({"author_id": self.user(name), "content": content});
        self.control("POST", &format!("channels/{channel}/messages"), body).await
    }

    /// Calls Discord's REST API as the bot.
    pub(crate) async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let answer = self.api_raw(method, path, body).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        (status, value)
    }

    pub(crate) async fn api_raw(&self, method: &str, path: &str, body: Value) -> reqwest::Response {
        let url = format!("{}/api/v10{path}", self.running.base_url());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            self.http.request(method, url).header("authorization", format!("Bot {}", self.token()));
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Calls the REST API and expects success.
    pub(crate) async fn api_ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.api(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path} answered {status}: {answer}");
        answer
    }

    /// Calls the REST API and expects this refusal.
    pub(crate) async fn api_refused(
        &self,
        method: &str,
        path: &str,
        body: Value,
        code: u64,
    ) -> Value {
        let (status, answer) = self.api(method, path, body).await;
        assert_eq!(answer["code"], code, "{method} {path} answered {status}: {answer}");
        assert!(status >= 400);
        answer
    }

    /// Takes every limit away, for tests that are about something else.
    pub(crate) async fn without_limits(self) -> Self {
        self.control("POST", "limits", json!({"enabled": false})).await;
        self.control("POST", "gateway/config", json!({"identify_interval_ms": 0})).await;
        self
    }

    /// Ledger entries of one kind.
    pub(crate) async fn ledger(&self, kind: &str) -> Vec<Value> {
        let answer = self.control("GET", &format!("ledger?kind={kind}"), Value::Null).await;
        answer["entries"].as_array().unwrap().clone()
    }
}

/// Polls until `probe` gives something.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A path that whoever runs the tests may name in the environment.
#[expect(clippy::disallowed_methods, reason = "tests find optional things through the environment")]
pub(crate) fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
