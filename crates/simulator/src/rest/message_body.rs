//! The body of a message: checked field by field, then made into a new message or an edit.

use serde_json::Value;

use crate::rest::call::{Call, Upload};
use crate::rest::channels::text_length;
use crate::rest::embeds;
use crate::rest::error::{self, ApiError, FieldErrors};
use crate::world::World;
use crate::world::entity::{Attachment, Message, message_flag};
use crate::world::id::Id;
use crate::world::mentions::AllowedMentions;

/// Characters of a message.
const CONTENT_MAX: usize = 2000;
/// Characters of a nonce.
const NONCE_MAX: usize = 25;
/// Files a message.
const FILES_MAX: usize = 10;
/// Flags a sender may set.
const FLAGS_SETTABLE: u64 = message_flag::SUPPRESS_EMBEDS
    | message_flag::SUPPRESS_NOTIFICATIONS
    | message_flag::IS_COMPONENTS_V2;

/// A message's body, checked.
#[derive(Debug)]
pub(crate) struct MessageBody {
    /// The text, trimmed as Discord does; absent when the body does not speak of it.
    pub(crate) content: Option<String>,
    /// Embeds as shown; absent when the body does not speak of them.
    pub(crate) embeds: Option<Vec<Value>>,
    /// Who may be pinged; absent for the defaults.
    pub(crate) allowed_mentions: Option<AllowedMentions>,
    /// Flags.
    pub(crate) flags: Option<u64>,
    /// The nonce, as sent.
    pub(crate) nonce: Option<Value>,
    /// Whether a known nonce answers with the message it was used for.
    pub(crate) enforce_nonce: bool,
    /// Read aloud.
    pub(crate) tts: bool,
}

impl MessageBody {
    /// Reads the body of a create or an edit.
    pub(crate) fn read(call: &Call) -> Result<Self, ApiError> {
        let body = &call.body;
        let mut errors = FieldErrors::default();
        if !(body.is_object() || body.is_null()) {
            let words = "Only dictionaries may be used in a DictType";
            return Err(error::invalid(&[], "DICT_TYPE_CONVERT", words));
        }
        let content = read_content(&body["content"], &mut errors);
        let embeds = embeds::read(&body["embeds"], &mut errors);
        check_nonce(&body["nonce"], &mut errors);
        check_allowed_mentions(&body["allowed_mentions"], &mut errors);
        check_files(call, &mut errors);
        check_simulated(body, &mut errors);
        errors.finish()?;
        let has = |key: &str| body.get(key).is_some();
        let allowed = &body["allowed_mentions"];
        Ok(Self {
            content: has("content").then_some(content),
            embeds: has("embeds").then_some(embeds),
            allowed_mentions: allowed.is_object().then(|| AllowedMentions::from_value(allowed)),
            flags: body["flags"].as_u64().map(|flags| flags & FLAGS_SETTABLE),
            nonce: Some(body["nonce"].clone()).filter(|nonce| !nonce.is_null()),
            enforce_nonce: body["enforce_nonce"].as_bool().unwrap_or(false),
            tts: body["tts"].as_bool().unwrap_or(false),
        })
    }

    /// The nonce as text, whatever it was sent as.
    pub(crate) fn nonce_text(&self) -> Option<String> {
        match self.nonce.as_ref()? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

fn read_content(value: &Value, errors: &mut FieldErrors) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => {
            let words = "Could not interpret value as string.";
            errors.add(&["content"], "STRING_TYPE_CONVERT", words);
            return String::new();
        }
    };
    if text.chars().count() > CONTENT_MAX {
        errors.too_long(&["content"], CONTENT_MAX);
    }
    text.trim().to_owned()
}

fn check_nonce(value: &Value, errors: &mut FieldErrors) {
    match value {
        Value::Null | Value::Number(_) => {}
        Value::String(text) if text.chars().count() <= NONCE_MAX => {}
        Value::String(_) => errors.too_long(&["nonce"], NONCE_MAX),
        _ => errors.add(&["nonce"], "STRING_TYPE_CONVERT", "Could not interpret value as string."),
    }
}

