//! What is kept of every model request: its body, its times, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::ledger::Kind;
use crate::models::script::Source;
use crate::models::wire::Arrival;
use crate::state::State;

/// How many requests are kept before the oldest are forgotten.
const RECORDS_MAX: usize = 20_000;

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Not answered to the end yet.
    Running,
    /// Answered with a text, to the end that was scripted.
    Answered,
    /// Answered with an error status or an error frame.
    Failed,
    /// The simulator cut the connection.
    Cut,
    /// The client went away before the end.
    ClientHungUp,
}

/// One request. Times are microseconds since the Unix epoch.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    n: u64,
    wire: &'static str,
    path: String,
    headers: BTreeMap<String, String>,
    body: Box<RawValue>,
    pub(super) source: Option<Source>,
    pub(super) status: Option<u16>,
    pub(super) outcome: Outcome,
    client_hung_up: bool,
    /// The text as far as it was handed to the connection.
    pub(super) reply: String,
    started_at_us: u64,
    pub(super) first_byte_at_us: Option<u64>,
    pub(super) first_text_at_us: Option<u64>,
    pub(super) last_text_at_us: Option<u64>,
    ended_at_us: Option<u64>,
}

/// The requests of one simulator, running ones included.
#[derive(Default)]
pub(super) struct Records {
    list: Mutex<(u64, VecDeque<Arc<Mutex<Record>>>)>,
}

impl Records {
    /// The answer of `GET /control/model/requests`: requests numbered above `after`.
    pub(super) fn read(&self, after: u64) -> Value {
        let list = lock(&self.list);
        let requests: Vec<Record> = list
            .1
            .iter()
            .map(|record| lock(record))
            .filter(|record| record.n > after)
            .map(|record| record.clone())
            .collect();
        json!({"requests": requests, "last": list.0})
    }

    /// Opens the record of a request that just arrived.
    pub(super) fn open(&self, state: &State, arrival: &Arrival) -> OpenRecord {
        let wire = arrival.wire.name();
        let mut list = lock(&self.list);
        list.0 += 1;
        let record = Arc::new(Mutex::new(Record {
            n: list.0,
            wire,
            path: arrival.path.clone(),
            headers: readable(&arrival.headers),
            body: raw(&arrival.body),
            source: None,
            status: None,
            outcome: Outcome::Running,
            client_hung_up: false,
            reply: String::new(),
            started_at_us: now_us(),
            first_byte_at_us: None,
            first_text_at_us: None,
            last_text_at_us: None,
            ended_at_us: None,
        }));
        if list.1.len() == RECORDS_MAX {
            list.1.pop_front();
        }
        list.1.push_back(Arc::clone(&record));
        state.events().send("model_request", json!({"n": list.0, "wire": wire}));
        OpenRecord { state: state.clone(), n: list.0, record }
    }
}

/// The record of a request that is being answered; dropping it closes it and writes the ledger.
/// A drop while it still says [`Outcome::Running`] means that the client hung up.
pub(super) struct OpenRecord {
    state: State,
    n: u64,
    record: Arc<Mutex<Record>>,
}

impl OpenRecord {
    /// The request's number, from one.
    pub(super) fn number(&self) -> u64 {
        self.n
    }

    /// Changes the record.
    pub(super) fn note(&self, change: impl FnOnce(&mut Record)) {
        change(&mut lock(&self.record));
    }
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        let mut record = lock(&self.record);
        if record.outcome == Outcome::Running {
            record.outcome = Outcome::ClientHungUp;
            record.client_hung_up = true;
        }
        record.ended_at_us = Some(now_us());
        self.state.ledger().push(Kind::Model, &*record);
        let detail = json!({"n": self.n, "status": record.status, "outcome": record.outcome});
        self.state.events().send("model_answer", detail);
    }
}

/// Microseconds since the Unix epoch.
pub(super) fn now_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let secret = |name: &str| ["authorization", "api-key", "x-api-key"].contains(&name);
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let value = if secret(name.as_str()) { "[redacted]".to_owned() } else { value };
            (name.to_string(), value)
        })
        .collect()
}

/// The body as it came when it is JSON, else as a JSON string.
fn raw(body: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(body);
    let kept = RawValue::from_string(text.clone().into_owned())
        .or_else(|_| serde_json::value::to_raw_value(&text));
    kept.expect("a string is always JSON")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
