//! The one writing connection: steps that wait at the same time share a transaction's fsync.
//!
//! Steps that people wait for go before those that nobody waits for, and what surrounds a step
//! (begin, savepoint, release) makes no trip of its own to the database's thread where it can go
//! along with another.

use std::sync::Arc;
use std::time::Duration;

use database::Guard;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Step, StoreError};

/// How many steps share one commit at most: enough to spread an fsync over a burst, few enough
/// that nobody waits long for the others.
const STEPS_PER_COMMIT_MAX: usize = 64;
const QUEUE_MAX: usize = 1024;
/// How many commits in a row may leave out the steps that nobody waits for, in a burst.
const COMMITS_WITHOUT_MAX: usize = 16;
/// How long a commit waits for the followers that its steps have set off. They need a fraction of
/// it; what an fsync takes on a slow disk is many times more.
const FOLLOWERS_WAIT: Duration = Duration::from_millis(3);
/// How often the file is looked at without anyone asking, and while writing fails tried, so that
/// health tells of a file that was exchanged, and recovers.
const PROBE_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Order>,
    /// Steps that nobody waits for.
    later: mpsc::Sender<Box<dyn AnyStep>>,
    trouble: Arc<watch::Sender<Option<StoreError>>>,
}

enum Order {
    Step(Box<dyn AnyStep>),
    Close(oneshot::Sender<()>),
}

/// A step whose kind is forgotten.
trait AnyStep: Send {
    fn run(self: Box<Self>, connection: &mut SqliteConnection) -> BoxFuture<'_, Ran>;

    /// Whether another step has announced it.
    fn follows(&self) -> bool;

    /// Leaves the step undone, where the transaction is void already.
    fn refuse(self: Box<Self>) -> Settle;
}

/// Tells the one who asked how it went; with an error where the step came to nothing.
type Settle = Box<dyn FnOnce(Option<StoreError>) + Send>;

struct Pending<S: Step> {
    step: S,
    answer: oneshot::Sender<Result<S::Output, StoreError>>,
}

/// A step that ran but is not on disk yet.
struct Ran {
    error: Option<StoreError>,
    followers: usize,
    settle: Settle,
}

impl<S: Step> AnyStep for Pending<S> {
    fn run(self: Box<Self>, connection: &mut SqliteConnection) -> BoxFuture<'_, Ran> {
        Box::pin(async move {
            let Self { step, answer } = *self;
            let outcome = step.run(connection).await;
            let error = outcome.as_ref().err().cloned();
            let followers = outcome.as_ref().map_or(0, S::followers);
            let settle = Box::new(move |failure: Option<StoreError>| {
                let answered = answer.send(failure.map_or(outcome, Err));
                // Whoever asked may have been stopped meanwhile; the step holds all the same.
                drop(answered);
            });
            Ran { error, followers, settle }
        })
    }

    fn follows(&self) -> bool {
        S::FOLLOWS
    }

    fn refuse(self: Box<Self>) -> Settle {
        Box::new(move |failure: Option<StoreError>| {
            drop(self.answer.send(Err(failure.unwrap_or(StoreError::Closed))));
        })
    }
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection, guard: Arc<Guard>) -> Self {
        let (queue, first) = mpsc::channel(QUEUE_MAX);
        let (later, last) = mpsc::channel(QUEUE_MAX);
        let trouble = Arc::new(watch::Sender::new(None));
        let orders = Orders { first, last, commits_without: 0 };
        tokio::spawn(work(connection, guard, orders, Arc::clone(&trouble)));
        Self { queue, later, trouble }
    }

    pub(super) async fn write<S: Step>(&self, step: S) -> Result<S::Output, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let step = Box::new(Pending { step, answer });
        let sent = if S::HURRIES {
            self.queue.send(Order::Step(step)).await.is_ok()
        } else {
            self.later.send(step).await.is_ok()
        };
        if !sent {
            return Err(StoreError::Closed);
        }
        outcome.await.map_err(|_gone| StoreError::Closed)?
    }

    pub(super) fn trouble(&self) -> watch::Receiver<Option<StoreError>> {
        self.trouble.subscribe()
    }

    pub(super) async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.queue.send(Order::Close(answer)).await.is_ok() {
            // An answer that never comes means that it is closed as well.
            drop(closed.await);
        }
    }
}

