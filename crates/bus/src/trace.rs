//! Trace context in message headers, after the W3C recommendation "Trace Context".

use async_nats::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector};
use tracing_opentelemetry::OpenTelemetrySpanExt;

struct Inject<'a>(&'a mut HeaderMap);

impl Injector for Inject<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value.as_str());
    }
}

struct Extract<'a>(&'a HeaderMap);

impl Extractor for Extract<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _values)| name.as_ref()).collect()
    }
}

/// Writes the current span's context into the headers, where there is one.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let context = tracing::Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Inject(headers));
    });
}

/// Makes `span` part of a trace that is known by its `traceparent` alone. Call it before entering
/// the span.
pub fn join_trace(span: &tracing::Span, traceparent: &str) {
    let mut headers = HeaderMap::new();
    headers.insert(contracts::trace::HEADER, traceparent);
    continue_in(span, &headers);
}

/// Makes `span` a child of the span that published the message. Call it before entering the span.
pub(crate) fn continue_in(span: &tracing::Span, headers: &HeaderMap) {
    let context = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&Extract(headers))
    });
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(%error, "trace context not continued");
    }
}

/// The `traceparent` of a message that has no cause to share a trace with: ids alone, without the
/// span that would have to be kept for each of thousands of messages of which nobody will ask.
pub(crate) fn fresh() -> String {
    // All zeros would be invalid.
    let trace = rand::random_range(1..=u128::MAX);
    let span = rand::random_range(1..=u64::MAX);
    format!("00-{trace:032x}-{span:016x}-01")
}
