//! Rendering writes a record as one line: JSON for machines, plain words for people.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::record::{Record, Value};
use crate::lifecycle::ServiceInfo;
use crate::settings::TimeZone;

/// The names a JSON line gives itself; an event's field of the same name gets the prefix `field.`.
const OWN_NAMES: [&str; 12] = [
    "time", "level", "severity", "target", "message", "service", "version", "pid", "hostname",
    "trace_id", "span_id", "span",
];

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A line for people, coloured on a terminal.
    Human {
        /// Whether to use ANSI colours.
        colour: bool,
    },
    /// One JSON object.
    Json,
}

/// Renders records with what is the same on every line of this process.
#[derive(Debug, Clone)]
pub(super) struct Renderer {
    service: ServiceInfo,
    pid: u32,
    hostname: Arc<str>,
    zone: Option<jiff::tz::TimeZone>,
}

impl Renderer {
    pub(super) fn new(service: ServiceInfo, zone: TimeZone) -> Self {
        let name = rustix::system::uname();
        Self {
            service,
            pid: std::process::id(),
            hostname: name.nodename().to_string_lossy().into(),
            zone: match zone {
                TimeZone::Utc => None,
                TimeZone::Local => Some(jiff::tz::TimeZone::system()),
            },
        }
    }

    /// The record as one line, its newline included.
    pub(super) fn line(&self, record: &Record, style: Style) -> Vec<u8> {
        match style {
            Style::Json => self.json(record),
            Style::Human { colour } => self.human(record, colour).into_bytes(),
        }
    }

    /// A line that tells how many lines `output` lost, for its queue to write when it has room.
    pub(super) fn lost_lines(
        self,
        style: Style,
        output: &'static str,
    ) -> impl Fn(u64) -> Vec<u8> + Send + 'static {
        move |count| {
            let message =
                format!("{count} log lines were lost because {output} was too slow or full");
            self.line(&Record::of_the_log("warn", message), style)
        }
    }

    fn json(&self, record: &Record) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        let shown = JsonLine { renderer: self, record };
        if let Err(error) = serde_json::to_writer(&mut line, &shown) {
            line.clear();
            line.extend_from_slice(
                format!("{{\"level\":\"error\",\"message\":\"{error}\"}}").as_bytes(),
            );
        }
        line.push(b'\n');
        line
    }

    fn human(&self, record: &Record, colour: bool) -> String {
        let (dim, bright, reset) =
            if colour { ("\x1b[2m", level_colour(record.level), "\x1b[0m") } else { ("", "", "") };
        let mut line = format!(
            "{dim}{}{reset} {bright}{:>5}{reset} {dim}{}:{reset} ",
            self.time(record.time),
            record.level.to_uppercase(),
            record.target
        );
        push_plain(&mut line, &record.message);
        for (name, value) in record.fields.iter() {
            line.push(' ');
            line.push_str(dim);
            line.push_str(name);
            line.push('=');
            line.push_str(reset);
            match value {
                Value::Text(text) if needs_quotes(text) => {
                    line.push('"');
                    push_plain(&mut line, text);
                    line.push('"');
                }
                other => push_plain(&mut line, &other.to_string()),
            }
        }
        if let Some((trace_id, _)) = &record.trace {
            write!(line, " {dim}trace_id={trace_id}{reset}").expect("a string takes any text");
        }
        line.push('\n');
        line
    }

    fn time(&self, time: Timestamp) -> String {
        match &self.zone {
            None => format!("{time:.3}"),
            Some(zone) => {
                time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
            }
        }
    }
}

struct JsonLine<'a> {
    renderer: &'a Renderer,
    record: &'a Record,
}

impl Serialize for JsonLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { renderer, record } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &renderer.time(record.time))?;
        map.serialize_entry("level", record.level)?;
        map.serialize_entry("severity", severity(record.level))?;
        map.serialize_entry("target", &record.target)?;
        map.serialize_entry("message", &record.message)?;
        map.serialize_entry("service", renderer.service.name)?;
        map.serialize_entry("version", renderer.service.version)?;
        map.serialize_entry("pid", &renderer.pid)?;
        map.serialize_entry("hostname", &*renderer.hostname)?;
        if let Some((trace_id, span_id)) = &record.trace {
            map.serialize_entry("trace_id", trace_id)?;
            map.serialize_entry("span_id", span_id)?;
        }
        if let Some(span) = record.span {
            map.serialize_entry("span", span)?;
        }
        for (name, value) in record.fields.iter() {
            if OWN_NAMES.contains(name) {
                map.serialize_entry(&format!("field.{name}"), value)?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

/// The level as `grep ERROR` finds it; what is fatal is an error too.
fn severity(level: &str) -> &'static str {
    match level {
        "fatal" => "FATAL ERROR",
        "error" => "ERROR",
        "warn" => "WARN",
        "info" => "INFO",
        "debug" => "DEBUG",
        _ => "TRACE",
    }
}

fn level_colour(level: &str) -> &'static str {
    match level {
        "fatal" => "\x1b[1;41m",
        "error" => "\x1b[31m",
        "warn" => "\x1b[33m",
        "info" => "\x1b[32m",
        "debug" => "\x1b[34m",
        _ => "\x1b[35m",
    }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter == '"')
}

/// Control characters are written out, so that nothing logged can forge a line or a colour.
fn push_plain(line: &mut String, text: &str) {
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
}
