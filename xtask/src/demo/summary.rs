//! The demo as one JSON object, for programs that look at it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::conversation::{Conversation, Turn};
use super::fleet::Fleet;
use super::folder::Folder;

/// Gathers what was played and how everything stands.
pub(crate) fn gather(fleet: &mut Fleet, played: &Conversation, folder: &Folder) -> Result<Value> {
    let turns: Vec<Value> = played.turns.iter().map(turn).collect();
    let health = fleet.http.get(&format!("{}/health", fleet.worker_address))?;
    Ok(json!({
        "model": fleet.model.kind(),
        "turns": turns,
        "user": played.user_name,
        "channel_id": played.channel_id,
        "word": played.word,
        "remembered": played.remembered,
        "history_rows": health.body["checks"]["database"]["history_rows"],
        "worker_health": health.body,
        "services": fleet.facts(),
        "addresses": fleet.addresses(),
        "data": folder.root(),
    }))
}

/// Refuses a summary from which something is missing that a whole demo has.
pub(crate) fn expect_whole(summary: &Value) -> Result<()> {
    let turns = summary["turns"].as_array().context("find the turns in the demo's summary")?;
    ensure!(turns.len() >= 2, "find two turns in the demo's summary: {}", turns.len());
    ensure!(summary["remembered"] == true, "find the word remembered in the demo's summary");
    let rows = summary["history_rows"].as_u64().context("find the history's rows there")?;
    ensure!(rows >= 4, "find both turns in the history: it has {rows} rows");
    let services = summary["services"].as_object().context("find the services there")?;
    for (name, facts) in services {
        ensure!(facts["ready_ms"].is_number(), "find when {name} was ready");
    }
    for (name, end) in summary["stopped"].as_object().context("find how everything stopped")? {
        ensure!(end["clean"] == true, "see {name} stop by itself: {end}");
    }
    Ok(())
}

fn turn(turn: &Turn) -> Value {
    json!({
        "question": turn.question,
        "question_id": turn.question_id,
        "reply": turn.reply,
        "message_ids": turn.message_ids,
        "channel_id": turn.channel_id,
        "first_text_ms": milliseconds(turn.first_text),
        "whole_text_ms": milliseconds(turn.whole_text),
        "edits": turn.edits,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::expect_whole;

    #[test]
    fn a_summary_without_memory_or_history_is_not_whole() {
        let whole = json!({
            "turns": [{}, {}], "remembered": true, "history_rows": 4,
            "services": {"gateway": {"ready_ms": 80.5}},
            "stopped": {"gateway": {"clean": true}},
        });
        assert!(expect_whole(&whole).is_ok());
        for (key, value) in [
            ("turns", json!([{}])),
            ("remembered", json!(false)),
            ("history_rows", json!(null)),
            ("services", json!({"gateway": {"ready_ms": null}})),
            ("stopped", json!({"gateway": {"clean": false}})),
        ] {
            let mut broken = whole.clone();
            broken[key] = value;
            assert!(expect_whole(&broken).is_err(), "{key}");
        }
    }
}
