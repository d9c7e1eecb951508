//! Telemetry: the log on standard output and in a file, trace ids, and redaction over all of it.

mod file;
mod layer;
mod level;
mod panics;
mod queue;
mod record;
mod redact;
mod render;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

pub use crate::settings::{FileLevel, LogConfig, LogFormat, LogLevel};
pub use file::{FilePlan, LogFile};
pub use level::LevelSwitch;
pub use redact::redact_text;

use crate::check;
use crate::lifecycle::ServiceInfo;
use crate::settings::{Faults, TimeZone};
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
                    Some((problem, remedy)) => Self::one("Docker", problem, remedy),
                    None => Self::one(
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
    level: LevelSwitch,
}

impl Guard {
    /// What changes the level while the process runs.
    pub fn level(&self) -> LevelSwitch {
        self.level.clone()
    }
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
    if let Some(directory) = &config.directory {
        let file = LogFile::open(plan(service, config, directory))?;
        let lost = renderer.clone().lost_lines(Style::Json, "file");
        let queue = LineQueue::start("file", file, lost).map_err(LogError::Thread)?;
        outputs.push(Output { style: Style::Json, level_max: config.file_level.0, queue });
    }
    let lost = renderer.clone().lost_lines(style, "stdout");
    let queue = LineQueue::start("stdout", io::stdout(), lost).map_err(LogError::Thread)?;
    outputs.push(Output { style, level_max: LevelFilter::TRACE, queue });
    let queues = outputs.iter().map(|output| output.queue.clone()).collect();

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
    let (filter, level) = level::switched(&config.level);
    let log = LogLayer::new(renderer, outputs, level.fatal_only()).with_filter(filter);
    tracing::subscriber::set_global_default(Registry::default().with(spans).with(log))?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    panics::hook();
    Ok(Guard { queues, provider, level })
}

fn plan(service: ServiceInfo, config: &LogConfig, directory: &Path) -> FilePlan {
    FilePlan {
        directory: directory.to_owned(),
        name: service.log.to_owned(),
        bytes_max: config.file_bytes_max,
        count: config.file_count,
        days: config.file_days,
        archive_months: config.archive_months,
        zone: match config.time_zone {
            TimeZone::Utc => jiff::tz::TimeZone::UTC,
            TimeZone::Local => jiff::tz::TimeZone::system(),
        },
    }
}
