//! A request as the OpenAI dialect wants it.

use serde::Serialize;

use crate::provider::OpenAiOptions;
use crate::request::{Message, Request, Role};

const NAME_LENGTH_MAX: usize = 64;
const SAFETY_IDENTIFIER_LENGTH_MAX: usize = 128;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The JSON to post.
pub(crate) fn body(request: &Request, options: &OpenAiOptions) -> Vec<u8> {
    let system = (!request.system.is_empty()).then(|| WireMessage {
        role: "system",
        content: request.system.clone(),
        name: None,
    });
    let messages = request.messages.iter().map(|message| wire_message(message, options));
    let limit = Some(request.max_output_tokens);
    let body = Body {
        model: &request.model,
        messages: system.into_iter().chain(messages).collect(),
        stream: true,
        stream_options: options.stream_usage.then_some(StreamOptions { include_usage: true }),
        max_tokens: limit.filter(|_| !options.max_completion_tokens),
        max_completion_tokens: limit.filter(|_| options.max_completion_tokens),
        // JSON has no word for NaN or infinity.
        temperature: request.temperature.filter(|value| value.is_finite()),
        safety_identifier: request
            .user_hash
            .as_deref()
            .filter(|hash| options.safety_identifier && hash.len() <= SAFETY_IDENTIFIER_LENGTH_MAX),
    };
    serde_json::to_vec(&body).expect("strings and numbers always serialise")
}

fn wire_message<'a>(message: &'a Message, options: &OpenAiOptions) -> WireMessage<'a> {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let name = message.name.as_deref().filter(|name| options.names && is_machine_name(name));
    WireMessage { role, content: message.text(), name }
}

fn is_machine_name(name: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request() -> Request {
        Request {
            max_output_tokens: 64,
            temperature: Some(0.5),
            user_hash: Some("ab12".into()),
            ..Request::new("m", "be kind")
        }
        .with(Message::user("おはよう").named("u_1"))
        .with(Message::assistant("good morning").named("猫"))
    }

    fn sent(request: &Request, options: &OpenAiOptions) -> Value {
        serde_json::from_slice(&body(request, options)).unwrap()
    }

    #[test]
    fn the_official_api_gets_its_newest_fields() {
        assert_eq!(
            sent(&request(), &OpenAiOptions::official()),
            json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": "おはよう", "name": "u_1"},
                    {"role": "assistant", "content": "good morning"},
                ],
                "stream": true,
                "stream_options": {"include_usage": true},
                "max_completion_tokens": 64,
                "temperature": 0.5,
                "safety_identifier": "ab12",
            })
        );
    }

    #[test]
    fn other_servers_get_only_what_all_understand() {
        let sent = sent(&request(), &OpenAiOptions::compatible());
        assert_eq!(sent["max_tokens"], 64);
        assert_eq!(sent["messages"][1], json!({"role": "user", "content": "おはよう"}));
        for absent in ["max_completion_tokens", "safety_identifier"] {
            assert_eq!(sent.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn what_is_not_set_is_not_sent() {
        let request = Request { temperature: Some(f32::NAN), ..Request::new("m", "") };
        let options = OpenAiOptions { stream_usage: false, ..OpenAiOptions::official() };
        assert_eq!(
            sent(&request, &options),
            json!({"model": "m", "messages": [], "stream": true, "max_completion_tokens": 1024})
        );
    }
}
