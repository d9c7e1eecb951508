//! The connection to nats-server: made in the background, kept up, and watched.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::error::{BusError, chain};
use crate::stall::Stall;
use crate::trouble::{self, Trouble};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to reach the server.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);
const RECONNECT_DELAY_STEP: Duration = Duration::from_millis(100);
/// A server that says nothing for two of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How many acknowledgements may be awaited at once over all publishers of this process.
const ACKS_IN_FLIGHT_MAX: usize = 4096;

/// Where the server is and who we are to it.
#[derive(Clone)]
pub struct BusConfig {
    /// The server's address, such as `nats://127.0.0.1:4222`; several separated by commas.
    pub url: String,
    /// Our service's name: shown in the server's list of connections, and the prefix of our inbox.
    pub service: String,
    /// The user, where the server asks for one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A PEM file with the authority that signed the server's certificate, where the address
    /// begins with `tls://` and the authority is one of our own.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for BusConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BusConfig")
            .field("url", &self.url)
            .field("service", &self.service)
            .field("user", &self.user)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// Whether the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not reached since the start.
    Connecting,
    /// Reached.
    Connected,
    /// Lost; new attempts are being made.
    Disconnected {
        /// Since when.
        since: Instant,
    },
}

/// The bus as seen by one service. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) stall: Stall,
    connection: watch::Receiver<Connection>,
    trouble: Trouble,
}

impl fmt::Debug for Bus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bus")
            .field("connection", &*self.connection.borrow())
            .finish_non_exhaustive()
    }
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The sequence of its oldest message; one more than the last where it is empty.
    pub first_sequence: u64,
    /// The sequence of its newest message; 0 where there never was one.
    pub last_sequence: u64,
    /// How many messages it holds.
    pub messages: u64,
    /// How many bytes it holds.
    pub bytes: u64,
    /// When it was created, in milliseconds since the Unix epoch: tells a stream made anew from
    /// the one a cursor belongs to.
    pub created_unix_ms: u64,
}

impl Bus {
    /// Starts connecting and returns at once: the server may come up later than we do.
    ///
    /// Fails only where the settings cannot work.
    pub async fn connect(config: BusConfig) -> Result<Self, BusError> {
        let (sender, connection) = watch::channel(Connection::Connecting);
        let trouble = Trouble::default();
        let (noted, eased) = (trouble.clone(), trouble.clone());
        let mut options = async_nats::ConnectOptions::new()
            .name(&config.service)
            // Where there are users, each may hear the inbox of its own name only.
            .custom_inbox_prefix(format!(
                "_INBOX_{}",
                config.user.as_deref().unwrap_or(&config.service)
            ))
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(|attempts| {
                // The first attempt of all asks too, and has nothing to wait for.
                let steps = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
                RECONNECT_DELAY_STEP.saturating_mul(steps).min(RECONNECT_DELAY_MAX)
            })
            // Asked before each attempt, this is the one place that hears why the last one failed.
            .reconnect_to_server_callback(move |servers, _info| {
                noted.note(servers.iter().find_map(|server| server.last_error.as_deref()));
                std::future::ready(None)
            })
            .event_callback(move |event| {
                if event == async_nats::Event::Connected {
                    eased.clear();
                }
                note_event(&event, &sender);
                std::future::ready(())
            });
        if let Some(file) = &config.ca_file {
            trouble::expect_authorities(file)?;
            options = options.add_root_certificates(file.clone()).require_tls(true);
        }
        options = match (config.user, config.password) {
            (Some(user), Some(password)) => options.user_and_password(user, password),
            (None, None) => options,
            _ => {
                let why = "NATS_USER and NATS_PASSWORD go together: set both or none";
                return Err(BusError::Settings(why.to_owned()));
            }
        };
        let addresses = config
            .url
            .split(',')
            .map(|url| url.trim().parse::<async_nats::ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                BusError::Settings(format!("NATS_URL is not an address of nats-server: {error}"))
            })?;
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| BusError::Settings(format!("connect to nats-server: {error}")))?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(ACKS_IN_FLIGHT_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, jetstream, stall: Stall::default(), connection, trouble })
    }

    /// Whether the server is reached, now and as it changes.
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Why the server is not reached, in words that say what to do; none while it is, or while
    /// nothing is known.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.why()
    }

    /// For how long JetStream has stored nothing that we published, though the server may be
    /// reached: a full disk, a stream that was frozen. None while it stores what it is given.
    pub fn stalled(&self) -> Option<Duration> {
        self.stall.since().map(|since| since.elapsed())
    }

    /// Waits until the server is reached.
    pub async fn wait_connected(&self) {
        let mut connection = self.connection.clone();
        // The sender lives in the client's task: it goes only when the client does, with us.
        if connection.wait_for(|state| *state == Connection::Connected).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Publishes on core NATS: whoever listens now hears it, nothing is kept.
    pub async fn publish_core(&self, subject: String, payload: Vec<u8>) -> Result<(), BusError> {
        self.client
            .publish(subject, payload.into())
            .await
            .map_err(|error| BusError::unavailable("publish on core NATS")(error.into()))
    }

    /// Listens on core NATS.
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        let subscriber = self
            .client
            .subscribe(subject.to_owned())
            .await
            .map_err(|error| BusError::unavailable("subscribe on core NATS")(error.into()))?;
        Ok(Subscription { subscriber })
    }

    /// What a stream holds.
    pub async fn stream_state(&self, stream: &str) -> Result<StreamState, BusError> {
        let info = self
            .jetstream
            .get_stream(stream)
            .await
            .map_err(|error| BusError::unavailable("ask for a stream's state")(error.into()))?
            .get_info()
            .await
            .map_err(|error| BusError::unavailable("ask for a stream's state")(error.into()))?;
        let created_ms = info.created.unix_timestamp_nanos() / 1_000_000;
        Ok(StreamState {
            first_sequence: info.state.first_sequence,
            last_sequence: info.state.last_sequence,
            messages: info.state.messages,
            bytes: info.state.bytes,
            created_unix_ms: u64::try_from(created_ms).unwrap_or_default(),
        })
    }

    /// The newest message on a subject of a stream; none where nothing is there.
    pub async fn newest_on(&self, stream: &str, subject: &str) -> Result<Option<Bytes>, BusError> {
        const DOING: &str = "read a message";
        let stream = self
            .jetstream
            .get_stream_no_info(stream)
            .await
            .map_err(|error| BusError::unavailable(DOING)(error.into()))?;
        match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(BusError::Unavailable { doing: DOING, reason: chain(&error) }),
        }
    }

    /// Erases one message from a stream and overwrites its bytes (JetStream's secure delete).
    ///
    /// False: it was not there any more.
    pub async fn erase(&self, stream: &str, sequence: u64) -> Result<bool, BusError> {
        const DOING: &str = "erase a message";
        let stream = self
            .jetstream
            .get_stream_no_info(stream)
            .await
            .map_err(|error| BusError::unavailable(DOING)(error.into()))?;
        match stream.delete_message(sequence).await {
            Ok(erased) => Ok(erased),
            Err(error) => match error.kind() {
                jetstream::stream::DeleteMessageErrorKind::JetStream(answer)
                    if is_absent(&answer) =>
                {
                    Ok(false)
                }
                jetstream::stream::DeleteMessageErrorKind::JetStream(answer) => {
                    Err(BusError::Refused { doing: DOING, reason: answer.to_string() })
                }
                _ => Err(BusError::Unavailable { doing: DOING, reason: chain(&error) }),
            },
        }
    }

    /// Waits until everything handed to the client is written to the server.
    pub async fn flush(&self) -> Result<(), BusError> {
        self.client.flush().await.map_err(|error| BusError::unavailable("flush")(error.into()))
    }

    /// Ends the connection after what is under way was written.
    pub async fn drain(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "connection to nats-server was already closed");
        }
    }
}