/// What waits to be written.
struct Orders {
    first: mpsc::Receiver<Order>,
    last: mpsc::Receiver<Box<dyn AnyStep>>,
    /// How many commits there were since the last that took steps nobody waits for.
    commits_without: usize,
}

impl Orders {
    /// The next order, waiting for it.
    async fn next(&mut self) -> Option<Order> {
        tokio::select! {
            biased;
            order = self.first.recv() => order,
            Some(step) = self.last.recv() => {
                self.commits_without = 0;
                Some(Order::Step(step))
            }
        }
    }

    /// One more for the commit at hand, if it waits already.
    fn waiting(&mut self, taken: usize) -> Option<Order> {
        if taken < STEPS_PER_COMMIT_MAX
            && let Ok(order) = self.first.try_recv()
        {
            return Some(order);
        }
        // A commit that is full has no time for it, unless it was put off too often.
        let is_full = taken >= STEPS_PER_COMMIT_MAX;
        if is_full && self.commits_without < COMMITS_WITHOUT_MAX {
            return None;
        }
        let step = self.last.try_recv().ok()?;
        self.commits_without = 0;
        Some(Order::Step(step))
    }
}

async fn work(
    mut connection: SqliteConnection,
    guard: Arc<Guard>,
    mut orders: Orders,
    trouble: Arc<watch::Sender<Option<StoreError>>>,
) {
    loop {
        let failing = trouble.borrow().is_some();
        let order = tokio::select! {
            order = orders.next() => order,
            () = tokio::time::sleep(PROBE_EVERY) => {
                let found = match guard.check() {
                    Ok(()) if failing => probe(&mut connection).await,
                    looked => looked.map_err(StoreError::from),
                };
                report(&trouble, found.err());
                continue;
            }
        };
        match order {
            Some(Order::Step(first)) => {
                if let Some(answer) =
                    commit(&mut connection, &guard, &mut orders, first, &trouble).await
                {
                    return close(connection, &guard, Some(answer)).await;
                }
            }
            Some(Order::Close(answer)) => return close(connection, &guard, Some(answer)).await,
            None => return close(connection, &guard, None).await,
        }
    }
}

async fn close(connection: SqliteConnection, guard: &Guard, answer: Option<oneshot::Sender<()>>) {
    if let Err(error) = guard.close(connection).await {
        tracing::warn!(%error, "closing the database");
    }
    if let Some(answer) = answer
        && answer.send(()).is_err()
    {
        tracing::debug!("nobody waits for the database to be closed");
    }
}

/// Runs `first` and whatever waits behind it, or follows from it, in one transaction. Gives back
/// an order to close that was met on the way.
async fn commit(
    connection: &mut SqliteConnection,
    guard: &Guard,
    orders: &mut Orders,
    first: Box<dyn AnyStep>,
    trouble: &watch::Sender<Option<StoreError>>,
) -> Option<oneshot::Sender<()>> {
    let mut settled = Vec::new();
    let mut closing = None;
    let mut failure = begin(connection, guard).await.err();
    let mut next = Some(first);
    let mut awaited = Awaited::default();
    while let Some(step) = next.take() {
        awaited.arrived(step.as_ref());
        if failure.is_none() && !settled.is_empty() {
            failure = execute(connection, "RELEASE step; SAVEPOINT step").await.err();
        }
        if failure.is_some() {
            // The transaction is void: the step does not even start, and is told so.
            settled.push(step.refuse());
        } else {
            match run_one(connection, step).await {
                Ok((ran, followers)) => {
                    settled.push(ran);
                    awaited.expect(followers);
                }
                Err((ran, error)) => {
                    settled.push(ran);
                    failure = Some(error);
                }
            }
        }
        if failure.is_none() {
            match awaited.next(orders, settled.len()).await {
                Some(Order::Step(step)) => next = Some(step),
                Some(Order::Close(answer)) => closing = Some(answer),
                None => {}
            }
        }
    }
    orders.commits_without += 1;
    if failure.is_none() {
        // It releases the last step as well.
        failure = execute(connection, "COMMIT").await.err();
    }
    if failure.is_some() {
        // Fails where SQLite has rolled back by itself, as it does on a full disk.
        drop(execute(connection, "ROLLBACK").await);
    }
    report(trouble, failure.clone());
    for settle in settled {
        settle(failure.clone());
    }
    closing
}

