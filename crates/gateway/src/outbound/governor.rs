//! The pace of edits in a channel, shared by all replies that are being written there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contracts::id::ChannelId;

/// The pace until Discord's headers tell the limit.
const PACE_FIRST: Duration = Duration::from_millis(1_200);
/// However generous the limit is, nobody reads faster than this.
const PACE_MIN: Duration = Duration::from_millis(200);
const PACE_MAX: Duration = Duration::from_secs(5);
/// How many channels are kept before idle ones are forgotten.
const CHANNELS_MAX: usize = 1_024;

/// When the next edit may go, by channel.
#[derive(Debug, Default)]
pub(super) struct Governor {
    next: Mutex<HashMap<ChannelId, Instant>>,
}

impl Governor {
    /// When the channel takes its next edit.
    pub(super) fn ready_at(&self, channel: ChannelId, now: Instant) -> Instant {
        self.lock().get(&channel).copied().unwrap_or(now)
    }

    /// Notes that an edit was made; `pace` is what the channel's limit allows, where known.
    pub(super) fn edited(&self, channel: ChannelId, pace: Option<Duration>, now: Instant) {
        let pace = pace.map_or(PACE_FIRST, |pace| pace.clamp(PACE_MIN, PACE_MAX));
        self.hold_until(channel, now + pace, now);
    }

    /// Notes that the channel takes no edit before `until`.
    pub(super) fn hold_until(&self, channel: ChannelId, until: Instant, now: Instant) {
        let mut next = self.lock();
        if next.len() >= CHANNELS_MAX {
            next.retain(|_, at| *at > now);
        }
        next.insert(channel, until);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_one_channel_are_paced_and_other_channels_do_not_wait() {
        let governor = Governor::default();
        let now = Instant::now();
        assert_eq!(governor.ready_at(ChannelId(1), now), now);
        governor.edited(ChannelId(1), None, now);
        assert_eq!(governor.ready_at(ChannelId(1), now), now + PACE_FIRST);
        assert_eq!(governor.ready_at(ChannelId(2), now), now);
        governor.edited(ChannelId(1), Some(Duration::from_millis(1)), now);
        assert_eq!(governor.ready_at(ChannelId(1), now), now + PACE_MIN);
        governor.edited(ChannelId(1), Some(Duration::from_mins(1)), now);
        assert_eq!(governor.ready_at(ChannelId(1), now), now + PACE_MAX);
    }
}
