//! What services want done in Discord: durable commands, and drafts that edit what is open.

mod commands;
mod drafts;
mod execute;
mod governor;
mod place;
mod record;
mod reply;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use bus::{Bucket, Bus};
use tokio_util::sync::CancellationToken;

pub(crate) use commands::Commands;
pub(crate) use drafts::Drafts;

use crate::directory::Directory;
use crate::outbound::execute::Executor;
use crate::outbound::record::Records;
use crate::outbound::turns::Turns;
use crate::rest::Rest;

/// The one who sends: limits are per token, so only one process may.
///
/// With a single process it is always held. A lease of the bus will decide once there are several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    held: bool,
}

impl Sender {
    /// Held by the only process there is.
    pub(crate) const fn sole() -> Self {
        Self { held: true }
    }

    /// Whether this process sends.
    pub(crate) const fn is_held(self) -> bool {
        self.held
    }
}

/// Makes the two ways of doing things in Discord, which share what they know of each turn.
pub(crate) fn open(
    (bus, buckets): (&Bus, Buckets),
    rest: &Rest,
    directory: Arc<Directory>,
    stop: Stop,
    ack_wait: Duration,
) -> (Commands, Drafts) {
    let turns = Arc::new(Turns::default());
    let records = Records::new(buckets.turns, stop.now.clone());
    let executor = Executor {
        rest: rest.clone(),
        settings: buckets.settings,
        records: records.clone(),
        turns: Arc::clone(&turns),
        directory,
        stop: stop.soon.clone(),
        hurry: stop.now.clone(),
    };
    let commands = Commands::new(bus.clone(), executor, stop.clone(), ack_wait);
    let drafts = Drafts::new(bus.clone(), rest.clone(), turns, records, stop.soon);
    (commands, drafts)
}

/// How sending stops: what has begun is brought to its end while there is time.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Cancelled when nothing new is to begin, and nothing to be waited for.
    pub soon: CancellationToken,
    /// Cancelled when even what has begun must be dropped.
    pub now: CancellationToken,
}

/// The buckets that sending needs.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    /// What belongs to which turn.
    pub turns: Bucket,
    /// Live switches.
    pub settings: Bucket,
}
