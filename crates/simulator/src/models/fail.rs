//! Errors in the shape of the OpenAI-style wire.

use serde_json::{Value, json};

/// An error as `{"error":{"message","type","param","code"}}` with its status.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl ApiError {
    /// A 400 of a bad request.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self { status: 400, message: message.into(), kind, param: None, code: None }
    }

    /// Names the parameter that is at fault.
    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds the machine-readable code.
    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Changes the status.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The usual error of a status, for scripts and faults that name only that.
    pub(super) fn usual(status: u16) -> Self {
        let (message, kind, code) = match status {
            401 => {
                ("Incorrect API key provided.", "invalid_request_error", Some("invalid_api_key"))
            }
            403 => ("You are not allowed to do that.", "invalid_request_error", None),
            404 => ("The model does not exist.", "invalid_request_error", Some("model_not_found")),
            429 => ("Rate limit reached for requests.", "requests", Some("rate_limit_exceeded")),
            503 => ("The server is overloaded or not ready yet.", "server_error", None),
            400..=499 => ("The request was refused.", "invalid_request_error", None),
            _ => ("The server had an error while processing your request.", "server_error", None),
        };
        Self { status, message: message.into(), kind, param: None, code }
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
}