/// Begins a transaction and its first step, in the file that was opened and in no other.
async fn begin(connection: &mut SqliteConnection, guard: &Guard) -> Result<(), StoreError> {
    guard.check()?;
    if let Err(error) = guard.renew_if_due(connection).await {
        tracing::debug!(%error, "the file's mark is renewed later");
    }
    execute(connection, "BEGIN IMMEDIATE; SAVEPOINT step").await
}

/// The steps that are known to be on their way here.
#[derive(Default)]
struct Awaited {
    count: usize,
    until: Option<Instant>,
}

impl Awaited {
    fn expect(&mut self, followers: usize) {
        if followers > 0 {
            self.count += followers;
            self.until.get_or_insert_with(|| Instant::now() + FOLLOWERS_WAIT);
        }
    }

    fn arrived(&mut self, step: &dyn AnyStep) {
        if step.follows() {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// What waits already, or comes while someone is awaited.
    async fn next(&self, orders: &mut Orders, taken: usize) -> Option<Order> {
        match (orders.waiting(taken), self.until) {
            (Some(order), _) => Some(order),
            (None, Some(until)) if self.count > 0 && taken < STEPS_PER_COMMIT_MAX => {
                tokio::time::timeout_at(until, orders.first.recv()).await.ok().flatten()
            }
            (None, _) => None,
        }
    }
}

/// Runs a step within the savepoint that was set for it, so that its failure leaves the others'
/// work alone. Gives back how many steps follow from it.
///
/// Fails where the whole transaction has become void.
async fn run_one(
    connection: &mut SqliteConnection,
    step: Box<dyn AnyStep>,
) -> Result<(Settle, usize), (Settle, StoreError)> {
    let Ran { error, followers, settle } = step.run(connection).await;
    match error {
        None => Ok((settle, followers)),
        Some(error) if error.is_transient() => Err((settle, error)),
        // What is left of the savepoint is empty, and released with the next.
        Some(_) => match execute(connection, "ROLLBACK TO step").await {
            Ok(()) => Ok((settle, 0)),
            Err(worse) => Err((settle, worse)),
        },
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// A write that changes nothing but must reach the disk.
async fn probe(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    let wrote = async {
        execute(connection, "CREATE TABLE probe (filler BLOB) STRICT").await?;
        execute(connection, "INSERT INTO probe VALUES (zeroblob(65536))").await?;
        execute(connection, "DROP TABLE probe").await?;
        execute(connection, "COMMIT").await
    }
    .await;
    if wrote.is_err() {
        drop(execute(connection, "ROLLBACK").await);
    }
    wrote
}

fn report(trouble: &watch::Sender<Option<StoreError>>, failure: Option<StoreError>) {
    trouble.send_if_modified(|current| {
        let changed = current.is_some() != failure.is_some();
        if let (true, Some(error)) = (changed, &failure) {
            tracing::error!(%error, remedy = error.remedies().0, "nothing can be written");
        } else if changed {
            tracing::info!("writing works again");
        }
        *current = failure;
        changed
    });
}
