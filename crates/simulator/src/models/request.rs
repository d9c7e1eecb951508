//! A chat request as the OpenAI-style wire understands it, or why it was refused.

use serde_json::{Map, Value};

use crate::models::fail::ApiError;

/// Parameters the real API knows; others are refused.
const KNOWN: [&str; 37] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
    "moderation",
];

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];

/// One message, reduced to its text.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) text: String,
}

/// What an answer needs to know of a request.
#[derive(Clone, Debug)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) obfuscate: bool,
    pub(super) output_tokens_max: Option<u64>,
}

impl ChatRequest {
    /// The text of the last message that a user sent.
    pub(super) fn last_user_text(&self) -> &str {
        self.texts_of("user").next().unwrap_or_default()
    }

    /// Texts of one role, newest first.
    pub(super) fn texts_of(&self, role: &'static str) -> impl Iterator<Item = &str> {
        self.messages
            .iter()
            .rev()
            .filter(move |message| message.role == role)
            .map(|message| message.text.as_str())
    }

    /// Estimated tokens of the whole prompt.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.messages.iter().map(|message| tokens(&message.text) + 4).sum::<u64>() + 3
    }
}

/// Estimated tokens: four characters of Latin text, or one of any other script, make one.
pub(super) fn tokens(text: &str) -> u64 {
    let wide = text.chars().filter(|character| !character.is_ascii()).count() as u64;
    let narrow = text.chars().filter(char::is_ascii).count() as u64;
    wide + narrow.div_ceil(4)
}

/// Reads and validates a request body; `strict` refuses parameters the real API does not know.
pub(super) fn parse(body: &[u8], strict: bool) -> Result<ChatRequest, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::invalid(format!("We could not parse the JSON body of your request: {error}."))
    })?;
    let Value::Object(fields) = value else {
        return Err(ApiError::invalid("The body of your request must be a JSON object."));
    };
    if strict && let Some(key) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(ApiError::invalid(format!("Unrecognized request argument supplied: {key}")));
    }
    let model = match fields.get("model") {
        Some(Value::String(model)) if !model.is_empty() => model.clone(),
        None | Some(Value::Null | Value::String(_)) => {
            return Err(ApiError::invalid("you must provide a model parameter"));
        }
        Some(other) => return Err(wrong_type("model", "a string", other)),
    };
    let stream = flag(&fields, "stream")?.unwrap_or(false);
    let (include_usage, obfuscate) = stream_options(&fields, stream)?;
    range(&fields, "temperature", 2.0)?;
    range(&fields, "top_p", 1.0)?;
    Ok(ChatRequest {
        model,
        messages: messages(&fields)?,
        stream,
        include_usage,
        obfuscate,
        output_tokens_max: output_tokens_max(&fields)?,
    })
}

fn stream_options(fields: &Map<String, Value>, stream: bool) -> Result<(bool, bool), ApiError> {
    match fields.get("stream_options") {
        None | Some(Value::Null) => Ok((false, true)),
        Some(_) if !stream => Err(ApiError::invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
        .param("stream_options")),
        Some(Value::Object(options)) => Ok((
            flag(options, "include_usage")?.unwrap_or(false),
            flag(options, "include_obfuscation")?.unwrap_or(true),
        )),
        Some(other) => Err(wrong_type("stream_options", "an object", other)),
    }
}

fn output_tokens_max(fields: &Map<String, Value>) -> Result<Option<u64>, ApiError> {
    let new = count(fields, "max_completion_tokens")?;
    let old = count(fields, "max_tokens")?;
    if new.is_some() && old.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not \
                       supported.";
        return Err(ApiError::invalid(message)
            .param("max_tokens")
            .code("invalid_parameter_combination"));
    }
    Ok(new.or(old))
}

fn messages(fields: &Map<String, Value>) -> Result<Vec<Message>, ApiError> {
    let list = match fields.get("messages") {
        None | Some(Value::Null) => return Err(missing("messages")),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(wrong_type("messages", "an array of objects", other)),
    };
    if list.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, \
                       but got an empty array instead.";
        return Err(ApiError::invalid(message).param("messages").code("empty_array"));
    }
    list.iter().enumerate().map(|(index, message)| read_message(index, message)).collect()
}

