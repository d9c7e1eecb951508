//! The messages of a pipeline: those that await an answer, in order, and those that wait to be
//! published again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use contracts::trace::HEADER;

use crate::connection::REQUEST_TIMEOUT;
use crate::publish::{Outgoing, RETRY_DELAY_FIRST, RETRY_DELAY_MAX};
use crate::trace;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Flight<T> {
    pub(super) tag: T,
    pub(super) message: Outgoing,
    pub(super) begun: Instant,
    /// How long the next failure is waited out.
    delay: Duration,
}

impl<T> Flight<T> {
    pub(super) fn new(tag: T, mut message: Outgoing) -> Self {
        // A trace that is derived from its cause is kept, and each attempt bears the same one.
        if traceparent(&message).is_none() {
            message.headers.push((HEADER, trace::fresh()));
        }
        Self { tag, message, begun: Instant::now(), delay: RETRY_DELAY_FIRST }
    }

    /// A span in the message's trace, for those of which there is something to tell.
    pub(super) fn span(&self) -> tracing::Span {
        let span = tracing::info_span!("publish", subject = self.message.subject);
        if let Some(parent) = traceparent(&self.message) {
            trace::join_trace(&span, parent);
        }
        span
    }
}

fn traceparent(message: &Outgoing) -> Option<&str> {
    let mut headers = message.headers.iter();
    headers.find(|(name, _)| *name == HEADER).map(|(_, value)| value.as_str())
}

/// All messages on their way.
///
/// Attempts are numbered as they are made, so that the oldest, which is overdue first, stands in
/// front; what was answered before it leaves a gap behind.
#[derive(Debug)]
pub(super) struct Flights<T> {
    /// The number of the attempt in front.
    first: u64,
    attempts: VecDeque<Option<(Instant, Flight<T>)>>,
    waiting: BTreeMap<(Instant, u64), Flight<T>>,
    /// How many have waited: keeps those apart that are due at once.
    waited: u64,
    under_way: usize,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self {
            first: 0,
            attempts: VecDeque::new(),
            waiting: BTreeMap::new(),
            waited: 0,
            under_way: 0,
        }
    }
}

