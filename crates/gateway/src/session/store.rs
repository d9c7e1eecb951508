//! Keeps sessions and the login budget in the `gateway_sessions` bucket.

use std::time::Duration;

use bus::{Bucket, BusError};
use chassis::{ExposeSecret as _, SecretString};
use contracts::id::UserId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::session::budget::Budget;

const RETRY: Duration = Duration::from_millis(500);

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The session's id.
    pub session: String,
    /// The sequence to resume from.
    pub sequence: u64,
    /// Where to resume.
    pub resume_url: String,
    /// The bot's own user.
    pub bot: UserId,
    /// How many shards there were: a session of another layout cannot be resumed.
    pub shards: u32,
    /// When it was saved, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}

/// The bucket, and whose sessions we keep in it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    bucket: Bucket,
    fingerprint: String,
}

impl Store {
    /// Keeps what belongs to `token`. A new token starts with a clean record, so that a token that
    /// was refused does not count against its successor.
    pub(crate) fn new(bucket: Bucket, token: &SecretString) -> Self {
        let digest = Sha256::digest(token.expose_secret().as_bytes());
        Self { bucket, fingerprint: hex::encode(&digest[..8]) }
    }

    /// The session of a shard, waiting until the bucket answers. None: there is none, or we were
    /// told to stop.
    pub(crate) async fn session(&self, shard: u32, stop: &CancellationToken) -> Option<Saved> {
        self.read(&self.session_key(shard), stop).await
    }

    /// Saves the session of a shard once; none deletes it.
    pub(crate) async fn save_session(
        &self,
        shard: u32,
        saved: Option<&Saved>,
    ) -> Result<(), BusError> {
        let key = self.session_key(shard);
        match saved {
            Some(saved) => self.bucket.put(&key, json(saved)).await.map(drop),
            None => self.bucket.delete(&key).await,
        }
    }

    /// The login budget, waiting until the bucket answers: nobody may log in without knowing it.
    pub(crate) async fn budget(&self, stop: &CancellationToken) -> Budget {
        self.read(&self.budget_key(), stop).await.unwrap_or_default()
    }

    /// Saves the login budget, waiting until the bucket took it. False: we were told to stop.
    pub(crate) async fn save_budget(&self, budget: &Budget, stop: &CancellationToken) -> bool {
        loop {
            let saved =
                stop.run_until_cancelled(self.bucket.put(&self.budget_key(), json(budget))).await;
            match saved {
                None => return false,
                Some(Ok(_)) => return true,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the login budget cannot be saved; no login until it is");
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                return false;
            }
        }
    }

    fn session_key(&self, shard: u32) -> String {
        format!("session.{}.{shard}", self.fingerprint)
    }

    fn budget_key(&self) -> String {
        format!("budget.{}", self.fingerprint)
    }

    async fn read<T: DeserializeOwned>(&self, key: &str, stop: &CancellationToken) -> Option<T> {
        loop {
            match stop.run_until_cancelled(self.bucket.get(key)).await? {
                Ok(entry) => {
                    let value = entry?.value;
                    return serde_json::from_slice(&value)
                        .inspect_err(|error| tracing::warn!(key, %error, "a kept record cannot be read; starting without it"))
                        .ok();
                }
                Err(error) => tracing::warn!(key, %error, "waiting for the bus before any login"),
            }
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await?;
        }
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records are numbers and strings")
}
