//! The model on the wire, with scripted answers and a record of what it was asked.

use serde_json::{Value, json};
use simulator::{Config, Preset, RunningSimulator, Simulator};

use super::eventually;

pub(crate) struct Model {
    simulator: RunningSimulator,
    http: reqwest::Client,
}

impl Model {
    pub(crate) async fn start() -> Self {
        let config = Config { world: Preset::Empty, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let model = Self { simulator, http: reqwest::Client::new() };
        model.script(json!({"settings": {"first_token_ms": 0, "per_chunk_ms": 0}})).await;
        model
    }

    pub(crate) fn base_url(&self) -> String {
        format!("{}/model/openai/v1", self.simulator.base_url())
    }

    /// Adds answers or changes settings.
    pub(crate) async fn script(&self, script: Value) {
        let url = format!("{}/control/model/script", self.simulator.base_url());
        let response = self.http.post(url).json(&script).send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{status}: {}", response.text().await.unwrap());
    }

    /// Every request so far: the body, oldest first.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let records = self.records().await;
        records.into_iter().map(|record| record["body"].clone()).collect()
    }

    pub(crate) async fn records(&self) -> Vec<Value> {
        let url = format!("{}/control/model/requests?after=0", self.simulator.base_url());
        let answer: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        answer["requests"].as_array().unwrap().clone()
    }

    /// Waits for a request whose last message contains `text`.
    pub(crate) async fn asked(&self, text: &str) -> Value {
        let found = eventually(async || {
            self.requests().await.into_iter().find(|request| last_text(request).contains(text))
        })
        .await;
        found.unwrap_or_else(|| panic!("the model was never asked {text:?}"))
    }
}

/// The messages of a request as (role, text).
pub(crate) fn messages(request: &Value) -> Vec<(String, String)> {
    let messages = request["messages"].as_array().unwrap();
    let text = |message: &Value| (field(message, "role"), field(message, "content"));
    messages.iter().map(text).collect()
}

pub(crate) fn last_text(request: &Value) -> String {
    messages(request).pop().map(|(_, text)| text).unwrap_or_default()
}

fn field(message: &Value, key: &str) -> String {
    message[key].as_str().unwrap_or_default().to_owned()
}
