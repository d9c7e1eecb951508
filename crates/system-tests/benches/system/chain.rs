//! The baseline of a turn's overhead: publish, deliver and one FULL commit, with nothing around.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::{self, consumer, stream};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};
use system_tests::House;

use crate::figures::Samples;
use crate::pace::{self, Pace, between_ms, now_us};

const STREAM: &str = "BENCH_CHAIN";
/// What is there already is taken along into one commit, as any sensible consumer would.
const BATCH_MAX: usize = 256;
const PATIENCE: Duration = Duration::from_mins(1);

/// The chain, ready for one round after another.
pub(crate) struct Chain {
    publisher: jetstream::Context,
    stream: stream::Stream,
    database: SqliteConnection,
    payload: Bytes,
    rounds: usize,
}

/// What one round found.
pub(crate) struct Round {
    /// From the publish to the end of the commit, in milliseconds.
    pub(crate) overhead: Samples,
    /// How late the generator was, in milliseconds.
    pub(crate) late: Samples,
}

/// A bare connection to a house's broker, as somebody who may do everything.
pub(crate) async fn connect(house: &House) -> anyhow::Result<async_nats::Client> {
    let (user, password) = house.story_user();
    // The client does not read a user from the address.
    let options =
        async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    options.connect(house.nats.url()).await.context("connect to the house's broker")
}

impl Chain {
    /// Makes the stream (on file, like the events) and the database in `folder`.
    pub(crate) async fn open(house: &House, payload: Bytes) -> anyhow::Result<Self> {
        let publisher = jetstream::new(connect(house).await?);
        let consumer = jetstream::new(connect(house).await?);
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["bench.chain.>".to_owned()],
            duplicate_window: Duration::from_mins(15),
            ..stream::Config::default()
        };
        publisher.create_stream(config).await.context("create the chain's stream")?;
        let stream = consumer.get_stream(STREAM).await?;
        let options = SqliteConnectOptions::new()
            .filename(house.folder().join("chain.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut database = SqliteConnection::connect_with(&options).await?;
        sqlx::query("CREATE TABLE arrived (id INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT")
            .execute(&mut database)
            .await?;
        Ok(Self { publisher, stream, database, payload, rounds: 0 })
    }

    /// Publishes at this pace and commits what arrives.
    pub(crate) async fn round(&mut self, pace: Pace) -> anyhow::Result<Round> {
        self.rounds += 1;
        let round = self.rounds;
        let subject = format!("bench.chain.{round}");
        let config = consumer::pull::Config {
            filter_subject: format!("{subject}.>"),
            max_ack_pending: 10_000,
            ..consumer::pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await?;
        let mut messages = consumer.messages().await?;
        let sent: Arc<[AtomicU64]> = (0..pace.count).map(|_| AtomicU64::new(0)).collect();
        let generator = {
            let (sent, publisher, payload) =
                (Arc::clone(&sent), self.publisher.clone(), self.payload.clone());
            let runtime = tokio::runtime::Handle::current();
            pace::open_loop(pace, move |index| {
                sent[index].store(now_us(), Ordering::Relaxed);
                let message = jetstream::message::PublishMessage::build()
                    .message_id(format!("chain:{round}:{index}"))
                    .payload(payload.clone());
                let (publisher, subject) = (publisher.clone(), format!("{subject}.{index}"));
                runtime.spawn(async move { publisher.send_publish(subject, message).await?.await });
            })
        };
        let generator = tokio::spawn(generator);
        let mut overhead = Samples::default();
        while overhead.len() < pace.count {
            let first = tokio::time::timeout(PATIENCE, messages.next()).await;
            let first = first.context("the chain stands still")?.context("the chain ended")??;
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Some(Some(Ok(more))) = messages.next().now_or_never()
            {
                batch.push(more);
            }
            self.commit(&batch).await?;
            let now = now_us();
            for message in batch {
                let index: usize = last_token(&message.subject)?;
                overhead.push(between_ms(sent[index].load(Ordering::Relaxed), now));
                message.ack().await.map_err(anyhow::Error::from_boxed)?;
            }
        }
        Ok(Round { overhead, late: generator.await?? })
    }

    async fn commit(&mut self, batch: &[jetstream::Message]) -> anyhow::Result<()> {
        let mut transaction = self.database.begin_with("BEGIN IMMEDIATE").await?;
        for message in batch {
            sqlx::query("INSERT INTO arrived (payload) VALUES (?)")
                .bind(&message.payload[..])
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn last_token(subject: &str) -> anyhow::Result<usize> {
    let token = subject.rsplit('.').next().unwrap_or_default();
    token.parse().with_context(|| format!("read the number in {subject}"))
}
