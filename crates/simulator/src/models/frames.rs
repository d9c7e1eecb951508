//! The JSON of answers on the OpenAI-style wire, whole or in chunks.

use rand::distr::{Alphanumeric, SampleString as _};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::models::record::now_us;
use crate::models::request::{ChatRequest, tokens};
use crate::models::wire::Wire;

/// What every object of one answer shares.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    wire: Wire,
    id: String,
    created: u64,
    model: String,
    usage_announced: bool,
    /// The padding that hides the length of a chunk from listeners, when it was not declined.
    padding: Option<String>,
}

impl Envelope {
    /// Draws the id of an answer to `request`.
    pub(super) fn new(wire: Wire, request: &ChatRequest, random: &mut StdRng) -> Self {
        let id = format!("chatcmpl-{}", Alphanumeric.sample_string(random, 29));
        let padding = (wire == Wire::OpenAi && request.obfuscate)
            .then(|| Alphanumeric.sample_string(random, 16));
        Self {
            wire,
            id,
            created: now_us() / 1_000_000,
            model: request.model.clone(),
            usage_announced: request.include_usage,
            padding,
        }
    }

    fn object(&self, kind: &str, choices: Value) -> Value {
        let mut object = json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
        });
        match self.wire {
            Wire::OpenAi => {
                object["service_tier"] = json!("default");
                object["system_fingerprint"] = json!("fp_51a7e0f3c2");
            }
            Wire::Ollama => object["system_fingerprint"] = json!("fp_ollama"),
        }
        object["choices"] = choices;
        object
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let mut choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        if self.wire == Wire::OpenAi {
            choice["logprobs"] = Value::Null;
        }
        let mut chunk = self.object("chat.completion.chunk", json!([choice]));
        if self.usage_announced && self.wire == Wire::OpenAi {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// The first chunk: the role and no text.
    pub(super) fn role(&self) -> Value {
        let mut delta = json!({"role": "assistant", "content": ""});
        if self.wire == Wire::OpenAi {
            delta["refusal"] = Value::Null;
        }
        self.chunk(&delta, None)
    }

    /// A chunk of text.
    pub(super) fn text(&self, text: &str) -> Value {
        let mut chunk = self.chunk(&json!({"content": text}), None);
        if let Some(padding) = &self.padding {
            let length = padding.len().saturating_sub(text.len() % padding.len());
            chunk["obfuscation"] = json!(padding[..length]);
        }
        chunk
    }

    /// The chunk that says why the text ended.
    pub(super) fn finish(&self, reason: &str) -> Value {
        self.chunk(&json!({}), Some(reason))
    }

    /// The chunk with the usage and no choices.
    pub(super) fn usage(&self, usage: &Value) -> Value {
        let mut chunk = self.object("chat.completion.chunk", json!([]));
        chunk["usage"] = usage.clone();
        chunk
    }

    /// The whole answer in one object.
    pub(super) fn whole(&self, text: &str, reason: &str, usage: Option<&Value>) -> Value {
        let mut message = json!({"role": "assistant", "content": text});
        let mut choice = json!({"index": 0, "finish_reason": reason});
        if self.wire == Wire::OpenAi {
            message["refusal"] = Value::Null;
            message["annotations"] = json!([]);
            choice["logprobs"] = Value::Null;
        }
        choice["message"] = message;
        let mut object = self.object("chat.completion", json!([choice]));
        if let Some(usage) = usage {
            object["usage"] = usage.clone();
        }
        object
    }
}

/// The usage that is counted for an answer.
pub(super) fn counted_usage(wire: Wire, request: &ChatRequest, text: &str) -> Value {
    let (prompt, completion) = (request.prompt_tokens(), tokens(text));
    let mut usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    });
    if wire == Wire::OpenAi {
        usage["prompt_tokens_details"] = json!({"cached_tokens": 0, "audio_tokens": 0});
        usage["completion_tokens_details"] = json!({
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        });
    }
    usage
}
