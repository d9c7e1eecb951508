//! A record is one event of the log before it is rendered, already redacted.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

use super::redact::{REDACTED, redact_text, secret_key};

/// The longest value a record keeps; the rest of a longer one is cut off.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// A field's value, kept in its own kind so that JSON readers can compute with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Signed(number) => number.fmt(formatter),
            Self::Unsigned(number) => number.fmt(formatter),
            Self::Float(number) => number.fmt(formatter),
            Self::Flag(flag) => flag.fmt(formatter),
        }
    }
}

/// Named values in the order in which they were given; a name given again takes the later value.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter()
    }

    pub(super) fn extend_from(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            self.put(name, value.clone());
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(index).1)
    }

    fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Redaction happens here, on the way in: what a record holds can be shown anywhere.
    fn put_text(&mut self, name: &'static str, text: &str) {
        let shown = if secret_key(name) {
            REDACTED.to_owned()
        } else {
            redact_text(cut(text)).into_owned()
        };
        self.put(name, Value::Text(shown));
    }

    /// Counts of tokens are figures, but any other number under a secret's name is a secret.
    fn put_number(&mut self, name: &'static str, value: Value) {
        if secret_key(name) && !name.to_ascii_lowercase().contains("tokens") {
            self.put(name, Value::Text(REDACTED.to_owned()));
        } else {
            self.put(name, value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_number(field.name(), Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_number(field.name(), Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put_number(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::Flag(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            write!(text, ": {error}").expect("a string takes any text");
            source = error.source();
        }
        self.put_text(field.name(), &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format!("{value:?}"));
    }
}

/// One event of the log.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) level: &'static str,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) span: Option<&'static str>,
    pub(super) trace: Option<(String, String)>,
    pub(super) fields: Fields,
}

impl Record {
    pub(super) fn new(
        metadata: &Metadata<'_>,
        mut fields: Fields,
        span: Option<&'static str>,
    ) -> Self {
        let message = fields.take("message").map(|value| value.to_string()).unwrap_or_default();
        let fatal =
            *metadata.level() == Level::ERROR && fields.0.contains(&("fatal", Value::Flag(true)));
        let level = if fatal { "fatal" } else { level_name(*metadata.level()) };
        Self {
            time: Timestamp::now(),
            level,
            target: metadata.target().to_owned(),
            message,
            span,
            trace: current_trace(),
            fields,
        }
    }

    /// A record the log writes about itself.
    pub(super) fn of_the_log(level: &'static str, message: String) -> Self {
        Self {
            time: Timestamp::now(),
            level,
            target: module_path!().to_owned(),
            message,
            span: None,
            trace: None,
            fields: Fields::default(),
        }
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.level == "fatal"
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

/// Trace and span id of the span this thread is in.
fn current_trace() -> Option<(String, String)> {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    })
}

fn cut(text: &str) -> &str {
    if text.len() <= VALUE_BYTES_MAX {
        return text;
    }
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}
