//! Bodies: JSON, or a form with JSON and files in it.

use axum::extract::{FromRequest as _, Multipart, Request};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::rest::call::Upload;
use crate::rest::error::{self, ApiError, invalid};

/// The largest request.
const REQUEST_BYTES_MAX: usize = 25 * 1024 * 1024;
/// The largest file without boosts.
const FILE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A parsed body.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) json: Value,
    pub(crate) files: Vec<Upload>,
}

impl Body {
    /// What the ledger keeps of it: the JSON, and names and sizes of files.
    pub(crate) fn recorded(&self) -> Value {
        if self.files.is_empty() {
            return self.json.clone();
        }
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({"filename": file.filename, "size": file.bytes.len()}))
            .collect();
        json!({"payload_json": self.json, "files": files})
    }
}

/// Reads and parses a body.
pub(crate) async fn read(request: Request) -> Result<Body, ApiError> {
    let kind = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
        return read_form(request).await;
    }
    let bytes = axum::body::to_bytes(request.into_body(), REQUEST_BYTES_MAX).await;
    let bytes = bytes.map_err(|_too_long| error::TOO_LARGE)?;
    Ok(Body { json: parse(&bytes)?, files: Vec::new() })
}

fn parse(bytes: &Bytes) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|_malformed| error::INVALID_JSON)
}

async fn read_form(request: Request) -> Result<Body, ApiError> {
    let broken = || invalid(&["_form"], "MULTIPART", "The form could not be read.");
    let mut form = Multipart::from_request(request, &()).await.map_err(|_bad| broken())?;
    let mut body = Body::default();
    let mut total = 0;
    while let Some(field) = form.next_field().await.map_err(|_bad| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(str::to_owned);
        let bytes = field.bytes().await.map_err(|_bad| broken())?;
        total += bytes.len();
        if bytes.len() > FILE_BYTES_MAX || total > REQUEST_BYTES_MAX {
            return Err(error::TOO_LARGE);
        }
        match filename {
            None if name == "payload_json" => body.json = parse(&bytes)?,
            None => set_field(&mut body.json, name, &bytes),
            Some(filename) => {
                let index = file_index(&name).unwrap_or(body.files.len() as u64);
                body.files.push(Upload { index, filename, content_type, bytes });
            }
        }
    }
    Ok(body)
}

/// Old clients send `content` and the like as fields of the form itself.
fn set_field(json: &mut Value, name: String, bytes: &Bytes) {
    if json.is_null() {
        *json = json!({});
    }
    if let Some(object) = json.as_object_mut() {
        object.entry(name).or_insert_with(|| json!(String::from_utf8_lossy(bytes)));
    }
}

/// The number in `files[n]`, `file[n]` or `filen`.
fn file_index(name: &str) -> Option<u64> {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}
