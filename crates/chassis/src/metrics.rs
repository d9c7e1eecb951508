//! Metrics: the Prometheus recorder behind `/metrics`, and figures of the process itself.

mod process;

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::{GIT_SHA, RUST_VERSION, ServiceInfo};

/// Upper edges in seconds. 0.2, 0.5, 2, 5 and 10 are thresholds of rules, so a share above or below
/// them is exact; the rest spread evenly for quantiles.
const SECONDS: [f64; 20] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 3.5, 5.0, 7.5,
    10.0, 20.0, 60.0, 300.0,
];
/// Upper edges in bytes, from a short line to the largest event a stream takes.
const BYTES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
/// Histograms keep raw samples until they are drained; this bounds how many.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The handle by which metrics are rendered; clones share it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes the Prometheus recorder and installs it for the whole process.
    ///
    /// Names follow Prometheus' advice: counters get `_total`; histograms named `*_bytes` get size
    /// buckets and all others get buckets in seconds.
    ///
    /// # Errors
    /// When the process has a recorder already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self { handle })
    }

    /// A recorder of its own that is not installed: `/metrics` then shows the process only. For
    /// tests that start several services in one process.
    pub fn detached() -> Result<Self, BuildError> {
        Ok(Self { handle: builder()?.build_recorder().handle() })
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self, service: ServiceInfo) -> String {
        let mut text = self.handle.render();
        text.push_str(&build_info(service));
        if let Some(sample) = process::Sample::take() {
            text.push_str(&sample.render());
        }
        text
    }

    /// Drains histograms until `shutdown`; without it they would grow between two scrapes.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
}

fn describe() {
    metrics::describe_counter!("panics", "Panics since the start; each is a bug.");
    metrics::describe_counter!("log_lines", "Log lines by level.");
    metrics::describe_counter!("log_lines_lost", "Log lines that found no room or no disk.");
    metrics::describe_gauge!(
        "clock_ahead_seconds",
        "How far the clock is ahead of the servers' time."
    );
}

fn build_info(service: ServiceInfo) -> String {
    format!(
        "# HELP build_info The running build.\n# TYPE build_info gauge\n\
         build_info{{service=\"{}\",version=\"{}\",git_sha=\"{}\",rust=\"{}\"}} 1\n",
        service.name,
        service.version,
        GIT_SHA.unwrap_or(""),
        RUST_VERSION
    )
}
