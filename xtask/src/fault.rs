//! How a chore ends when it does not succeed: its exit code and its last words.

use std::fmt;

/// Exit code for a wrong command line or a setting that cannot work (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// Exit code after Ctrl-C, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// The person asked for something that cannot be done as asked; the text says what to do.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The person stopped the chore before it was done.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped before it was done")
    }
}

impl std::error::Error for Interrupted {}

/// The chore failed and everything about it was already said.
#[derive(Debug)]
pub(crate) struct AlreadySaid;

impl fmt::Display for AlreadySaid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("failed")
    }
}

impl std::error::Error for AlreadySaid {}

/// The exit code that tells a calling program what kind of failure this was.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        USAGE
    } else if error.is::<Interrupted>() {
        INTERRUPTED
    } else {
        1
    }
}

/// What is left to say about a failure, if anything.
pub(crate) fn message(error: &anyhow::Error) -> Option<String> {
    if error.is::<AlreadySaid>() {
        None
    } else if error.is::<Usage>() || error.is::<Interrupted>() {
        Some(format!("{error:#}"))
    } else {
        Some(format!("failed to {error:#}"))
    }
}
