//! What the scripted model answers: rules, a queue, and the settings both share.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a scripted answer's stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// `data: [DONE]`, then the end of the body.
    #[default]
    Done,
    /// The end of the body without `[DONE]`.
    CleanEof,
    /// The connection breaks.
    Abort,
    /// Nothing more comes, and the connection stays open.
    Stall,
}

/// One scripted answer. Every field may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// Answers only requests whose last user text contains this; such an answer is a rule and
    /// stays, others wait in the queue and are used once.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// How often a rule answers before it is forgotten; without end when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The text; `{{word}}` becomes a fresh word, `{{n}}` the request's number, `{{user}}` the
    /// last user text. The demo persona writes it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Characters in each chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_chars: Option<usize>,
    /// How long even the status line is held back.
    pub header_ms: u64,
    /// From the request to the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// From one chunk to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_chunk_ms: Option<u64>,
    /// From the request to the last chunk; chunks are spread evenly and `per_chunk_ms` is unused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// `stop` when absent, or `length` when the request's token limit cuts the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Counted when absent; an object is sent as it is; `false` or `"none"` sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// Answers with this status and `error` instead of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// An object is the body's `error` (or the body, when it has that key); a string is the raw
    /// body; a usual error of the status when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// Headers added to the answer or, with null, taken from it.
    pub headers: BTreeMap<String, Option<String>>,
    /// How the stream ends.
    pub end: End,
    /// The stream ends as `end` says after so many chunks of text, before any finish reason;
    /// after everything else when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_after_chunks: Option<usize>,
    /// A frame `{"error":…}` is sent after `error_after_chunks` chunks, and nothing behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_frame: Option<Value>,
    /// See `error_frame`; behind the last chunk when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_after_chunks: Option<usize>,
    /// Marks the error frame with `event: error`.
    pub error_event: bool,
    /// Writes pieces of exactly so many bytes, whatever frame or character that cuts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_bytes: Option<usize>,
    /// Ends lines with `\r\n`.
    pub crlf: bool,
    /// Puts a comment (`: ping`) in front of every frame.
    pub comments: bool,
}

/// What both the persona and scripted answers stand under.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The models that exist; with an empty list every name does.
    pub models: Vec<String>,
    /// The only API key that is right; any when absent.
    #[serde(skip_serializing)]
    pub api_key: Option<String>,
    /// Tokens that prompt and answer may have together.
    pub context_tokens: u64,
    /// Requests a minute.
    pub requests_per_minute: u32,
    /// Tokens a minute.
    pub tokens_per_minute: u32,
    /// Refuses parameters the real API does not know.
    pub strict: bool,
    /// Characters in each chunk where an answer does not say.
    pub chunk_chars: usize,
    /// From the request to the first chunk where an answer does not say, in the persona's case.
    pub first_token_ms: u64,
    /// From chunk to chunk where an answer does not say, in the persona's case.
    pub per_chunk_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            api_key: None,
            context_tokens: 128_000,
            requests_per_minute: 1_000_000,
            tokens_per_minute: 2_000_000_000,
            strict: true,
            chunk_chars: 6,
            first_token_ms: 150,
            per_chunk_ms: 25,
        }
    }
}

/// The body of `POST /control/model/script`, when it is more than one answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Change {
    /// Forgets rules and queue first.
    replace: bool,
    queue: Vec<Reply>,
    rules: Vec<Reply>,
    settings: Option<Value>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A rule whose `match` was found.
    Rule,
    /// The queue.
    Queue,
    /// Nothing was scripted.
    Persona,
}

/// The answers that wait.
#[derive(Debug, Default, Serialize)]
pub struct Script {
    rules: Vec<Reply>,
    queue: VecDeque<Reply>,
    /// What everything stands under.
    pub settings: Settings,
}

