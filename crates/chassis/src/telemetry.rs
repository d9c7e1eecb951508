//! Telemetry: the log on standard output and in a file, trace ids, and redaction over all of it.

mod layer;
mod panics;
mod queue;
mod record;
mod redact;
mod render;
mod rotate;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

pub use crate::settings::{LogConfig, LogFormat, LogLevel};
pub use redact::redact_text;
pub use rotate::SizeRotatingWriter;

use crate::check::{self, Verdict};
use crate::lifecycle::ServiceInfo;
use crate::settings::Faults;
use layer::{LogLayer, Output};
use queue::LineQueue;
use render::{Renderer, Style};

/// How long the end of a process waits for the last log lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file cannot be written.
    #[error(transparent)]
    Directory(#[from] Faults),
    /// A thread could not be started.
    #[error("start the log's writer: {0}")]
    Thread(#[source] io::Error),
    /// The process has a log already.
    #[error("the log is set up already: {0}")]
    Installed(#[from] tracing::subscriber::SetGlobalDefaultError),
}

impl From<LogError> for Faults {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Directory(faults) => faults,
            LogError::Thread(error) => {
                match check::engine::judge_thread(&error, crate::settings::is_contained()) {
                    Some(Verdict::Unfit { problem, remedy }) => {
                        Self::one("Docker", problem, remedy)
                    }
                    _ => Self::one(
                        "log",
                        (
                            format!("has no thread to be written by: {error}"),
                            format!("を書くスレッドを作れません: {error}"),
                        ),
                        (
                            "give the container more memory and processes (mem_limit, pids_limit)",
                            "コンテナのメモリとプロセス数(mem_limit、pids_limit)を増やしてください",
                        ),
                    ),
                }
            }
            LogError::Installed(error) => Self::one(
                "log",
                (format!("is set up already: {error}"), format!("は設定済みです: {error}")),
                ("report this as a bug", "不具合です。開発者にお知らせください"),
            ),
        }
    }
}

/// Keeps the log alive; dropping it writes out what is still queued.
#[derive(Debug)]
#[must_use = "dropping the guard ends the log"]
pub struct Guard {
    queues: Vec<LineQueue>,
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close(FLUSH_MAX);
        }
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(%error, "tracer provider was shut down before");
        }
    }
}

/// Sets up log, trace ids, context propagation and panic hook for the whole process.
///
/// # Errors
/// When the log folder cannot be written, or the process has a log already.
pub fn init(service: ServiceInfo, config: &LogConfig) -> Result<Guard, LogError> {
    let terminal = io::stdout().is_terminal();
    let style = match config.format {
        LogFormat::Human => Style::Human { colour: terminal },
        LogFormat::Auto if terminal => Style::Human { colour: true },
        LogFormat::Auto | LogFormat::Json => Style::Json,
    };
    let renderer = Renderer::new(service, config.time_zone);
    let mut outputs = Vec::new();
    let mut queues = Vec::new();
    if let Some(directory) = &config.directory {
        let writer = SizeRotatingWriter::open(
            directory,
            service.name,
            config.file_bytes_max,
            config.file_count,
        )?;
        let lost = renderer.clone().lost_lines(Style::Json, "file");
        let queue = LineQueue::start("file", writer, lost).map_err(LogError::Thread)?;
        queues.push(queue.clone());
        outputs.push(Output { style: Style::Json, queue });
    }
    let lost = renderer.clone().lost_lines(style, "stdout");
    let queue = LineQueue::start("stdout", io::stdout(), lost).map_err(LogError::Thread)?;
    queues.push(queue.clone());
    outputs.push(Output { style, queue });

    let provider = SdkTracerProvider::builder().build();
    // Spans carry ids even where the log shows only warnings, so that a trace is never cut.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service.name))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| {
            metadata.is_span() && *metadata.level() <= LevelFilter::INFO
        }));
    let filter = EnvFilter::try_new(config.level.directives()).unwrap_or_default();
    let log = LogLayer::new(renderer, outputs, config.level.fatal_only()).with_filter(filter);
    tracing::subscriber::set_global_default(Registry::default().with(spans).with(log))?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    panics::hook();
    Ok(Guard { queues, provider })
}
