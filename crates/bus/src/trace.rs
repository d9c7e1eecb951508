//! Trace context in message headers, after the W3C recommendation "Trace Context".

use std::fmt::Write as _;

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The name of the header that carries trace and span id.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// A trace that begins with a message: ids alone, without the span that would have to be kept for
/// each of thousands of messages a second of which nobody will ever ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnTrace {
    trace: u128,
    span: u64,
}

impl OwnTrace {
    /// New ids. All zeros would be invalid, and is the one value that is never drawn.
    pub(crate) fn begin() -> Self {
        Self { trace: rand::random_range(1..=u128::MAX), span: rand::random_range(1..=u64::MAX) }
    }

    /// Writes the ids into the headers: version 00, sampled.
    pub(crate) fn inject(self, headers: &mut HeaderMap) {
        let mut value = String::with_capacity("00-".len() + 32 + 1 + 16 + "-01".len());
        write!(value, "00-{:032x}-{:016x}-01", self.trace, self.span)
            .expect("a string takes any text");
        headers.insert(TRACEPARENT, value);
    }

    /// A span in this trace, for those messages of which there is something to tell.
    pub(crate) fn span(self, subject: &str) -> tracing::Span {
        let span = tracing::info_span!("publish", subject);
        let parent = SpanContext::new(
            TraceId::from(self.trace),
            SpanId::from(self.span),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        if let Err(error) = span.set_parent(Context::new().with_remote_span_context(parent)) {
            tracing::debug!(%error, "trace context not continued");
        }
        span
    }
}