fn read_message(index: usize, value: &Value) -> Result<Message, ApiError> {
    let at = format!("messages[{index}]");
    let Value::Object(message) = value else {
        return Err(wrong_type(&at, "an object", value));
    };
    let role = match message.get("role") {
        Some(Value::String(role)) => role.clone(),
        None | Some(Value::Null) => return Err(missing(&format!("{at}.role"))),
        Some(other) => return Err(wrong_type(&format!("{at}.role"), "a string", other)),
    };
    if !ROLES.contains(&role.as_str()) {
        let message = format!(
            "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', \
             'function', 'tool', and 'developer'."
        );
        return Err(ApiError::invalid(message).param(format!("{at}.role")).code("invalid_value"));
    }
    name(&at, message.get("name"))?;
    let calls_tools = message.get("tool_calls").is_some_and(Value::is_array);
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts_text(&at, parts)?,
        None | Some(Value::Null) if role == "assistant" && calls_tools => String::new(),
        None => return Err(missing(&format!("{at}.content"))),
        Some(Value::Null) => {
            let message = "Invalid value for 'content': expected a string, got null.";
            return Err(ApiError::invalid(message).param(format!("messages.[{index}].content")));
        }
        Some(other) => {
            let expected = "one of a string or array of objects";
            return Err(wrong_type(&format!("{at}.content"), expected, other));
        }
    };
    Ok(Message { role, text })
}

/// A name may hold any character but white space and `<|\/>`.
fn name(at: &str, name: Option<&Value>) -> Result<(), ApiError> {
    let name = match name {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(name)) => name,
        Some(other) => return Err(wrong_type(&format!("{at}.name"), "a string", other)),
    };
    let refused = |character: char| character.is_whitespace() || r"<|\/>".contains(character);
    if name.is_empty() || name.chars().any(refused) {
        let message = format!(
            r"Invalid '{at}.name': string does not match pattern. Expected a string that matches the pattern '^[^\s<|\\/>]+$'."
        );
        return Err(ApiError::invalid(message).param(format!("{at}.name")).code("invalid_value"));
    }
    Ok(())
}

fn parts_text(at: &str, parts: &[Value]) -> Result<String, ApiError> {
    let mut texts = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}.content[{index}]");
        match part["type"].as_str() {
            Some("text") => match part["text"].as_str() {
                Some(text) => texts.push(text),
                None => return Err(missing(&format!("{at}.text"))),
            },
            Some("image_url" | "input_audio" | "file" | "refusal") => {}
            Some(other) => {
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'text', 'image_url', \
                     'input_audio', 'refusal', and 'file'."
                );
                return Err(ApiError::invalid(message)
                    .param(format!("{at}.type"))
                    .code("invalid_value"));
            }
            None => return Err(missing(&format!("{at}.type"))),
        }
    }
    Ok(texts.join("\n"))
}

fn flag(fields: &Map<String, Value>, key: &str) -> Result<Option<bool>, ApiError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(wrong_type(key, "a boolean", other)),
    }
}

fn count(fields: &Map<String, Value>, key: &str) -> Result<Option<u64>, ApiError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match (value.as_u64(), value.as_i64()) {
            (Some(0), _) | (None, Some(_)) => Err(ApiError::invalid(format!(
                "Invalid '{key}': integer below minimum value. Expected a value >= 1, but got \
                 {value} instead."
            ))
            .param(key)
            .code("integer_below_min_value")),
            (Some(count), _) => Ok(Some(count)),
            (None, None) => Err(wrong_type(key, "an integer", value)),
        },
    }
}

fn range(fields: &Map<String, Value>, key: &str, max: f64) -> Result<(), ApiError> {
    let value = match fields.get(key) {
        None | Some(Value::Null) => return Ok(()),
        Some(value) => value,
    };
    let Some(number) = value.as_f64() else {
        return Err(wrong_type(key, "a decimal", value));
    };
    let (word, sign, bound, code) = if number > max {
        ("above maximum", "<=", max, "decimal_above_max_value")
    } else if number < 0.0 {
        ("below minimum", ">=", 0.0, "decimal_below_min_value")
    } else {
        return Ok(());
    };
    let message = format!(
        "Invalid '{key}': decimal {word} value. Expected a value {sign} {bound}, but got {value} \
         instead."
    );
    Err(ApiError::invalid(message).param(key).code(code))
}

fn missing(param: &str) -> ApiError {
    ApiError::invalid(format!("Missing required parameter: '{param}'."))
        .param(param)
        .code("missing_required_parameter")
}

fn wrong_type(param: &str, expected: &str, got: &Value) -> ApiError {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    ApiError::invalid(format!(
        "Invalid type for '{param}': expected {expected}, but got {got} instead."
    ))
    .param(param)
    .code("invalid_type")
}
