//! The schedule says which job is due: by the clock on the wall, each hour of it once.
//!
//! Pure rules: the moment and what ran before are given, so that years can be played in a test.
//!
//! A pattern is read against the wall clock and only then placed on the line of time. An hour that
//! the wall clock skips in spring is made up for right after the gap; an hour that it shows twice
//! in autumn counts the first time only. So "02:00" is one run a day, whatever the zone does.

mod pattern;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::job::Job;
use crate::record::{Cause, Record, Standing};

pub use pattern::Pattern;

/// How long after a failure the same run is tried again; after the last of these it is left to
/// the next time by the clock.
const RETRY_AFTER_MINUTES: [i64; 3] = [5, 20, 60];
/// A note of a run further in the future than this was made by a clock that was wrong.
const CLOCK_TRUSTED: SignedDuration = SignedDuration::from_hours(26);

/// When each job is to run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The pattern of each job, in the order of [`Job::ALL`].
    pub patterns: Vec<(Job, Pattern)>,
    /// The zone whose wall clock the patterns mean.
    pub zone: TimeZone,
}

impl Schedule {
    /// The job to run now, if one is due, and why.
    pub fn due(&self, record: &Record, now: Timestamp) -> Option<(Job, Cause)> {
        Job::ALL.into_iter().find_map(|job| {
            let standing = record.of(job);
            let came = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            if came(self.by_clock(job, standing, record.since, now)) {
                Some((job, Cause::Clock))
            } else {
                came(retry_at(standing, now)).then_some((job, Cause::Retry))
            }
        })
    }

    /// When a job runs next; a moment that has passed means "now".
    pub fn next(&self, job: Job, record: &Record, now: Timestamp) -> Option<Timestamp> {
        let standing = record.of(job);
        let by_clock = self.by_clock(job, standing, record.since, now);
        match (retry_at(standing, now), by_clock) {
            (Some(retry), Some(by_clock)) => Some(retry.min(by_clock)),
            (retry, by_clock) => retry.or(by_clock),
        }
    }

    /// The earliest moment at which anything is due.
    pub fn next_of_all(&self, record: &Record, now: Timestamp) -> Option<Timestamp> {
        self.patterns.iter().filter_map(|(job, _)| self.next(*job, record, now)).min()
    }

    /// The first time by the clock after the last one that was taken up. Several that were missed,
    /// as while the machine was off, are so made up for by one run.
    fn by_clock(
        &self,
        job: Job,
        standing: &Standing,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (_, pattern) = self.patterns.iter().find(|(its, _)| *its == job)?;
        // Without a full copy there is nothing to stand on: the first is made at once.
        if job == Job::Full && standing.taken_up.is_none() {
            return Some(now);
        }
        let last = standing.taken_up.unwrap_or(since);
        // Without this a clock that once ran years ahead would stop every backup for years.
        let ahead = last.duration_since(now) > CLOCK_TRUSTED;
        let last = if ahead { now.checked_sub(CLOCK_TRUSTED).ok()? } else { last };
        pattern.next_after(last, &self.zone)
    }
}

/// When a run that failed is tried again.
fn retry_at(standing: &Standing, now: Timestamp) -> Option<Timestamp> {
    let failure = standing.failure.as_ref()?;
    let times = usize::try_from(failure.times).ok()?;
    let minutes = RETRY_AFTER_MINUTES.get(times.checked_sub(1)?)?;
    let at = failure.at.checked_add(SignedDuration::from_mins(*minutes)).ok()?;
    // A failure noted by a clock that was ahead is not waited for.
    (failure.at.duration_since(now) <= CLOCK_TRUSTED).then_some(at)
}

#[cfg(test)]
mod tests;
