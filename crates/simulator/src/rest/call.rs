//! A request as handlers see it, and the answer they give.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;

use crate::rest::error::{ApiError, invalid};
use crate::world::id::Id;

/// A file of a multipart request.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The number in `files[n]`.
    pub index: u64,
    /// The name it came with.
    pub filename: String,
    /// The media type it came with.
    pub content_type: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

/// A request, parsed.
#[derive(Debug, Default)]
pub struct Call {
    /// The method and template that matched, such as `GET /channels/{channel_id}`.
    pub route: &'static str,
    /// The values of the template's braces, in order.
    pub params: Vec<String>,
    /// The query.
    pub query: HashMap<String, String>,
    /// The JSON body; null when there is none.
    pub body: Value,
    /// The files.
    pub files: Vec<Upload>,
}

impl Call {
    /// The id in the `index`th brace of the template.
    pub fn id(&self, index: usize) -> Result<Id, ApiError> {
        let text = self.params.get(index).map_or("", String::as_str);
        text.parse().map_err(|_not_a_number| {
            let message = format!("Value \"{text}\" is not snowflake.");
            invalid(&[self.param_name(index)], "NUMBER_TYPE_COERCE", &message)
        })
    }

    /// The text in the `index`th brace of the template.
    pub fn text(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    fn param_name(&self, index: usize) -> &'static str {
        let names = self.route.split('/').filter(|part| part.starts_with('{'));
        names.map(|part| part.trim_matches(['{', '}'])).nth(index).unwrap_or("id")
    }

    /// The `limit` of the query.
    pub fn limit(&self, default: usize, min: usize, max: usize) -> Result<usize, ApiError> {
        let Some(text) = self.query.get("limit") else { return Ok(default) };
        let message = format!("int value should be between {min} and {max}.");
        text.parse()
            .ok()
            .filter(|limit| (min..=max).contains(limit))
            .ok_or_else(|| invalid(&["limit"], "NUMBER_TYPE_RANGE", &message))
    }

    /// An id in the query.
    pub fn query_id(&self, name: &'static str) -> Result<Option<Id>, ApiError> {
        let Some(text) = self.query.get(name) else { return Ok(None) };
        let message = format!("Value \"{text}\" is not snowflake.");
        text.parse()
            .map(Some)
            .map_err(|_not_a_number| invalid(&[name], "NUMBER_TYPE_COERCE", &message))
    }

    /// Whether the query says yes.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.query.get(name).map(String::as_str), Some("true" | "True" | "1"))
    }
}

/// A status and perhaps a body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Option<Value>,
}

impl Answer {
    /// 200 with a body.
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    /// 201 with a body.
    pub fn created(body: Value) -> Self {
        Self { status: 201, body: Some(body) }
    }

    /// 204.
    pub fn empty() -> Self {
        Self { status: 204, body: None }
    }
}

/// What a handler gives back.
pub type Outcome = Result<Answer, ApiError>;

/// A 404 when `found` is nothing.
pub fn known<T>(found: Option<T>, unknown: ApiError) -> Result<T, ApiError> {
    found.ok_or(unknown)
}
