//! Everything that crossed the wire, in order, so that tests can prove what happened.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A REST request and its answer.
    Rest,
    /// A dispatch sent to a gateway session.
    Dispatch,
    /// A frame received from a gateway client.
    GatewayIn,
    /// A gateway connection was opened.
    GatewayOpen,
    /// A gateway connection ended.
    GatewayClose,
    /// A request to a model provider and its answer.
    Model,
    /// A call of the control API that changed something.
    Control,
}

impl Kind {
    /// The word that names this kind in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Dispatch => "dispatch",
            Self::GatewayIn => "gateway_in",
            Self::GatewayOpen => "gateway_open",
            Self::GatewayClose => "gateway_close",
            Self::Model => "model",
            Self::Control => "control",
        }
    }
}

struct Entry {
    seq: u64,
    kind: Kind,
    text: Box<str>,
}

#[derive(Default)]
struct Book {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

/// The bounded, ordered record. Entries are kept as JSON text, so that keeping one is cheap.
pub struct Ledger {
    book: Mutex<Book>,
    bytes_max: usize,
}

impl Ledger {
    /// An empty ledger that forgets its oldest entries above `bytes_max` bytes of text.
    pub fn new(bytes_max: usize) -> Self {
        Self { book: Mutex::default(), bytes_max }
    }

    /// Records `detail`, which must serialise to a JSON object without the keys `seq`, `at_ms`,
    /// `at_us` and `kind`, and returns the entry's number. Secrets must be removed by the caller.
    ///
    /// # Panics
    ///
    /// When `detail` is no JSON object.
    pub fn push(&self, kind: Kind, detail: &impl Serialize) -> u64 {
        let text = serde_json::to_string(detail).expect("ledger details are plain JSON values");
        let fields = text.strip_prefix('{').expect("ledger details are JSON objects");
        let comma = if fields == "}" { "" } else { "," };
        let mut book = self.lock();
        book.last += 1;
        let seq = book.last;
        let kind_name = kind.as_str();
        // Read under the lock, so that times never go back from one entry to the next.
        let at_us = now_us();
        let whole_ms = at_us / 1000;
        let head =
            format!(r#"{{"seq":{seq},"at_ms":{whole_ms},"at_us":{at_us},"kind":"{kind_name}""#);
        let text: Box<str> = format!("{head}{comma}{fields}").into();
        book.bytes += text.len();
        book.entries.push_back(Entry { seq, kind, text });
        while book.bytes > self.bytes_max {
            let Some(oldest) = book.entries.pop_front() else { break };
            book.bytes -= oldest.text.len();
        }
        seq
    }

    /// The answer of `GET /control/ledger`: `{"entries":[…],"last":N}`, entries numbered above
    /// `after`, oldest first, at most `limit`, of one kind when `kind` is given.
    pub fn read(&self, after: u64, limit: usize, kind: Option<&str>) -> String {
        let book = self.lock();
        let mut text = String::from(r#"{"entries":["#);
        let start = book.entries.partition_point(|entry| entry.seq <= after);
        let chosen = book
            .entries
            .range(start..)
            .filter(|entry| kind.is_none_or(|kind| kind == entry.kind.as_str()))
            .take(limit);
        for (index, entry) in chosen.enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&entry.text);
        }
        text.push_str(r#"],"last":"#);
        text.push_str(&book.last.to_string());
        text.push('}');
        text
    }

    /// Entries numbered above `after` of one kind, parsed; for tests in the same process.
    ///
    /// # Panics
    ///
    /// Never: the ledger wrote what it parses.
    pub fn entries(&self, kind: Kind, after: u64) -> Vec<Value> {
        let book = self.lock();
        book.entries
            .iter()
            .filter(|entry| entry.seq > after && entry.kind == kind)
            .map(|entry| serde_json::from_str(&entry.text).expect("the ledger wrote this JSON"))
            .collect()
    }

    /// Forgets all entries; numbering goes on.
    pub fn clear(&self) {
        let mut book = self.lock();
        book.entries.clear();
        book.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    now_us() / 1000
}

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_numbered_in_order_and_the_oldest_are_forgotten() {
        let ledger = Ledger::new(100);
        ledger.push(Kind::Rest, &json!({"number": 1}));
        let one_entry = ledger.lock().bytes;
        let ledger = Ledger::new(2 * one_entry);
        for number in 1..=3 {
            ledger.push(Kind::Rest, &json!({"number": number}));
        }
        let answer: Value = serde_json::from_str(&ledger.read(0, 10, None)).unwrap();
        assert_eq!(answer["last"], 3);
        assert_eq!(answer["entries"][0]["seq"], 2);
        assert_eq!(answer["entries"][1]["number"], 3);
        assert_eq!(answer["entries"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_detail_without_fields_is_still_json() {
        let ledger = Ledger::new(1000);
        ledger.push(Kind::Control, &json!({}));
        let answer: Value = serde_json::from_str(&ledger.read(0, 10, Some("control"))).unwrap();
        assert_eq!(answer["entries"][0]["kind"], "control");
    }
}
