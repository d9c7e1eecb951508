//! The chunks of an answer in the OpenAI dialect.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::decoder::Failure;
use crate::error::ErrorKind;
use crate::event::{Event, Stop, Usage};
use crate::openai::refusal::in_stream;

const END_MARK: &str = "[DONE]";
const NAME_LENGTH_MAX: usize = 128;

/// What has been read of one answer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    finish: Option<String>,
    end_mark: bool,
    refused: bool,
    usage: Option<Usage>,
    model: Option<String>,
}

/// Lenient on purpose: what is missing, null or new never costs an answer.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    /// A piece of the answer, or (`message`) the whole of it where the server ignored `stream`.
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    refusal: Option<String>,
    /// Named `reasoning_content` by llama.cpp, vLLM and `DeepSeek`, `reasoning` by `OpenRouter`,
    /// Ollama and Groq; some send both with the same words.
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Option<String>,
}

/// Whether `data` is complete. What was cut off at the end of the input is not.
pub(crate) fn is_readable(data: &str) -> bool {
    data.trim() == END_MARK || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

impl Reader {
    pub(crate) fn on_event(
        &mut self,
        name: &str,
        data: &str,
        out: &mut VecDeque<Event>,
    ) -> Result<(), Failure> {
        let data = data.trim();
        if self.end_mark {
            return Ok(());
        }
        if data == END_MARK {
            self.end_mark = true;
            return Ok(());
        }
        if name == "error" && !self.is_whole() {
            return Err(in_stream(&serde_json::from_str(data).unwrap_or_else(|_| data.into())));
        }
        match serde_json::from_str(data) {
            Ok(chunk) => self.on_chunk(chunk, out),
            // After the model's last word a broken frame can only cost the usage.
            Err(_) if self.is_whole() => Ok(()),
            Err(error) => Err(Failure::new(
                ErrorKind::Server,
                format!("a frame is not what the protocol allows ({})", category(&error)),
            )),
        }
    }

    /// A line outside any event: only an error is of interest.
    pub(crate) fn on_stray(&self, line: &str) -> Result<(), Failure> {
        match serde_json::from_str::<Value>(line) {
            Ok(value) if !self.is_whole() && value.get("error").is_some_and(|e| !e.is_null()) => {
                Err(in_stream(&value))
            }
            _ => Ok(()),
        }
    }

    /// The answer as one JSON document.
    pub(crate) fn on_document(
        &mut self,
        bytes: &[u8],
        out: &mut VecDeque<Event>,
    ) -> Result<(), Failure> {
        match serde_json::from_slice(bytes) {
            Ok(chunk) => self.on_chunk(chunk, out),
            Err(error) if error.is_eof() => Ok(()),
            Err(error) => Err(Failure::new(
                ErrorKind::Server,
                format!("the answer is not what the protocol allows ({})", category(&error)),
            )),
        }
    }

    fn on_chunk(&mut self, chunk: Chunk, out: &mut VecDeque<Event>) -> Result<(), Failure> {
        if let Some(error) = chunk.error.filter(|error| !error.is_null())
            && !self.is_whole()
        {
            return Err(in_stream(&error));
        }
        if self.model.is_none() {
            self.model = chunk.model.filter(|name| name.len() <= NAME_LENGTH_MAX);
        }
        // Cumulative wherever it is sent more than once, so the last one is the truth.
        if let Some(usage) = chunk.usage.as_ref().and_then(read_usage) {
            self.usage = Some(usage);
        }
        let before = out.len();
        for choice in chunk.choices.into_iter().flatten() {
            // One answer is asked for; anything else would mix two of them.
            if choice.index.unwrap_or(0) == 0 {
                self.on_choice(choice, out);
            }
        }
        if out.len() == before && !self.is_whole() {
            out.push_back(Event::Ping);
        }
        Ok(())
    }

    fn on_choice(&mut self, choice: Choice, out: &mut VecDeque<Event>) {
        if let Some(delta) = choice.delta {
            let thoughts = delta.reasoning_content.filter(|text| !text.is_empty());
            let thoughts = thoughts.or_else(|| delta.reasoning?.as_str().map(str::to_owned));
            push(out, Event::Reasoning, thoughts);
            let text = match delta.content {
                Some(Content::Text(text)) => Some(text),
                Some(Content::Parts(parts)) => {
                    Some(parts.into_iter().filter_map(|part| part.text).collect())
                }
                None => None,
            };
            push(out, Event::Text, text);
            self.refused |= delta.refusal.as_ref().is_some_and(|text| !text.is_empty());
            push(out, Event::Text, delta.refusal);
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish = Some(reason.chars().take(NAME_LENGTH_MAX).collect());
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.finish.is_some() || self.end_mark
    }

    pub(crate) fn is_over(&self) -> bool {
        self.end_mark
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(crate) fn conclude(&mut self) -> Result<Event, Failure> {
        let stop = match self.finish.as_deref() {
            Some("content_filter") => {
                let reason = "content_filter".to_owned();
                return Err(Failure::new(ErrorKind::Blocked { reason }, "the answer was cut"));
            }
            Some("error") => {
                return Err(Failure::new(ErrorKind::Server, "the provider gave up midway"));
            }
            _ if self.refused => Stop::Refusal,
            Some("stop" | "eos") => Stop::End,
            Some("length" | "max_tokens") => Stop::MaxTokens,
            Some("tool_calls" | "function_call") => Stop::ToolUse,
            Some(other) => Stop::Other(other.to_owned()),
            None if self.end_mark => Stop::Other("unspecified".to_owned()),
            None => {
                let message = "the stream ended before the answer did";
                return Err(Failure::new(ErrorKind::Truncated, message));
            }
        };
        Ok(Event::Done { stop, usage: self.usage })
    }
}

fn push(out: &mut VecDeque<Event>, event: fn(String) -> Event, text: Option<String>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push_back(event(text));
    }
}

/// `prompt_tokens` includes the cached ones, as ours does.
fn read_usage(value: &Value) -> Option<Usage> {
    let at = |path: &str| value.pointer(path).and_then(Value::as_u64);
    let input_tokens = at("/prompt_tokens");
    let output_tokens = at("/completion_tokens");
    if input_tokens.is_none() && output_tokens.is_none() {
        return None;
    }
    Some(Usage {
        input_tokens: input_tokens.unwrap_or(0),
        cache_read_tokens: at("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        cache_write_tokens: at("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
        output_tokens: output_tokens.unwrap_or(0),
        reasoning_tokens: at("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
    })
}

/// The parser's own message can quote the frame, and frames hold what people said.
fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Data => "unexpected type",
        serde_json::error::Category::Eof => "cut off",
    }
}
