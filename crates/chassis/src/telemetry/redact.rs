//! Redaction: secrets and e-mail addresses are taken out of everything that is logged.

mod scan;

use std::borrow::Cow;

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Words that mark a field as secret wherever they occur in its name.
const SECRET_PARTS: [&str; 9] = [
    "token",
    "api_key",
    "apikey",
    "api-key",
    "secret",
    "password",
    "passwd",
    "authorization",
    "credential",
];
/// Names that are private as the last part of a path, such as `user.email`.
const SECRET_NAMES: [&str; 4] = ["email", "cookie", "set-cookie", "private_key"];

/// Whether a field of this name (a path such as `req.headers.authorization`) holds a secret.
pub(super) fn secret_key(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let last = path.rsplit('.').next().unwrap_or(&path);
    SECRET_PARTS.iter().any(|part| path.contains(part)) || SECRET_NAMES.contains(&last)
}

/// `text` without Discord tokens, API keys, bearer tokens, passwords in URLs, webhook tokens, values
/// of keys named like secrets, and e-mail addresses.
///
/// ```
/// use chassis::telemetry::redact_text;
/// assert_eq!(redact_text("asked with Bearer abc.def"), "asked with Bearer [redacted]");
/// assert_eq!(redact_text("nothing to hide"), "nothing to hide");
/// ```
pub fn redact_text(text: &str) -> Cow<'_, str> {
    scan::redact(text)
}
