//! Lets the log be started over, so that it does not grow: everything in it is shipped, then copied
//! into the database, and our reader begins anew behind it.
//!
//! First without holding anybody back: a second reader begins before the first one ends, so that
//! the log is held all the time, and what lies before the second is copied. Only where writers
//! are quicker than that are they held back, for the little that is left.

use jiff::SignedDuration;

use super::{FaultKind, FollowError, Follower, Position};
use crate::source::Frames;

/// How often it is tried beside the writers.
const ROUNDS: usize = 3;
/// How long after a seal that could not be done the next one is tried.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

impl Follower {
    /// Seals where the log is long or old enough, and lets the log go where it must not grow.
    pub(super) fn seal_if_due(&mut self) -> Result<(), FollowError> {
        self.save_map_if_due()?;
        let Position::At(place) = self.position else { return Ok(()) };
        if self.sealed == Some(place.frames()) && place.frames() == 0 {
            return Ok(());
        }
        let Some(since) = self.unsealed_since else { return Ok(()) };
        let now = self.config.clock.now();
        // A clock that went back must not put it off for long.
        let soonest =
            self.seal_not_before.filter(|at| *at <= now.saturating_add(RETRY).unwrap_or(now));
        if soonest.is_some_and(|soonest| now < soonest) {
            return Ok(());
        }
        let age = now.duration_since(since);
        let old =
            age.try_into().is_ok_and(|age: std::time::Duration| age >= self.config.seal_after);
        if place.offset() >= self.config.seal_bytes || old {
            self.seal()?;
        }
        Ok(())
    }

    /// Ships what the log holds, copies it into the database and lets the log be started over;
    /// gives whether it can be now. Where a reader of somebody else is in the way it cannot.
    ///
    /// # Errors
    /// What stands in the way. The log is held then as before.
    pub fn seal(&mut self) -> Result<bool, FollowError> {
        let (mut locked, mut done, mut held_back) = (false, false, false);
        for _ in 0..ROUNDS {
            let frames = self.step_over()?;
            if frames.log == frames.backfilled {
                // Only a reader that begins now stands in nobody's way.
                done = self.step_over_if_still(frames)?;
            }
            held_back = self.is_held_back(frames);
            if done || held_back {
                break;
            }
        }
        if !done && !held_back {
            locked = true;
            done = self.seal_locked()?;
        }
        let now = self.config.clock.now();
        if done {
            self.unsealed_since = None;
            self.seal_not_before = None;
            self.status.log_bytes = 0;
            self.status.last_seal = Some(now);
            self.status.seals += 1;
            self.status.seals_locked += u64::from(locked);
        } else {
            // Whoever is in the way stays for a while: not at every look.
            self.seal_not_before = now.checked_add(RETRY).ok();
        }
        Ok(done)
    }

    /// Moves our reader to the end of the log without letting go, and copies what lies before it.
    fn step_over(&mut self) -> Result<Frames, FollowError> {
        self.live()?.hold()?;
        // Whatever was committed before the new reader began is shipped before the old one ends.
        let shipped = self.flush();
        if shipped.is_err() || !matches!(self.position, Position::At(_)) {
            // The older reader is the one that holds what was not shipped.
            self.live()?.hold_older()?;
            shipped?;
            return Ok(self.live()?.frames()?);
        }
        self.live()?.let_go_older()?;
        self.sealed = self.frames_shipped();
        let (_, frames) = self.live()?.backfill()?;
        Ok(frames)
    }

    fn frames_shipped(&self) -> Option<u32> {
        match self.position {
            Position::At(place) => Some(place.frames()),
            Position::Empty | Position::Unknown => None,
        }
    }

    /// Moves our reader once more; gives whether nothing was written meanwhile, so that it began
    /// with everything copied.
    fn step_over_if_still(&mut self, before: Frames) -> Result<bool, FollowError> {
        let after = self.step_over()?;
        Ok(after == before && self.sealed == Some(after.log))
    }

    /// Whether not all that our own reader lets through was copied: another one is in the way.
    fn is_held_back(&self, frames: Frames) -> bool {
        self.sealed.is_some_and(|sealed| frames.backfilled < sealed)
    }

    fn seal_locked(&mut self) -> Result<bool, FollowError> {
        self.flush()?;
        let sealed = self.locked(Self::begin_anew)?;
        Ok(sealed.is_some_and(|frames| frames.log == frames.backfilled))
    }

    /// Ends our reading, copies the log into the database, and begins to read again, while the
    /// writers are held back. What was read before that waits to be shipped.
    fn begin_anew(&mut self) -> Result<Frames, FollowError> {
        let source = self.live()?;
        source.let_go()?;
        let copied = source.backfill();
        let held = source.hold().and(copied);
        match held {
            Ok((_, frames)) => {
                let waiting = self.pending.as_ref().map(|batch| batch.end().frames());
                self.sealed = waiting.or(self.frames_shipped());
                Ok(frames)
            }
            Err(error) => {
                self.lose_position("the log could not be held after a seal");
                Err(error.into())
            }
        }
    }

    /// Lets go of a log that cannot be shipped before it fills the disk of the database.
    pub(super) fn let_go_if_too_long(&mut self) -> Result<(), FollowError> {
        let Some(source) = &self.source else { return Ok(()) };
        let frames = u64::from(source.frames()?.log);
        let bytes = frames * (u64::from(source.page_size()) + 24);
        self.status.log_bytes = bytes;
        if bytes < self.config.log_bytes_max || self.position == Position::Unknown {
            return Ok(());
        }
        source.let_go()?;
        let said = format!(
            "the log of {} has {bytes} bytes that cannot be shipped; it is let go, and what it \
             held is shipped from the database later",
            self.config.database.display()
        );
        tracing::error!("{said}");
        self.status.raise(FaultKind::LogTooLong, self.config.clock.now(), said);
        self.lose_position("the log was let go because it had grown too long");
        Ok(())
    }
}
