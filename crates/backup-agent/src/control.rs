//! Control is how a command reaches the running agent: a socket in a folder of its own.
//!
//! It is a Unix socket and no port: who may open the file may ask, and nobody else, whatever
//! network the container is on; `docker exec` stands in the same container and finds it. What is
//! asked for and what is answered are lines of JSON. Only jobs are asked for here. All that reads
//! copies (`list`, `plan`, `restore`, `export`) needs no running agent, on purpose: it must work
//! on the worst of days.

mod call;
mod serve;

use serde::{Deserialize, Serialize};

use crate::job::Job;

pub use call::{CallError, call};
pub use serve::{ServeError, Socket};

/// The longest line either side reads.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Do this job now, or after the one that runs.
    Do(Job),
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// How far it is.
    Progress(String),
    /// It is done.
    Done {
        /// What was done, for people.
        lines: Vec<String>,
        /// The same, for programs.
        report: serde_json::Value,
    },
    /// It failed, or was not taken.
    Failed(String),
}

#[cfg(test)]
mod tests;
