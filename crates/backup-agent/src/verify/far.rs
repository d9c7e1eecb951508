//! A history brought from a far side for a trial.

use std::path::Path;

use anyhow::Context as _;
use objects::{Envelope, Target};
use replica::disk::Disk;
use replica::tree::{At, Tree};
use tokio::runtime::Handle;

use crate::offsite::{bring_back, timelines};

/// What a far side gave.
#[derive(Debug)]
pub enum Fetched {
    /// The history, ready to be read.
    History(Tree),
    /// It is wrapped for a key that is not on this machine. Its list leads without a gap to this
    /// transaction; more cannot be known here.
    Sealed {
        /// The newest transaction.
        newest: u64,
    },
}

/// Brings the history of a database that was written to last from `target` into the folder `into`.
///
/// It blocks, and must not be called on one of the threads of `runtime` itself.
///
/// # Errors
/// What the far side said, or what is wrong with what lies there.
pub fn fetch(
    target: &Target,
    envelope: Option<&Envelope>,
    runtime: &Handle,
    database: &str,
    into: &Path,
) -> anyhow::Result<Fetched> {
    let there = runtime.block_on(timelines(target, database))?;
    let timeline = there
        .iter()
        .max_by_key(|timeline| timeline.catalogue.newest().map(|entry| entry.time_ms))
        .context("nothing of it lies there yet")?;
    if timeline.sealed && !envelope.is_some_and(Envelope::can_open) {
        let plan = timeline.catalogue.plan(At::Latest)?;
        return Ok(Fetched::Sealed { newest: plan.txid });
    }
    runtime.block_on(bring_back(target, envelope, timeline, None, into))?;
    Ok(Fetched::History(Tree::open(into, Disk::default())?))
}
