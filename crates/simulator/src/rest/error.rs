//! Errors in Discord's shape.

use serde_json::{Map, Value, json};

use crate::rest::call::Answer;

/// What a request is refused with.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Discord's code.
    pub code: u64,
    /// Discord's words.
    pub message: &'static str,
    /// What is wrong with each field, for code 50035.
    pub errors: Option<Value>,
}

macro_rules! errors {
    ($($name:ident = $status:literal, $code:literal, $message:literal;)*) => {
        $(#[doc = $message] pub const $name: ApiError =
            ApiError { status: $status, code: $code, message: $message, errors: None };)*
    };
}

errors! {
    NOT_FOUND = 404, 0, "404: Not Found";
    METHOD_NOT_ALLOWED = 405, 0, "405: Method Not Allowed";
    UNAUTHORIZED = 401, 0, "401: Unauthorized";
    UNKNOWN_APPLICATION = 404, 10002, "Unknown Application";
    UNKNOWN_CHANNEL = 404, 10003, "Unknown Channel";
    UNKNOWN_GUILD = 404, 10004, "Unknown Guild";
    UNKNOWN_MEMBER = 404, 10007, "Unknown Member";
    UNKNOWN_MESSAGE = 404, 10008, "Unknown Message";
    UNKNOWN_OVERWRITE = 404, 10009, "Unknown Overwrite";
    UNKNOWN_ROLE = 404, 10011, "Unknown Role";
    UNKNOWN_USER = 404, 10013, "Unknown User";
    UNKNOWN_EMOJI = 400, 10014, "Unknown Emoji";
    UNKNOWN_COMMAND = 404, 10063, "Unknown application command";
    TOO_MANY_PINS = 400, 30003, "Maximum number of pins reached (50)";
    TOO_MANY_REACTIONS = 400, 30010, "Maximum number of reactions reached (20)";
    TOO_MANY_THREAD_MEMBERS = 400, 30033, "Maximum number of thread participants has been reached (1000)";
    TOO_MANY_COMMAND_CREATES = 429, 30034, "Maximum number of daily application command creates has been reached (200)";
    OLD_MESSAGE_EDITS = 429, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later";
    TOO_MANY_COMMANDS = 400, 30032, "Maximum number of application commands reached (100)";
    TOO_LARGE = 413, 40005, "Request entity too large";
    MISSING_ACCESS = 403, 50001, "Missing Access";
    DM_ACTION = 403, 50003, "Cannot execute action on a DM channel";
    NOT_AUTHOR = 403, 50005, "Cannot edit a message authored by another user";
    EMPTY_MESSAGE = 400, 50006, "Cannot send an empty message";
    CANNOT_DM_USER = 403, 50007, "Cannot send messages to this user";
    NON_TEXT_CHANNEL = 400, 50008, "Cannot send messages in a non-text channel";
    MISSING_PERMISSIONS = 403, 50013, "Missing Permissions";
    BULK_DELETE_COUNT = 400, 50016, "Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 messages to delete";
    SYSTEM_MESSAGE = 403, 50021, "Cannot execute action on a system message";
    WRONG_CHANNEL_TYPE = 400, 50024, "Cannot execute action on this channel type";
    BULK_DELETE_OLD = 400, 50034, "You can only bulk delete messages that are under 14 days old.";
    ARCHIVED_THREAD = 400, 50083, "Thread is archived";
    INVALID_JSON = 400, 50109, "The request body contains invalid JSON.";
    REACTION_BLOCKED = 403, 90001, "Reaction was blocked";
    THREAD_EXISTS = 400, 160_004, "A thread has already been created for this message";
    THREAD_LOCKED = 400, 160_005, "Thread is locked";
    TOO_MANY_THREADS = 400, 160_006, "Maximum number of active threads reached";
    SLOWMODE = 429, 20016, "This action cannot be performed due to slowmode rate limit";
}

impl ApiError {
    /// As an answer.
    pub fn into_answer(self) -> Answer {
        let mut body = json!({"message": self.message, "code": self.code});
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        Answer { status: self.status, body: Some(body) }
    }
}

/// What is wrong with the fields of a body, collected.
#[derive(Debug, Default)]
pub struct FieldErrors {
    root: Map<String, Value>,
}

impl FieldErrors {
    /// Adds an error to the field at `path`; list indexes are path elements too.
    ///
    /// # Panics
    ///
    /// When a field is named `_errors`.
    pub fn add(&mut self, path: &[&str], code: &str, message: impl Into<String>) {
        let mut node = &mut self.root;
        for part in path {
            let next = node.entry(*part).or_insert_with(|| json!({}));
            node = next.as_object_mut().expect("every node is made as an object");
        }
        let list = node.entry("_errors").or_insert_with(|| json!([]));
        let error = json!({"code": code, "message": message.into()});
        list.as_array_mut().expect("every list is made as an array").push(error);
    }

    /// Adds `BASE_TYPE_REQUIRED`.
    pub fn required(&mut self, path: &[&str]) {
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
    }

    /// Adds `BASE_TYPE_MAX_LENGTH`, in Discord's words for texts.
    pub fn too_long(&mut self, path: &[&str], max: usize) {
        self.add(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."));
    }

    /// Adds the error of a text of the wrong length.
    pub fn bad_length(&mut self, path: &[&str], min: usize, max: usize) {
        let message = format!("Must be between {min} and {max} in length.");
        self.add(path, "BASE_TYPE_BAD_LENGTH", message);
    }

    /// Adds the error of a value that is not among the choices.
    pub fn not_a_choice(&mut self, path: &[&str], choices: &str) {
        let message = format!("Value must be one of {{{choices}}}.");
        self.add(path, "BASE_TYPE_CHOICES", message);
    }

    /// The refusal, when anything was wrong.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.root.is_empty() {
            return Ok(());
        }
        let errors = Some(Value::Object(self.root));
        Err(ApiError { status: 400, code: 50035, message: "Invalid Form Body", errors })
    }
}

/// A refusal for one field.
pub fn invalid(path: &[&str], code: &str, message: &str) -> ApiError {
    let mut errors = FieldErrors::default();
    errors.add(path, code, message);
    match errors.finish() {
        Err(error) => error,
        Ok(()) => NOT_FOUND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_errors_nest_as_the_body_does() {
        let mut errors = FieldErrors::default();
        errors.too_long(&["embeds", "0", "title"], 256);
        errors.required(&["name"]);
        let body = errors.finish().unwrap_err().into_answer().body.unwrap();
        assert_eq!(body["code"], 50035);
        assert_eq!(
            body["errors"]["embeds"]["0"]["title"]["_errors"][0]["code"],
            "BASE_TYPE_MAX_LENGTH"
        );
        assert_eq!(body["errors"]["name"]["_errors"][0]["message"], "This field is required");
    }
}
