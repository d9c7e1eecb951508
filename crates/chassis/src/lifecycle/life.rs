//! One life of a service, from its settings to its exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Server};
use super::signals::Signals;
use super::{EXIT_FAILURE, ServiceInfo, complain, files, install_crypto_provider, listen, refuse};
use crate::check;
use crate::health::{Health, Outcome};
use crate::metrics::Metrics;
use crate::settings::{Common, Fault, Faults, OnFault, Reader, Source};
use crate::telemetry::{self, LevelSwitch, LogError};
use crate::words::Words;

const WORKER_THREADS: usize = 2;
/// How long the runtime waits at the end for blocking work, such as a file being written.
const RUNTIME_STOP_MAX: Duration = Duration::from_secs(1);
/// How often a taken port is tried again when the service is to stay up.
const BIND_RETRY: Duration = Duration::from_secs(5);

/// Reads the settings, starts telemetry and runtime, lives, and flushes.
pub(super) fn live<T, R, F>(
    service: ServiceInfo,
    source: Source,
    parse: impl Fn(&mut Reader) -> Option<T>,
    run: R,
) -> ExitCode
where
    R: FnOnce(Context, T) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    install_crypto_provider();
    let mut reader = Reader::new(source);
    let common = Common::read(&mut reader);
    let config = parse(&mut reader);
    examine(&mut reader);
    let warnings = reader.warnings().to_vec();
    let settings_file = reader.settings_file();
    let unused = reader.unused();
    let mut config = reader.finish(config);
    if let (Err(faults), OnFault::Exit) = (&config, common.on_fault) {
        return refuse(service, faults);
    }
    let guard = match telemetry::init(service, &common.log) {
        Ok(guard) => guard,
        Err(LogError::Directory(faults)) if common.on_fault == OnFault::Stay => {
            config = Err(joined(config.err(), faults));
            let stdout_only = telemetry::LogConfig { directory: None, ..common.log.clone() };
            match telemetry::init(service, &stdout_only) {
                Ok(guard) => guard,
                Err(error) => return refuse(service, &error.into()),
            }
        }
        Err(error) => return refuse(service, &error.into()),
    };
    for warning in &warnings {
        tracing::warn!(setting = warning.key, "{warning}");
    }
    if !unused.is_empty() {
        tracing::info!(settings = unused.join(", "), "not for this service, left to the others");
    }
    let life = Life { service, common, warnings, settings_file, level: guard.level() };
    let code = in_runtime(life, config, run);
    drop(guard);
    code
}

fn joined(before: Option<Faults>, faults: Faults) -> Faults {
    let mut all = before.unwrap_or_default();
    all.append(faults);
    all
}

/// Looks at what every service stands on and at what this one said it needs.
fn examine(reader: &mut Reader) {
    let machine = [
        check::engine::judge(&check::engine::kernel()).about("Linux kernel"),
        check::clock::judge_alone(jiff::Timestamp::now()).about("clock"),
    ];
    for finding in machine.into_iter().flatten() {
        reader.found(finding);
    }
    reader.examine();
}

fn in_runtime<T, R, F>(life: Life, config: Result<T, Faults>, run: R) -> ExitCode
where
    R: FnOnce(Context, T) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let service = life.service;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name(service.name)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(fatal = true, "failed to start the runtime: {error}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    // The panic hook has logged the panic; what is left is a plain exit code after the flush.
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(life.lead(config, run))));
    runtime.shutdown_timeout(RUNTIME_STOP_MAX);
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            tracing::error!(fatal = true, "failed to {error:#}");
            complain(service, &format!("failed to {error:#}"));
            ExitCode::from(EXIT_FAILURE)
        }
        Err(_panic) => ExitCode::from(EXIT_FAILURE),
    }
}

/// What has to be at hand from the first bind to the last flush.
struct Life {
    service: ServiceInfo,
    common: Common,
    /// What `/health` shows as degraded from the start.
    warnings: Vec<Fault>,
    /// What is followed while the service runs.
    settings_file: Option<PathBuf>,
    level: LevelSwitch,
}

impl Life {
    async fn lead<T, R, F>(self, config: Result<T, Faults>, run: R) -> anyhow::Result<ExitCode>
    where
        R: FnOnce(Context, T) -> F,
        F: Future<Output = anyhow::Result<()>>,
    {
        let mut signals = Signals::take_over().context("take over SIGTERM and SIGINT")?;
        let metrics = Metrics::install().context("install the metrics recorder")?;
        let (listener, config) = match self.open_listener(&mut signals, config).await {
            Opened::Listening(listener, config) => (listener, config),
            Opened::Refused(faults) => return Ok(refuse(self.service, &faults)),
            Opened::ToldToStop => return Ok(ExitCode::SUCCESS),
        };
        let common = self.common.clone();
        let shutdown = CancellationToken::new();
        let health = Health::starting(self.service);
        for (name, warning) in named(&self.warnings) {
            let problem = about(warning);
            health.remark(&name, Outcome::degraded(problem, warning.remedy.clone()));
        }
        let (context, server) =
            Context::open_over(health, common, listener, &metrics, shutdown.clone())
                .context("read the listener's address")?;
        let upkeep = tokio::spawn(metrics.upkeep(shutdown.child_token()));
        if let Some(file) = self.settings_file.clone() {
            let level = self.common.log.level.clone();
            tokio::spawn(self.level.clone().follow(file, level, shutdown.child_token()));
        }
        let service = self.service;
        tracing::info!(
            service.address = %context.address,
            git_sha = super::GIT_SHA.unwrap_or("unknown"),
            "{} {} is up",
            service.name,
            service.version
        );
        let code = self.work(context, config, run, &mut signals).await;
        shutdown.cancel();
        upkeep.abort();
        self.end(server).await;
        Ok(code)
    }