fn check_allowed_mentions(value: &Value, errors: &mut FieldErrors) {
    let list = |key: &str| value[key].as_array().map_or(&[][..], Vec::as_slice);
    for (index, word) in list("parse").iter().enumerate() {
        if !["users", "roles", "everyone"].iter().any(|known| word == known) {
            let index = index.to_string();
            errors.not_a_choice(
                &["allowed_mentions", "parse", &index],
                "'roles', 'users', 'everyone'",
            );
        }
    }
    for key in ["users", "roles"] {
        if list(key).len() > 100 {
            errors.too_long(&["allowed_mentions", key], 100);
        }
        let parsed = list("parse").iter().any(|word| word == key);
        if parsed && !list(key).is_empty() {
            let message = format!("parse:[\"{key}\"] and {key}: [ids...] are mutually exclusive.");
            errors.add(&["allowed_mentions"], "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message);
        }
    }
}

fn check_files(call: &Call, errors: &mut FieldErrors) {
    if call.files.len() > FILES_MAX {
        errors.too_long(&["attachments"], FILES_MAX);
    }
    let described = call.body["attachments"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, one) in described.iter().enumerate() {
        if text_length(&one["description"]) > 1024 {
            errors.too_long(&["attachments", &index.to_string(), "description"], 1024);
        }
    }
}

/// What is not simulated is refused rather than lost.
fn check_simulated(body: &Value, errors: &mut FieldErrors) {
    for key in ["components", "poll", "sticker_ids"] {
        let value = &body[key];
        if !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()) {
            errors.add(&[key], "NOT_SIMULATED", "This simulator does not have them yet.");
        }
    }
}

/// The files of a request as attachments, described by the body's `attachments`.
pub(crate) fn new_attachments(world: &mut World, call: &Call) -> Vec<Attachment> {
    let described = call.body["attachments"].as_array().map_or(&[][..], Vec::as_slice);
    call.files
        .iter()
        .map(|file| {
            let about = described.iter().find(|one| same_index(&one["id"], file));
            let text = |key: &str| about.and_then(|one| one[key].as_str()).map(str::to_owned);
            let filename = text("filename").unwrap_or_else(|| file.filename.clone());
            attachment(world, &filename, text("description"), file)
        })
        .collect()
}

fn same_index(id: &Value, file: &Upload) -> bool {
    Id::from_value(id) == Some(Id(file.index))
}

fn attachment(
    world: &mut World,
    filename: &str,
    description: Option<String>,
    file: &Upload,
) -> Attachment {
    let fallback = || "application/octet-stream".to_owned();
    Attachment {
        id: world.next_id(),
        filename: safe_name(filename),
        description,
        content_type: file.content_type.clone().unwrap_or_else(fallback),
        bytes: file.bytes.clone(),
    }
}

/// Discord keeps letters, digits, dots, dashes and underscores, and makes blanks underscores.
pub(crate) fn safe_name(name: &str) -> String {
    let kept: String = name
        .chars()
        .map(|sign| if sign.is_whitespace() { '_' } else { sign })
        .filter(|sign| sign.is_alphanumeric() || "._-".contains(*sign))
        .collect();
    if kept.is_empty() { "unknown".to_owned() } else { kept }
}

/// The attachments after an edit: those the body keeps and those it brings; `None` when it does
/// not speak of them.
pub(crate) fn edited_attachments(
    world: &mut World,
    call: &Call,
    message: &Message,
) -> Option<Vec<Attachment>> {
    if call.body.get("attachments").is_none() && call.files.is_empty() {
        return None;
    }
    let kept: Vec<Attachment> = match call.body.get("attachments") {
        Some(Value::Array(list)) => message
            .attachments
            .iter()
            .filter(|old| list.iter().any(|one| Id::from_value(&one["id"]) == Some(old.id)))
            .cloned()
            .collect(),
        Some(_) => Vec::new(),
        None => message.attachments.clone(),
    };
    Some(kept.into_iter().chain(new_attachments(world, call)).collect())
}

/// Refuses a message with nothing in it.
pub(crate) fn require_something(something: bool) -> Result<(), ApiError> {
    if something { Ok(()) } else { Err(error::EMPTY_MESSAGE) }
}

/// The field error of a reply to a message that is not there.
pub(crate) fn unknown_reference() -> ApiError {
    error::invalid(&["message_reference"], "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
}

/// The field error of a reply where history may not be read.
pub(crate) fn unreadable_reference() -> ApiError {
    let words = "Cannot reply without permission to read message history";
    let code = "REPLIES_CANNOT_REPLY_WITHOUT_READ_MESSAGE_HISTORY";
    ApiError { code: 160_002, ..error::invalid(&["message_reference"], code, words) }
}
