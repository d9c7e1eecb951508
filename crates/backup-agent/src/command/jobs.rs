//! `now`, `audit` and `verify`: jobs that the running agent does when it is asked.

use chassis::{Answer, Command, Reader};

use super::{Refusal, answer, progress};
use crate::config;
use crate::control::{CallError, Order, call};
use crate::job::Job;
use crate::runner::Done;

/// `backup-agent now`.
pub(super) const NOW: Command = Command {
    name: "now",
    usage: "now [differential]        copy everything now (or only what changed), and say what was made",
    run: now,
};
/// `backup-agent audit`.
pub(super) const AUDIT: Command = Command {
    name: "audit",
    usage: "audit                     hold every page of every database against its copy",
    run: |reader, words| only(reader, words, Job::Audit),
};
/// `backup-agent verify`.
pub(super) const VERIFY: Command = Command {
    name: "verify",
    usage: "verify                    restore for a trial, and look at what came back",
    run: |reader, words| only(reader, words, Job::Verification),
};

fn now(reader: &mut Reader, words: &[String]) -> Answer {
    answer(words, &[], |words| {
        let rest: Vec<&str> = words.rest.iter().map(String::as_str).collect();
        let job = match rest.as_slice() {
            [] | ["full"] => Job::Full,
            ["differential"] => Job::Differential,
            [unknown, ..] => {
                return Err(Refusal::usage(format!(
                    "{unknown} is not known here; say `now`, or `now differential`"
                )));
            }
        };
        ask(reader, job)
    })
}

fn only(reader: &mut Reader, words: &[String], job: Job) -> Answer {
    answer(words, &[], |words| {
        words.no_more().map_err(Refusal::usage)?;
        ask(reader, job)
    })
}

/// Asks the running agent, which alone may write into the repository.
fn ask(reader: &mut Reader, job: Job) -> Result<Done, Refusal> {
    let socket = config::socket(reader);
    call(&socket, Order::Do(job), progress).map_err(|error| match error {
        CallError::Absent { .. } => Refusal::unavailable(error),
        CallError::Gone | CallError::Failed(_) => Refusal::failed(error),
    })
}
