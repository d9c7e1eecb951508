//! A pipeline publishes many messages at once: one inbox takes all of their acknowledgements.
//!
//! A publish that is awaited by itself costs a request of its own: an inbox, a timer, a channel and
//! a task to wake. Here the reply subject carries a number, one subscription hears them all, and
//! one timer watches the oldest. What is promised stays the same: a message counts as stored when
//! JetStream has said so, and until then it is published again under the same id.

mod flight;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::header::{HeaderName, NATS_MESSAGE_ID};
use async_nats::{HeaderMap, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::connection::{Bus, Connection, REQUEST_TIMEOUT};
use crate::error::{BusError, chain};
use crate::publish::{Outgoing, PublishError, Stored, classify, refused};
use flight::{Flight, Flights};

/// Many messages on their way into streams, each with a `tag` by which its owner knows it.
///
/// It is driven by one task: messages go in by [`Pipeline::begin`], and come out by
/// [`Pipeline::settled`] in whatever order they are stored.
pub struct Pipeline<T> {
    bus: Bus,
    acknowledgements: Subscriber,
    /// The inbox with the dot before a message's number.
    inbox: String,
    flights: Flights<T>,
    /// What was rejected while something else was being done.
    rejected: VecDeque<Settled<T>>,
    connection: watch::Receiver<Connection>,
    was_connected: bool,
    alarm: Pin<Box<Sleep>>,
    /// When the alarm rings; none while it is off.
    rings_at: Option<Instant>,
}

/// A message that needs no more attention.
#[derive(Debug)]
pub struct Settled<T> {
    /// What it was begun with.
    pub tag: T,
    /// How long it took from its beginning.
    pub elapsed: Duration,
    /// Where it was stored, or the message itself where it never can be.
    pub outcome: Result<Stored, Rejected>,
}

/// A message that no stream will ever take.
#[derive(Debug)]
pub struct Rejected {
    /// The message.
    pub message: Outgoing,
    /// Why: never a transient error.
    pub error: PublishError,
}

impl<T> fmt::Debug for Pipeline<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pipeline").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What JetStream answers to a publish.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<Refusal>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    description: String,
}

impl Bus {
    /// Opens a pipeline. The server need not be reached yet.
    pub async fn pipeline<T>(&self) -> Result<Pipeline<T>, BusError> {
        let inbox = format!("{}.", self.client.new_inbox());
        let acknowledgements =
            self.client.subscribe(format!("{inbox}*")).await.map_err(|error| {
                BusError::unavailable("listen for acknowledgements")(error.into())
            })?;
        let mut connection = self.connection();
        let was_connected = *connection.borrow_and_update() == Connection::Connected;
        Ok(Pipeline {
            bus: self.clone(),
            acknowledgements,
            inbox,
            flights: Flights::default(),
            rejected: VecDeque::new(),
            connection,
            was_connected,
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            rings_at: None,
        })
    }
}

