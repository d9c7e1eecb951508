//! The followers: one thread a database, and what `/health` and `/metrics` say of each.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chassis::Health;
use jiff::Timestamp;
use replica::follow::{Controls, FollowConfig, Follower, Scan, Status};

use crate::config::{Config, Place};
use crate::{checks, copies};

/// How often a history that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// The longest sleep that a stop has to wait for.
const NAP: Duration = Duration::from_millis(100);

/// The way to one follower; clones lead to the same.
#[derive(Debug, Clone)]
pub struct Handle {
    /// The database.
    pub place: Place,
    controls: Controls,
    opening: Arc<Opening>,
}

/// What happens before a follower stands.
#[derive(Debug, Default)]
struct Opening {
    stands: AtomicBool,
    stop: AtomicBool,
    /// Why it does not.
    refused: Mutex<Option<String>>,
}

/// All followers.
#[derive(Debug)]
pub struct Followers {
    all: Vec<(Handle, JoinHandle<()>)>,
}

/// Begins to follow every database, and declares a check for each.
///
/// # Errors
/// When a thread cannot be started.
pub fn begin(config: &Config, health: &Health) -> std::io::Result<Followers> {
    let mut all = Vec::new();
    for place in &config.databases {
        let handle =
            Handle { place: place.clone(), controls: Controls::default(), opening: Arc::default() };
        let (shown, limits) = (handle.clone(), config.limits.clone());
        health.computed(&format!("database.{}", place.name), move || match shown.refused() {
            Some(why) => checks::not_followed(&why),
            None => checks::following(&shown.controls.status(), Timestamp::now(), &limits),
        });
        let history = copies::folder(&config.repository, place);
        let running = handle.clone();
        let name = format!("follow-{}", place.name);
        let thread = std::thread::Builder::new().name(name).spawn(move || running.run(history))?;
        all.push((handle, thread));
    }
    Ok(Followers { all })
}

impl Followers {
    /// The ways to all of them.
    pub fn handles(&self) -> Vec<Handle> {
        self.all.iter().map(|(handle, _)| handle.clone()).collect()
    }

    /// Ends all of them: each ships what is committed by then.
    pub async fn stop(self) {
        for (handle, _) in &self.all {
            handle.opening.stop.store(true, Ordering::Relaxed);
            handle.controls.stop();
        }
        let ended = tokio::task::spawn_blocking(move || {
            for (handle, thread) in self.all {
                if thread.join().is_err() {
                    tracing::error!(database = handle.place.name, "a follower panicked");
                }
            }
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the followers did not end well");
        }
    }
}

impl Handle {
    /// How it goes.
    pub fn status(&self) -> Status {
        self.controls.status()
    }

    /// A view of the database at an exact transaction.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn scan(&self) -> anyhow::Result<Scan> {
        if !self.opening.stands.load(Ordering::Acquire) {
            let why = self.refused().unwrap_or_else(|| "it is still being opened".to_owned());
            anyhow::bail!("{} is not followed: {why}", self.place.name);
        }
        Ok(self.controls.scan()?)
    }

    fn refused(&self) -> Option<String> {
        self.opening.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, why: Option<String>) {
        *self.opening.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn run(&self, history: PathBuf) {
        let config = FollowConfig::new(self.place.path.clone(), history);
        while !self.opening.stop.load(Ordering::Relaxed) {
            match Follower::open(config.clone()) {
                Ok(follower) => {
                    self.refuse(None);
                    self.opening.stands.store(true, Ordering::Release);
                    follower.run(&self.controls);
                    return;
                }
                Err(error) => {
                    let why = error.to_string();
                    if self.refused().as_ref() != Some(&why) {
                        tracing::error!(database = self.place.name, %error, "not followed");
                    }
                    self.refuse(Some(why));
                    self.sleep(RETRY);
                }
            }
        }
    }

    fn sleep(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.opening.stop.load(Ordering::Relaxed) {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left -= nap;
        }
    }
}
