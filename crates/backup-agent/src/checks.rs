//! What `/health` says of the backups: pure rules over what is known, one check each.

mod words;

use std::time::Duration;

use chassis::Outcome;
use jiff::{SignedDuration, Timestamp};

use replica::follow::{FaultKind, Status};

use crate::config::Limits;
use crate::job::Job;
use crate::record::Record;

/// A follower that has not looked for so long does not look any more.
const HANGING: Duration = Duration::from_mins(1);
const GAP_TOLD: Duration = Duration::from_hours(24);

/// A disk and what is left of it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What the agent may still write.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// How a full copy stands: it must not be older than a night and two hours.
pub fn full(record: &Record, now: Timestamp, limits: &Limits) -> Outcome {
    let standing = record.of(Job::Full);
    let since = standing.succeeded.unwrap_or(record.since);
    if is_older(since, now, limits.full_age_max) {
        return words::full_too_old(standing, since, now);
    }
    match &standing.failure {
        Some(failure) => words::job_failed(Job::Full, failure),
        None if standing.succeeded.is_none() => words::first_full(),
        None => Outcome::Ok,
    }
}

/// How verification stands: a backup nobody has restored is a rumour.
pub fn verification(record: &Record, now: Timestamp, limits: &Limits) -> Outcome {
    let standing = record.of(Job::Verification);
    if let Some(failure) = &standing.failure {
        return words::not_verified(failure);
    }
    let since = standing.succeeded.unwrap_or(record.since);
    if is_older(since, now, limits.verification_age_max) {
        return words::verification_too_old(since, now);
    }
    Outcome::Ok
}

/// How differentials and audits stand. An audit that fails has found copies that differ.
pub fn job(job: Job, record: &Record) -> Outcome {
    match &record.of(job).failure {
        None => Outcome::Ok,
        Some(failure) if job == Job::Audit => words::audit_failed(failure),
        Some(failure) => words::job_failed(job, failure),
    }
}

/// How much room the copies have.
pub fn disk(room: Option<Room>, limits: &Limits) -> Outcome {
    match room {
        None => words::disk_unknown(),
        Some(room) => {
            let percent = room.free.saturating_mul(100) / room.total.max(1);
            if percent < limits.free_percent_min {
                words::disk_full(percent, room)
            } else {
                Outcome::Ok
            }
        }
    }
}

/// How following a database goes: whether what is written there is copied a moment later.
pub fn following(status: &Status, now: Timestamp, limits: &Limits) -> Outcome {
    if let Some(fault) = status.faults.first() {
        return match fault.kind {
            FaultKind::Missing => words::no_database(fault),
            _ => words::cannot_follow(fault),
        };
    }
    let looked = status.looked.map(|looked| now.duration_since(looked).unsigned_abs());
    match looked {
        None => return words::following_begins(),
        Some(silent) if silent > HANGING => return words::hangs(silent),
        Some(_) => {}
    }
    let lag = status.lag(now);
    if lag > limits.lag_max {
        return words::behind(lag);
    }
    if status.log_bytes > limits.wal_bytes_max {
        return words::log_too_long(status.log_bytes);
    }
    match &status.last_gap {
        Some(gap) if gap.pages > 0 && is_recent(gap.at, now) => words::gap_repaired(gap),
        _ => Outcome::Ok,
    }
}

/// A database that is not followed at all.
pub fn not_followed(why: &str) -> Outcome {
    words::not_followed(why)
}

/// A gap is told for a day: until the next audit has looked at every page.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() < GAP_TOLD
}

/// Whether the sheet without which nobody gets in has been put away.
pub fn sheet(confirmed: bool) -> Outcome {
    if confirmed { Outcome::Ok } else { words::sheet_unconfirmed() }
}

/// Whether the copies would outlive the disk that holds what they are copies of.
pub fn copies(beside: bool, elsewhere: usize) -> Outcome {
    if elsewhere > 0 || !beside { Outcome::Ok } else { words::one_volume() }
}

/// A moment in the future was written by a clock that was wrong: it proves nothing.
fn is_older(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    let age = now.duration_since(since);
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    age > limit || age < -limit
}

#[cfg(test)]
mod tests;