impl<T> Pipeline<T> {
    /// How many messages are on their way.
    pub fn len(&self) -> usize {
        self.flights.len() + self.rejected.len()
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends a message on its way, and returns once the client has it: at once, except where the
    /// server has been away for thousands of messages. A call that is dropped before it returns
    /// has begun all the same.
    pub async fn begin(&mut self, tag: T, message: Outgoing) {
        self.send(Flight::new(tag, message)).await;
    }

    /// The next message that is stored or rejected; waits for ever where there is none.
    ///
    /// Nothing is lost where the call is dropped before it returns.
    pub async fn settled(&mut self) -> Settled<T> {
        loop {
            if let Some(settled) = self.rejected.pop_front() {
                return settled;
            }
            self.set_alarm();
            tokio::select! {
                biased;
                answer = self.acknowledgements.next() => match answer {
                    Some(answer) => {
                        if let Some(settled) = self.answered(&answer) {
                            return settled;
                        }
                    }
                    // The client was closed, by us: there is nobody left to wait for.
                    None => std::future::pending().await,
                },
                Ok(()) = self.connection.changed() => self.connection_changed(),
                () = &mut self.alarm, if self.rings_at.is_some() => self.alarmed().await,
            }
        }
    }

    /// Like [`Pipeline::settled`], for what needs no waiting.
    pub fn settled_now(&mut self) -> Option<Settled<T>> {
        if let Some(settled) = self.rejected.pop_front() {
            return Some(settled);
        }
        while let Some(answer) = self.acknowledgements.next().now_or_never()? {
            if let Some(settled) = self.answered(&answer) {
                return Some(settled);
            }
        }
        None
    }

    async fn send(&mut self, flight: Flight<T>) {
        let subject = flight.message.subject.clone();
        let headers = headers(&flight.message);
        let payload = flight.message.payload.clone();
        // From here on it is known, however this call ends.
        let number = self.flights.launch(flight, Instant::now());
        let reply = self.reply(number);
        let sent =
            self.bus.client.publish_with_reply_and_headers(subject, reply, headers, payload).await;
        if let Err(error) = sent
            && let Some(flight) = self.flights.land(number)
        {
            let error = classify(&error, flight.message.payload.len());
            let settled = self.failed(flight, error);
            self.rejected.extend(settled);
        }
    }

    fn reply(&self, number: u64) -> String {
        const DIGITS_MAX: usize = 20;
        let mut reply = String::with_capacity(self.inbox.len() + DIGITS_MAX);
        reply.push_str(&self.inbox);
        fmt::Write::write_fmt(&mut reply, format_args!("{number}")).expect("a string takes all");
        reply
    }

    /// An answer came. None: it changes nothing, or the message goes out again.
    fn answered(&mut self, answer: &async_nats::Message) -> Option<Settled<T>> {
        let number = answer.subject.strip_prefix(&*self.inbox)?.parse().ok()?;
        // What answers an attempt that was given up is answered again by the next one.
        let flight = self.flights.land(number)?;
        match read(answer, flight.message.payload.len()) {
            Ok(stored) => {
                self.bus.stall.end();
                Some(Settled {
                    tag: flight.tag,
                    elapsed: flight.begun.elapsed(),
                    outcome: Ok(stored),
                })
            }
            Err(error) => self.failed(flight, error),
        }
    }

    /// An attempt failed: the message is rejected for good, or waits for the next attempt.
    fn failed(&mut self, flight: Flight<T>, error: PublishError) -> Option<Settled<T>> {
        if !error.is_transient() {
            let Flight { tag, begun, message, .. } = flight;
            let outcome = Err(Rejected { message, error });
            return Some(Settled { tag, elapsed: begun.elapsed(), outcome });
        }
        self.bus.stall.begin();
        // One loss says it for all: an outage holds up hundreds of messages at once.
        let told = self.bus.stall.told();
        flight.span().in_scope(|| {
            if told {
                tracing::debug!(%error, "not stored yet");
            } else {
                tracing::warn!(%error, "not stored yet");
            }
        });
        self.flights.wait(flight, Instant::now());
        None
    }

    /// What was on its way when the connection broke is not waited for any longer: its answer,
    /// and often the message itself, went down with the socket.
    fn connection_changed(&mut self) {
        if *self.connection.borrow_and_update() == Connection::Connected {
            if self.was_connected {
                self.flights.recall(Instant::now());
            }
            self.was_connected = true;
        }
    }

    fn set_alarm(&mut self) {
        let due = self.flights.due();
        // One that rings early is set again; only one that would ring late must be moved.
        let is_late = match (due, self.rings_at) {
            (Some(due), Some(rings_at)) => due < rings_at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if let Some(due) = due.filter(|_| is_late) {
            self.alarm.as_mut().reset(due.into());
            self.rings_at = Some(due);
        }
    }

    /// Gives up on attempts that were not answered in time, and makes those that are due.
    async fn alarmed(&mut self) {
        self.rings_at = None;
        let now = Instant::now();
        while let Some(flight) = self.flights.land_overdue(now) {
            let why = format!("no acknowledgement within {REQUEST_TIMEOUT:?}");
            let settled = self.failed(flight, PublishError::Unavailable(why));
            self.rejected.extend(settled);
        }
        while let Some(flight) = self.flights.take_waiting(now) {
            // An attempt while the server is away would only fill the client's queue.
            if self.bus.client.connection_state() == State::Connected {
                self.send(flight).await;
            } else {
                self.flights.wait(flight, now);
            }
        }
    }
}

fn headers(message: &Outgoing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(HeaderName::from_static(name), value.as_str());
    }
    if let Some(id) = &message.id {
        headers.insert(NATS_MESSAGE_ID, id.as_str());
    }
    headers
}

fn read(answer: &async_nats::Message, payload_bytes: usize) -> Result<Stored, PublishError> {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(PublishError::Unavailable("no stream takes this subject yet".to_owned()));
    }
    match serde_json::from_slice(&answer.payload) {
        Ok(Answer { error: Some(error), .. }) => Err(refused(error.description, payload_bytes)),
        Ok(Answer { seq: sequence @ 1.., duplicate, .. }) => Ok(Stored { sequence, duplicate }),
        Ok(_) => Err(PublishError::Unavailable("the answer is no acknowledgement".to_owned())),
        Err(error) => Err(PublishError::Unavailable(chain(&error))),
    }
}
