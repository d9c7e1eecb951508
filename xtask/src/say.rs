//! The one place where chores speak to the person who started them.

use std::io::Write;

/// Writes one line to standard output: results, what another program may read.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) is no reason to fail a chore.
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Writes text to standard output as it is, at once: a reply that is still growing.
pub(crate) fn piece(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(write!(out, "{text}").and_then(|()| out.flush()));
}

/// Writes one line to standard error: progress and faults.
pub(crate) fn aside(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Writes text to standard error as it is, at once.
pub(crate) fn aside_piece(text: &str) {
    let mut out = std::io::stderr().lock();
    drop(write!(out, "{text}").and_then(|()| out.flush()));
}
