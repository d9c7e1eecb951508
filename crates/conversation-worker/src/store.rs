//! The database: what was asked and answered, and what is on its way, in one SQLite file.
//!
//! All writing goes through one connection, and every step of a turn is one transaction there.
//! Steps that wait at the same time share a commit, and with it its fsync.

mod caps;
mod claim;
mod erase;
mod error;
mod history;
mod ingest;
mod ledger;
mod outbox;
mod remembered;
mod results;
mod schema;
mod script;
mod sentinel;
mod settle;
mod tidy;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use database::{Guard, Opened};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use caps::Caps;
pub use claim::{Claim, Claimed, Claiming};
pub use database::OpenError;
pub use erase::{Erased, Erasure};
pub use error::StoreError;
pub use history::{History, PastTurn};
pub use ingest::{Arrival, Begin, Cursor, Effect, Ingest, IngestAndBegin, Ingested};
pub use ledger::{AttemptEnd, NextAttempt, Settlement};
pub use outbox::{MarkPublished, OutboxRow};
pub use results::{Ended, RecordResults, Recorded};
pub use schema::SCHEMA;
pub use sentinel::Beat;
pub use settle::{Abandon, Commit, FirstText};
pub use tidy::Tidy;

use remembered::Past;
use writer::Writer;

/// How long a step waits before it is tried again after the disk or another process refused it.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The database, shared by every part of the worker.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: SqlitePool,
    guard: Arc<Guard>,
    past: Arc<Past>,
    rows: Arc<AtomicU64>,
}

/// One step: what it changes is changed in one transaction, whole or not at all.
pub trait Step: Send + 'static {
    /// What the step finds out on the way.
    type Output: Send + 'static;

    /// Whether it is one of the followers that another step announced.
    const FOLLOWS: bool = false;

    /// Whether somebody waits for it; what nobody waits for is done when there is time.
    const HURRIES: bool = true;

    /// Does it within an open transaction.
    fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;

    /// How many steps it has set off that will be here in a moment: the commit waits for them a
    /// little, so that all share one fsync.
    fn followers(_output: &Self::Output) -> usize {
        0
    }
}

impl Store {
    /// Opens the database at `path`, made or brought to this release's tables where needed.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let Opened { writer, readers, guard } = database::open(path, &SCHEMA).await?;
        let rows =
            history_rows(&readers).await.map_err(|error| OpenError::unusable(path, &error))?;
        let guard = Arc::new(guard);
        let writer = Writer::start(writer, Arc::clone(&guard));
        let store = Self { writer, readers, guard, past: Arc::default(), rows: Arc::default() };
        store.count_rows(rows);
        Ok(store)
    }

    /// Does one step; returns when it is on disk.
    pub async fn write<S: Step>(&self, step: S) -> Result<S::Output, StoreError> {
        self.writer.write(step).await
    }

    /// Does one step, again and again while the disk is full or another process holds the
    /// database; gives up on anything else, and when `given_up` fires.
    pub async fn persist<S: Step + Clone>(
        &self,
        step: S,
        given_up: &CancellationToken,
    ) -> Result<S::Output, StoreError> {
        loop {
            match self.writer.write(step.clone()).await {
                Err(error) if error.is_transient() => {
                    tokio::select! {
                        () = given_up.cancelled() => return Err(error),
                        () = tokio::time::sleep(RETRY_DELAY) => {}
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// The last reason why nothing could be written; none while writing works.
    pub fn trouble(&self) -> watch::Receiver<Option<StoreError>> {
        self.writer.trouble()
    }

    /// How many messages and replies are kept.
    pub fn history_rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Ends the writer after the steps that somebody waits for, and closes the file; what was put
    /// off is done after the next start.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        self.guard.release();
    }

    /// Removes copies of the file that were made before a change and are no longer needed: what
    /// people have deleted since still stands in them.
    pub fn forget_copies(&self) {
        self.guard.forget_copies();
    }

    fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    fn past(&self) -> &Past {
        &self.past
    }

    /// For tests that look at the tables themselves.
    pub fn pool(&self) -> &SqlitePool {
        &self.readers
    }

    pub(crate) fn count_rows(&self, added: u64) {
        let rows = self.rows.fetch_add(added, Ordering::Relaxed) + added;
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
        metrics::gauge!("conversation_messages").set(rows as f64);
    }
}

async fn history_rows(readers: &SqlitePool) -> Result<u64, sqlx::Error> {
    let count: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM replies)")
            .fetch_one(readers)
            .await?;
    Ok(count.cast_unsigned())
}

/// An id of Discord as the database keeps it: the same bits.
pub(crate) fn id(snowflake: u64) -> i64 {
    snowflake.cast_signed()
}
