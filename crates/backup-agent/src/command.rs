//! The commands at the terminal and by `docker exec`: `now`, `list`, `restore` and their like.

mod export;
mod jobs;
mod list;
mod plan;
mod restore;
mod sheet;
mod words;

use std::fmt::Display;
use std::io::{self, Write as _};

use chassis::{Answer, Command, Reader};

use crate::config::Config;
use crate::runner::Done;
use words::Words;

/// Every command, for the service's `main`.
pub const COMMANDS: [Command; 8] = [
    jobs::NOW,
    list::COMMAND,
    plan::COMMAND,
    restore::COMMAND,
    export::COMMAND,
    jobs::VERIFY,
    jobs::AUDIT,
    sheet::COMMAND,
];

/// The exit codes of sysexits.h that are used here.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const FAILED: u8 = 1;

/// Why a command was not done.
#[derive(Debug)]
struct Refusal {
    code: u8,
    words: String,
}

impl Refusal {
    fn usage(words: impl Into<String>) -> Self {
        Self { code: USAGE, words: words.into() }
    }

    fn failed(error: impl Display) -> Self {
        Self { code: FAILED, words: format!("{error:#}") }
    }

    fn unavailable(error: impl Display) -> Self {
        Self { code: UNAVAILABLE, words: error.to_string() }
    }
}

/// Reads the words by `known` options, does the work, and puts what came of it into an answer:
/// lines for people, or with `--json` one object for programs.
fn answer(
    words: &[String],
    known: &[&'static str],
    work: impl FnOnce(&Words) -> Result<Done, Refusal>,
) -> Answer {
    let outcome = Words::read(words, known).map_err(Refusal::usage);
    let json = outcome.as_ref().is_ok_and(|words| words.has("--json"));
    match outcome.and_then(|words| work(&words)) {
        Ok(done) if json => {
            Answer { out: format!("{}\n", done.report), complaint: String::new(), code: 0 }
        }
        Ok(done) => {
            let out = done.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            Answer { out, complaint: String::new(), code: 0 }
        }
        Err(refusal) => {
            let out = if json {
                format!("{}\n", serde_json::json!({ "refused": refusal.words }))
            } else {
                String::new()
            };
            Answer { out, complaint: refusal.words, code: refusal.code }
        }
    }
}

/// The settings, as the running agent reads them; the reader tells their faults.
fn config(reader: &mut Reader) -> Result<Config, Refusal> {
    Config::read(reader).ok_or_else(|| Refusal::usage("the settings are at fault"))
}

/// Says how far a long command is, beside its answer.
fn progress(text: &str) {
    let mut terminal = io::stderr().lock();
    if writeln!(terminal, "{text}").is_err() {
        tracing::trace!("nobody reads the progress");
    }
}

#[cfg(test)]
mod tests;
