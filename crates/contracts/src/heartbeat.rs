//! What a job says of itself when it starts and when it ends.

use serde::{Deserialize, Serialize};

/// Where a run of a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// It has begun.
    Started,
    /// It has ended well.
    Succeeded,
    /// It has ended without its result.
    Failed {
        /// What went wrong, in a sentence without secrets and without people's words.
        error: String,
    },
}

/// A sign of life of a job. Times are absolute, so that whoever hears it late still knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The service whose job it is.
    pub service: String,
    /// The job's name, as in the subject.
    pub job: String,
    /// When this run began, in milliseconds since the Unix epoch: with the job it names the run.
    pub started_at_unix_ms: u64,
    /// When this was said, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// When the next run is due, in milliseconds since the Unix epoch; absent for a job that runs
    /// only when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_unix_ms: Option<u64>,
    /// Where it stands.
    #[serde(flatten)]
    pub phase: Phase,
}

impl Heartbeat {
    /// The subject it is published on.
    pub fn subject(&self) -> String {
        crate::subject::heartbeat(&self.job)
    }

    /// Its message id: the same word of the same run is stored once.
    pub fn id(&self) -> String {
        let word = match self.phase {
            Phase::Started => "started",
            Phase::Succeeded => "succeeded",
            Phase::Failed { .. } => "failed",
        };
        format!("{}.{}.{}.{word}", self.service, self.job, self.started_at_unix_ms)
    }
}