/// Whether the server says that the message is gone already.
fn is_absent(answer: &jetstream::Error) -> bool {
    // nats-server's errors.json: 10057 "stream message delete failed" wraps "no message found",
    // 10037 "no message found", 10043 "sequence not found" for a message erased before.
    let text = answer.to_string();
    answer.error_code() == jetstream::ErrorCode::NO_MESSAGE_FOUND
        || answer.error_code() == jetstream::ErrorCode::SEQUENCE_NOT_FOUND
        || text.contains("no message found")
        || text.contains("message not found")
}

fn note_event(event: &async_nats::Event, sender: &watch::Sender<Connection>) {
    match event {
        async_nats::Event::Connected => {
            tracing::info!("nats-server reached");
            sender.send_replace(Connection::Connected);
        }
        async_nats::Event::Disconnected => {
            if note_loss(sender) {
                tracing::warn!("nats-server lost; reconnecting");
            }
        }
        // We closed it ourselves: the client never gives up by itself.
        async_nats::Event::Closed => {
            note_loss(sender);
        }
        async_nats::Event::ServerError(error) => tracing::warn!(%error, "nats-server refused"),
        other => tracing::debug!(event = %other, "connection to nats-server"),
    }
}

/// Whether the server was reached until now.
fn note_loss(sender: &watch::Sender<Connection>) -> bool {
    sender.send_if_modified(|state| {
        let was_up = *state == Connection::Connected;
        if was_up {
            *state = Connection::Disconnected { since: Instant::now() };
        }
        was_up
    })
}

/// A message on core NATS.
#[derive(Debug, Clone)]
pub struct CoreMessage {
    /// The subject it was published on.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
}

/// Messages of a subject on core NATS. It lives on across reconnects; what was published while
/// we were away is gone.
#[derive(Debug)]
pub struct Subscription {
    subscriber: async_nats::Subscriber,
}

impl Subscription {
    /// The next message; none once the connection is closed for good.
    pub async fn next(&mut self) -> Option<CoreMessage> {
        let message = self.subscriber.next().await?;
        Some(CoreMessage { subject: message.subject.to_string(), payload: message.payload })
    }
}
