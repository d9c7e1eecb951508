//! Whether the streams and buckets that a service works with are there.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use contracts::access::{Role, bucket_stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::connection::{Bus, Connection};
use crate::error::{BusError, chain};
use crate::standing::{RUN_INIT, Standing};

/// How often we look again while something is missing.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What is known of the streams and buckets a service needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Not asked yet, or the server did not answer.
    Unknown,
    /// These are not there.
    Missing(Vec<String>),
    /// All of them are there.
    Whole,
}

/// Follows whether the streams and buckets of one role are there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Grounds {
    bus: Bus,
    presence: watch::Receiver<Presence>,
}

impl Grounds {
    /// What is known now.
    pub fn presence(&self) -> Presence {
        self.presence.borrow().clone()
    }

    /// How the bus is now.
    pub fn standing(&self) -> Standing {
        if *self.bus.connection().borrow() != Connection::Connected {
            return Standing::NotReached(self.bus.trouble());
        }
        match self.presence() {
            Presence::Missing(names) => Standing::Missing(names),
            Presence::Whole if self.bus.stalled().is_some() => Standing::StoresNothing,
            Presence::Whole => Standing::Well,
            Presence::Unknown => Standing::Looking,
        }
    }

    /// Waits until everything is there.
    pub async fn wait_whole(&self) {
        let mut presence = self.presence.clone();
        // The sender ends only when the service does.
        if presence.wait_for(|presence| *presence == Presence::Whole).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Bus {
    /// Which streams and buckets of `role` the server does not have.
    pub async fn missing(&self, role: &Role) -> Result<Vec<String>, BusError> {
        let streams = role.streams().into_iter().map(|name| (name.to_owned(), name.to_owned()));
        let buckets = role.buckets.iter().map(|name| ((*name).to_owned(), bucket_stream(name)));
        let mut missing = Vec::new();
        for (name, stream) in streams.chain(buckets) {
            if !self.has_stream(&stream).await? {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    async fn has_stream(&self, name: &str) -> Result<bool, BusError> {
        match self.jetstream.get_stream(name).await {
            Ok(_stream) => Ok(true),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(false)
                }
                _ => {
                    Err(BusError::Unavailable { doing: "look for a stream", reason: chain(&error) })
                }
            },
        }
    }

    /// Looks for what `role` needs: now, after every reconnect (the server may have come back
    /// with an empty folder), and again and again while something is missing. Until `stop`.
    pub fn grounds(&self, role: &'static Role, stop: CancellationToken) -> Grounds {
        let (sender, presence) = watch::channel(Presence::Unknown);
        let bus = self.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(bus.follow(role, &sender)).await;
        });
        Grounds { bus: self.clone(), presence }
    }

    async fn follow(&self, role: &Role, sender: &watch::Sender<Presence>) {
        let mut connection = self.connection();
        loop {
            self.wait_connected().await;
            // From here on a loss is seen, even one that comes while we ask.
            connection.borrow_and_update();
            let found = match self.missing(role).await {
                Ok(missing) if missing.is_empty() => Presence::Whole,
                Ok(missing) => Presence::Missing(missing),
                Err(error) => {
                    tracing::debug!(%error, "cannot see what is there");
                    Presence::Unknown
                }
            };
            let whole = found == Presence::Whole;
            sender.send_if_modified(|presence| note(presence, found));
            if whole {
                // Any change since the look above, even one that is over, is reason to look again.
                if connection.changed().await.is_err() {
                    return;
                }
            } else {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Takes up what was found, and says so where it is news.
fn note(presence: &mut Presence, found: Presence) -> bool {
    // Not to be answered says nothing new about what is there.
    if found == Presence::Unknown || *presence == found {
        return false;
    }
    match &found {
        Presence::Missing(names) => tracing::warn!(
            missing = names.join(", "),
            remedy = RUN_INIT.0,
            "streams or buckets are not there yet; work begins by itself when they are"
        ),
        Presence::Whole | Presence::Unknown => tracing::debug!("streams and buckets are there"),
    }
    *presence = found;
    true
}
