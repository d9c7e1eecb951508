//! Drafts of one turn: the text so far at most ten times a second, a sign of life until there is
//! any.

use std::time::Duration;

use bus::Bus;
use contracts::draft::{DRAFTS_PER_SECOND_MAX, Draft, TYPING_EVERY_SECONDS};
use contracts::{envelope, subject};
use tokio::time::{Instant, sleep_until};

use crate::turn::Turn;

const TYPING_EVERY: Duration = Duration::from_secs(TYPING_EVERY_SECONDS);
const PACE: Duration = Duration::from_millis(1000 / DRAFTS_PER_SECOND_MAX as u64);

/// The drafts of one turn.
pub(crate) struct Drafts<'a> {
    bus: &'a Bus,
    draft: Draft,
    /// When the next one may leave.
    next: Instant,
    unsent: bool,
}

impl<'a> Drafts<'a> {
    pub(crate) fn new(bus: &'a Bus, turn: &Turn) -> Self {
        // Revisions must go on growing when a later run takes the turn up, and each run has a
        // later epoch.
        let revision = turn.at.epoch.cast_unsigned() << 32;
        let draft = Draft {
            turn: turn.at.id,
            generation: turn.at.generation,
            revision,
            place: turn.place.clone(),
            text: String::new(),
        };
        Self { bus, draft, next: Instant::now(), unsent: false }
    }

    /// There is more text than the last draft had. The opened reply shows as much itself, so the
    /// next draft waits its turn from there.
    pub(crate) fn opened(&mut self) {
        self.next = Instant::now() + PACE;
        self.unsent = false;
    }

    /// There is more text.
    pub(crate) fn grown(&mut self) {
        self.unsent = true;
    }

    /// Waits until something is to be sent: text where there is a reply to edit, else that we are
    /// typing.
    pub(crate) async fn due(&self, opened: bool) {
        if opened && !self.unsent {
            return std::future::pending().await;
        }
        sleep_until(self.next).await;
    }

    /// Sends the text so far; empty where the reply is not opened yet. A draft that is lost is made
    /// good by the next, so nobody waits for it.
    pub(crate) async fn send(&mut self, text: &str) {
        self.draft.revision += 1;
        text.clone_into(&mut self.draft.text);
        self.unsent = false;
        self.next = Instant::now() + if text.is_empty() { TYPING_EVERY } else { PACE };
        let subject = subject::draft(self.draft.turn);
        if let Err(error) = self.bus.publish_core(subject, envelope::encode(&self.draft)).await {
            tracing::debug!(%error, "draft lost");
        }
    }
}
