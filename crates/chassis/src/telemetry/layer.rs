//! The layer that turns tracing's events into records and hands them to every output.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanValues};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::queue::LineQueue;
use super::record::{Fields, Record};
use super::render::{Renderer, Style};

/// Where log lines go, and in which style.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) style: Style,
    /// The most detailed level that goes there, of those that are logged at all.
    pub(super) level_max: LevelFilter,
    pub(super) queue: LineQueue,
}

/// Gathers the fields of an event and of the spans around it, and renders one line an output.
#[derive(Debug)]
pub(super) struct LogLayer {
    renderer: Renderer,
    outputs: Vec<Output>,
    fatal_only: Arc<AtomicBool>,
}

impl LogLayer {
    pub(super) fn new(
        renderer: Renderer,
        outputs: Vec<Output>,
        fatal_only: Arc<AtomicBool>,
    ) -> Self {
        Self { renderer, outputs, fatal_only }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &SpanValues<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        let mut span_name = None;
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend_from(outer);
            }
            span_name = Some(span.name());
        }
        event.record(&mut fields);
        let record = Record::new(event.metadata(), fields, span_name);
        if self.fatal_only.load(Ordering::Relaxed) && !record.is_fatal() {
            return;
        }
        metrics::counter!("log_lines", "level" => record.level).increment(1);
        let mut rendered: Option<(Style, Vec<u8>)> = None;
        for output in &self.outputs {
            if *event.metadata().level() > output.level_max {
                continue;
            }
            // Two outputs of one style get the same line, which is then written once.
            let line = match rendered.take().filter(|(style, _)| *style == output.style) {
                Some((_, line)) => line,
                None => self.renderer.line(&record, output.style),
            };
            rendered = Some((output.style, line.clone()));
            output.queue.push(line);
        }
    }
}
