//! The figures of forwarding: each is looked up once, not for every event.

use std::time::Duration;

use bus::Stored;
use metrics::{Counter, Histogram};

use crate::filter::Ignored;

/// Why events are left alone beside what their messages say.
const OTHER_REASONS: [&str; 2] = ["type", "no_session"];

/// Counters and histograms.
#[derive(Debug)]
pub(crate) struct Figures {
    filtered: Vec<(&'static str, Counter)>,
    stored: Counter,
    duplicate: Counter,
    pub(super) dead: Counter,
    forward_seconds: Histogram,
    publish_seconds: Histogram,
}

impl Figures {
    /// Finds them in the process' recorder, which must stand by then.
    pub(super) fn find() -> Self {
        let reasons = Ignored::ALL.into_iter().map(Ignored::word).chain(OTHER_REASONS);
        let published = "gateway_events_published_total";
        Self {
            filtered: reasons.map(|why| (why, filtered(why))).collect(),
            stored: metrics::counter!(published, "kind" => "new"),
            duplicate: metrics::counter!(published, "kind" => "duplicate"),
            dead: metrics::counter!("gateway_events_dead_total"),
            forward_seconds: metrics::histogram!("gateway_forward_seconds"),
            publish_seconds: metrics::histogram!("gateway_publish_seconds"),
        }
    }

    /// An event was left alone.
    pub(crate) fn filtered(&self, why: &'static str) {
        match self.filtered.iter().find(|(known, _)| *known == why) {
            Some((_, counter)) => counter.increment(1),
            None => filtered(why).increment(1),
        }
    }

    /// An event was stored, so long after it was first sent.
    pub(super) fn published(&self, stored: Stored, elapsed: Duration) {
        let counter = if stored.duplicate { &self.duplicate } else { &self.stored };
        counter.increment(1);
        self.publish_seconds.record(elapsed.as_secs_f64());
    }

    /// An event was dealt with, so long after it was received.
    pub(super) fn forwarded(&self, elapsed: Duration) {
        self.forward_seconds.record(elapsed.as_secs_f64());
    }
}

fn filtered(why: &'static str) -> Counter {
    metrics::counter!("gateway_events_filtered_total", "reason" => why)
}
