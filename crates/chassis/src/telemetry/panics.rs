//! The panic hook: a panic is a fatal line in the log and a count in the metrics.

use std::panic;

/// Replaces the hook that would write to standard error, past redaction and past the log file.
pub(super) fn hook() {
    panic::set_hook(Box::new(|details| {
        let location = details.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        metrics::counter!("panics").increment(1);
        tracing::error!(
            fatal = true,
            panic.location = location,
            panic.thread = thread.name().unwrap_or("unnamed"),
            "panicked: {}",
            details.payload_as_str().unwrap_or("without a message")
        );
    }));
}