    /// Binds the listener and announces its address. A failure is final, or a wait for a better
    /// moment, as the settings say.
    async fn open_listener<T>(
        &self,
        signals: &mut Signals,
        config: Result<T, Faults>,
    ) -> Opened<T> {
        let ready_file = self.common.ready_file.as_deref();
        let stay = self.common.on_fault == OnFault::Stay;
        let mut config = config;
        if let Some(Err(faults)) = ready_file.map(files::remove_stale) {
            if !stay {
                return Opened::Refused(faults);
            }
            config = Err(joined(config.err(), faults));
        }
        let listener = loop {
            let faults = match listen::bind(self.common.health_listen).await {
                Ok(listener) => break listener,
                Err(faults) => faults,
            };
            if !stay {
                return Opened::Refused(faults);
            }
            tracing::error!("{}; trying again until it can be had", faults.one_line());
            tokio::select! {
                _ = signals.next() => return Opened::ToldToStop,
                () = tokio::time::sleep(BIND_RETRY) => {}
            }
        };
        let announced = match (ready_file, listener.local_addr()) {
            (Some(path), Ok(address)) => files::announce(path, address),
            _ => Ok(()),
        };
        match announced {
            Ok(()) => Opened::Listening(listener, config),
            Err(faults) if stay => Opened::Listening(listener, Err(joined(config.err(), faults))),
            Err(faults) => Opened::Refused(faults),
        }
    }

    /// Does the service's work until it ends, is told to stop, or is at fault.
    async fn work<T, R, F>(
        &self,
        context: Context,
        config: Result<T, Faults>,
        run: R,
        signals: &mut Signals,
    ) -> ExitCode
    where
        R: FnOnce(Context, T) -> F,
        F: Future<Output = anyhow::Result<()>>,
    {
        let config = match config {
            Ok(config) => config,
            Err(faults) => return stay_up(&context, &faults, signals).await,
        };
        let mut work = pin!(run(context.clone(), config));
        let (result, told_to_stop) = tokio::select! {
            result = &mut work => (result, false),
            name = signals.next() => {
                // First: whoever reads the line may ask at once.
                context.health.drain();
                tracing::info!(signal = name, "stopping");
                context.shutdown.cancel();
                tokio::select! {
                    result = &mut work => (result, true),
                    code = self.impatience(signals) => return code,
                }
            }
        };
        let Err(error) = result else {
            tracing::info!("stopped");
            return ExitCode::SUCCESS;
        };
        if let Some(faults) = error.downcast_ref::<Faults>()
            && !told_to_stop
        {
            return match self.common.on_fault {
                // A service that took itself down has nothing left that could be looked at.
                OnFault::Stay if !context.shutdown.is_cancelled() => {
                    stay_up(&context, faults, signals).await
                }
                OnFault::Stay | OnFault::Exit => refuse(self.service, faults),
            };
        }
        tracing::error!(fatal = true, "failed to {error:#}");
        ExitCode::from(EXIT_FAILURE)
    }

    /// Ends when a drain has taken too long or somebody insists.
    async fn impatience(&self, signals: &mut Signals) -> ExitCode {
        let grace = self.common.shutdown_grace;
        tokio::select! {
            () = tokio::time::sleep(grace) => {
                let grace_seconds = grace.as_secs_f64();
                tracing::error!(
                    grace_seconds,
                    "work did not stop within the grace period; raise SHUTDOWN_GRACE_SECONDS if it \
                     needs longer"
                );
            }
            name = signals.next() => {
                tracing::warn!(signal = name, "told to stop a second time, ending at once");
            }
        }
        ExitCode::from(EXIT_FAILURE)
    }

    async fn end(&self, server: Server) {
        server.stop().await;
        if let Some(Err(faults)) = self.common.ready_file.as_deref().map(files::remove_stale) {
            tracing::warn!("{}", faults.one_line());
        }
    }
}

/// What became of the attempt to listen.
enum Opened<T> {
    /// The listener stands; the settings may have gained a fault.
    Listening(TcpListener, Result<T, Faults>),
    /// The service must not go on.
    Refused(Faults),
    /// A signal came first.
    ToldToStop,
}

/// Names every fault on `/health` and in one log line, and waits to be stopped.
async fn stay_up(context: &Context, faults: &Faults, signals: &mut Signals) -> ExitCode {
    for (name, fault) in named(faults.iter()) {
        let outcome = Outcome::failing(about(fault), fault.remedy.clone());
        context.health.computed(&name, move || outcome.clone());
    }
    tracing::error!(
        faults = faults.len(),
        "configuration is at fault, staying up unready until it is corrected and the service is \
         started again: {}",
        faults.one_line()
    );
    let name = signals.next().await;
    tracing::info!(signal = name, "stopped");
    ExitCode::SUCCESS
}

/// The name on `/health` of each fault; several of one key are numbered.
fn named<'a>(faults: impl IntoIterator<Item = &'a Fault>) -> Vec<(String, &'a Fault)> {
    let mut named: Vec<(String, &Fault)> = Vec::new();
    for fault in faults {
        let earlier = named.iter().filter(|(_, other)| other.key == fault.key).count();
        let name = match earlier {
            0 => format!("settings.{}", fault.key),
            _ => format!("settings.{}.{}", fault.key, earlier + 1),
        };
        named.push((name, fault));
    }
    named
}

/// The problem with its key before it, in each language there is.
fn about(fault: &Fault) -> Words {
    let english = format!("{} {}", fault.key, fault.problem.english());
    match fault.problem.japanese() {
        Some(japanese) => (english, format!("{} {japanese}", fault.key)).into(),
        None => english.into(),
    }
}