impl<T> Flights<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.under_way + self.waiting.len()
    }

    /// Notes an attempt, and returns its number.
    pub(super) fn launch(&mut self, flight: Flight<T>, now: Instant) -> u64 {
        self.attempts.push_back(Some((now + REQUEST_TIMEOUT, flight)));
        self.under_way += 1;
        self.first + self.attempts.len() as u64 - 1
    }

    /// An attempt was answered. None: it was given up, or answered before.
    pub(super) fn land(&mut self, number: u64) -> Option<Flight<T>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let (_, flight) = self.attempts.get_mut(index)?.take()?;
        self.under_way -= 1;
        self.drop_gaps();
        Some(flight)
    }

    /// The oldest attempt, where it should have been answered by now.
    pub(super) fn land_overdue(&mut self, now: Instant) -> Option<Flight<T>> {
        let is_overdue = self.oldest_due().is_some_and(|due| due <= now);
        is_overdue.then(|| self.land(self.first)).flatten()
    }

    /// Lets a message wait before its next attempt, longer each time.
    pub(super) fn wait(&mut self, mut flight: Flight<T>, now: Instant) {
        let due = now + flight.delay;
        flight.delay = (flight.delay * 2).min(RETRY_DELAY_MAX);
        self.waited += 1;
        self.waiting.insert((due, self.waited), flight);
    }

    /// Gives up on every attempt, so that all is attempted again at once and in the same order.
    pub(super) fn recall(&mut self, now: Instant) {
        // Their numbers are not given a second time.
        self.first += self.attempts.len() as u64;
        for (_, flight) in self.attempts.drain(..).flatten() {
            self.waited += 1;
            self.waiting.insert((now, self.waited), flight);
        }
        self.under_way = 0;
    }

    /// A message that has waited long enough.
    pub(super) fn take_waiting(&mut self, now: Instant) -> Option<Flight<T>> {
        let entry = self.waiting.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When something is to be done unless answers come.
    pub(super) fn due(&self) -> Option<Instant> {
        let retry = self.waiting.first_key_value().map(|((due, _), _)| *due);
        self.oldest_due().into_iter().chain(retry).min()
    }

    fn oldest_due(&self) -> Option<Instant> {
        self.attempts.front()?.as_ref().map(|(due, _)| *due)
    }

    fn drop_gaps(&mut self) {
        while self.attempts.front().is_some_and(Option::is_none) {
            self.attempts.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights(tags: &[char], now: Instant) -> Flights<char> {
        let mut flights = Flights::default();
        for tag in tags {
            flights.launch(Flight::new(*tag, Outgoing::default()), now);
        }
        flights
    }

    fn tag(flight: Option<Flight<char>>) -> Option<char> {
        flight.map(|flight| flight.tag)
    }

    #[test]
    fn answers_find_their_message_in_any_order_and_only_once() {
        let now = Instant::now();
        let mut flights = flights(&['a', 'b', 'c'], now);
        assert_eq!(tag(flights.land(1)), Some('b'));
        assert_eq!(tag(flights.land(1)), None);
        assert_eq!(tag(flights.land(0)), Some('a'));
        assert_eq!(tag(flights.land(0)), None);
        assert_eq!((flights.len(), flights.attempts.len()), (1, 1));
        assert_eq!(flights.launch(Flight::new('d', Outgoing::default()), now), 3);
        assert_eq!(tag(flights.land(3)), Some('d'));
        assert_eq!(tag(flights.land(2)), Some('c'));
        assert_eq!(tag(flights.land(7)), None);
        assert_eq!((flights.len(), flights.due()), (0, None));
    }

    #[test]
    fn what_is_not_answered_is_overdue_in_the_order_of_its_attempts() {
        let now = Instant::now();
        let mut flights = flights(&['a', 'b'], now);
        flights.launch(Flight::new('c', Outgoing::default()), now + Duration::from_secs(1));
        assert_eq!(tag(flights.land_overdue(now)), None);
        assert_eq!(tag(flights.land(0)), Some('a'));
        let late = now + REQUEST_TIMEOUT;
        assert_eq!(flights.due(), Some(late));
        assert_eq!(tag(flights.land_overdue(late)), Some('b'));
        assert_eq!(tag(flights.land_overdue(late)), None);
        assert_eq!(flights.due(), Some(late + Duration::from_secs(1)));
    }

    #[test]
    fn an_answer_to_an_attempt_that_was_given_up_is_not_taken_for_the_next() {
        let now = Instant::now();
        let mut flights = flights(&['a'], now);
        let given_up = flights.land_overdue(now + REQUEST_TIMEOUT).unwrap();
        flights.wait(given_up, now);
        assert_eq!((flights.len(), tag(flights.land(0))), (1, None));
        assert_eq!(tag(flights.take_waiting(now)), None);
        assert_eq!(flights.due(), Some(now + RETRY_DELAY_FIRST));
        let again = flights.take_waiting(now + RETRY_DELAY_FIRST).unwrap();
        assert_eq!(flights.launch(again, now), 1);
        assert_eq!((tag(flights.land(0)), tag(flights.land(1))), (None, Some('a')));
    }

    #[test]
    fn what_is_recalled_goes_again_in_its_order_and_under_new_numbers() {
        let now = Instant::now();
        let mut flights = flights(&['a', 'b', 'c'], now);
        assert_eq!(tag(flights.land(1)), Some('b'));
        flights.recall(now);
        assert_eq!((flights.len(), flights.due()), (2, Some(now)));
        let again = flights.take_waiting(now).unwrap();
        assert_eq!((again.tag, flights.launch(again, now)), ('a', 3));
        assert_eq!(tag(flights.take_waiting(now)), Some('c'));
        assert_eq!((tag(flights.land(0)), tag(flights.land(3))), (None, Some('a')));
    }

    #[test]
    fn a_message_waits_longer_after_each_failure_up_to_a_limit() {
        let now = Instant::now();
        let mut flights = Flights::default();
        let mut flight = Flight::new('a', Outgoing::default());
        let mut delays = Vec::new();
        for _ in 0..8 {
            flights.wait(flight, now);
            let due = flights.due().unwrap();
            delays.push((due - now).as_millis());
            flight = flights.take_waiting(due).unwrap();
        }
        assert_eq!(delays, [20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