impl Script {
    /// Takes a change, or a single answer, and leaves everything as it was when it is malformed.
    pub(super) fn change(&mut self, body: Value) -> Result<(), String> {
        let keys = ["queue", "rules", "settings", "replace"];
        let change: Change = if keys.iter().any(|key| body.get(key).is_some()) {
            serde_json::from_value(body).map_err(|error| explain(&error))?
        } else {
            let reply: Reply = serde_json::from_value(body).map_err(|error| explain(&error))?;
            Change { queue: vec![reply], ..Change::default() }
        };
        if let Some(patch) = change.settings {
            self.settings = self.patched(patch)?;
        }
        if change.replace {
            self.rules.clear();
            self.queue.clear();
        }
        for reply in change.rules.into_iter().chain(change.queue) {
            if reply.matches.is_some() {
                self.rules.push(reply);
            } else {
                self.queue.push_back(reply);
            }
        }
        Ok(())
    }

    fn patched(&self, patch: Value) -> Result<Settings, String> {
        let Value::Object(patch) = patch else {
            return Err("settings must be an object".into());
        };
        let mut whole = serde_json::to_value(&self.settings).map_err(|error| explain(&error))?;
        whole["api_key"] = self.settings.api_key.clone().into();
        for (key, value) in patch {
            whole[key] = value;
        }
        serde_json::from_value(whole).map_err(|error| explain(&error))
    }

    /// Takes the answer for a request: the first rule found in `last_user_text`, else the head
    /// of the queue, else none, which leaves it to the persona.
    pub(super) fn take(&mut self, last_user_text: &str) -> (Source, Reply) {
        let found = self.rules.iter().position(|rule| {
            rule.matches.as_deref().is_some_and(|wanted| last_user_text.contains(wanted))
        });
        if let Some(index) = found {
            let rule = self.rules[index].clone();
            match rule.times {
                Some(0 | 1) => {
                    self.rules.remove(index);
                }
                Some(more) => self.rules[index].times = Some(more - 1),
                None => {}
            }
            return (Source::Rule, rule);
        }
        match self.queue.pop_front() {
            Some(reply) => (Source::Queue, reply),
            None => (Source::Persona, self.persona_pace()),
        }
    }

    /// Forgets rules, queue and settings.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn persona_pace(&self) -> Reply {
        Reply {
            first_token_ms: Some(self.settings.first_token_ms),
            per_chunk_ms: Some(self.settings.per_chunk_ms),
            ..Reply::default()
        }
    }
}

fn explain(error: &serde_json::Error) -> String {
    format!("the script was refused, nothing changed: {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_go_before_the_queue_and_the_queue_before_the_persona() {
        let mut script = Script::default();
        script.change(json!({"reply": "queued"})).unwrap();
        script.change(json!({"rules": [{"match": "tea", "times": 1, "reply": "ruled"}]})).unwrap();
        let mut answer = |text: &str| {
            let (source, reply) = script.take(text);
            (source, reply.reply)
        };
        assert_eq!(answer("some tea"), (Source::Rule, Some("ruled".into())));
        assert_eq!(answer("some tea"), (Source::Queue, Some("queued".into())));
        assert_eq!(answer("some tea"), (Source::Persona, None));
    }

    #[test]
    fn a_misspelt_field_is_refused_and_changes_nothing() {
        let mut script = Script::default();
        let error = script.change(json!({"replay": "typo"})).unwrap_err();
        assert!(error.contains("replay"), "{error}");
        assert_eq!(script.take("x").0, Source::Persona);
    }

    #[test]
    fn a_patch_of_the_settings_keeps_the_others() {
        let mut script = Script::default();
        script.change(json!({"settings": {"context_tokens": 9, "api_key": "k"}})).unwrap();
        script.change(json!({"settings": {"chunk_chars": 2}})).unwrap();
        assert_eq!(script.settings.context_tokens, 9);
        assert_eq!(script.settings.api_key.as_deref(), Some("k"));
        assert_eq!(script.settings.chunk_chars, 2);
    }
}
