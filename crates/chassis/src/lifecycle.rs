//! The life of a service: arguments, settings, telemetry, listener, work, drain, exit code.

mod arguments;
mod context;
mod files;
mod life;
mod listen;
mod probe;
mod signals;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

pub use context::{Context, Server};
pub use probe::ask;

use crate::settings::{self, Common, Faults, Reader, Source};
use arguments::Action;

/// The commit this build was made from, when the build was told (`KOTONOHA_GIT_SHA`).
pub const GIT_SHA: Option<&str> = option_env!("KOTONOHA_GIT_SHA");
/// The compiler that built this.
pub const RUST_VERSION: &str = env!("CHASSIS_RUST_VERSION");

/// The exit code for bad configuration (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIGURATION: u8 = 64;
/// The exit code for everything else that ends a service before it was told to stop.
pub const EXIT_FAILURE: u8 = 1;

/// A service's name and version; make it with [`service!`](crate::service!).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The package's name, which is also the image's and the Compose service's.
    pub name: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// The name of its log file, without `.log`.
    pub log: &'static str,
}

/// Runs a service from its arguments to its exit code. This is all a `main` does.
///
/// `parse` reads the service's settings (see [`settings`]); `run` does its work
/// until `context.shutdown` is cancelled, then drains and returns.
///
/// - Bad configuration, a taken port, a folder without permission: every fault with its remedy on
///   standard error and exit 64; inside a container (`KOTONOHA_ON_FAULT=stay`) the service stays up,
///   unhealthy, with the faults on `/health`. A `run` that returns [`Faults`] is treated alike.
/// - SIGTERM or SIGINT: `context.shutdown` is cancelled. Exit 0 when `run` returns within the grace
///   period; exit 1 when it does not, or at once on a second signal.
/// - Any other error of `run`: logged once as `failed to {error:#}` and exit 1.
pub fn main<T, R, F>(
    service: ServiceInfo,
    parse: impl Fn(&mut Reader) -> Option<T>,
    run: R,
) -> ExitCode
where
    R: FnOnce(Context, T) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    main_with(service, &[], parse, run)
}

/// A command of a service's own beside its work, such as `conversation-worker migrate`. It runs to
/// its end in the foreground, without telemetry, listener or signals.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// The word that begins it.
    pub name: &'static str,
    /// How it is used, a line each, as `--help` shows it.
    pub usage: &'static str,
    /// Does it, with the settings and the words after its name.
    pub run: fn(&mut Reader, &[String]) -> Answer,
}

/// What a command has to say, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub out: String,
    /// For standard error, where the service's name is put before it.
    pub complaint: String,
    /// The exit code.
    pub code: u8,
}

/// As [`main`], for a service with commands of its own.
pub fn main_with<T, R, F>(
    service: ServiceInfo,
    commands: &[Command],
    parse: impl Fn(&mut Reader) -> Option<T>,
    run: R,
) -> ExitCode
where
    R: FnOnce(Context, T) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    match arguments::parse(std::env::args_os().skip(1), commands) {
        Ok(Action::Own { run, words }) => obey(service, run, &words),
        Ok(Action::Run) => life::live(service, Source::from_environment(), parse, run),
        Ok(Action::Healthcheck { path }) => {
            let common = Common::read(&mut Reader::new(Source::from_environment()));
            probe::check(&common, &path)
        }
        Ok(Action::Version) => say(&format!("{} {}\n", service.name, service.version)),
        Ok(Action::Help) => say(&arguments::help(service, commands, parse)),
        Err(problem) => {
            let message = format!("{problem}; {} --help lists what can be given", service.name);
            complain(service, &message);
            ExitCode::from(EXIT_CONFIGURATION)
        }
    }
}

/// Runs a command over the settings as they are; only what cannot be read at all stands in its way.
fn obey(
    service: ServiceInfo,
    run: fn(&mut Reader, &[String]) -> Answer,
    words: &[String],
) -> ExitCode {
    let mut reader = Reader::new(Source::from_environment());
    // A command carried out over settings that were not read would do something else.
    if reader.has_faults() {
        return refuse(service, reader.faults());
    }
    let answer = run(&mut reader, words);
    if reader.has_faults() {
        return refuse(service, reader.faults());
    }
    if !answer.complaint.is_empty() {
        complain(service, &answer.complaint);
    }
    if say(&answer.out) == ExitCode::SUCCESS {
        ExitCode::from(answer.code)
    } else {
        ExitCode::FAILURE
    }
}

/// Makes ring the process's TLS provider. [`main`] does this first; a test that opens a TLS client
/// in its own process calls it too. Calling it again changes nothing.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none()
        && rustls::crypto::ring::default_provider().install_default().is_err()
    {
        tracing::debug!("another thread installed the TLS provider first");
    }
}

/// Writes `text` to standard output; a closed pipe becomes the exit code.
fn say(text: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::from(EXIT_FAILURE),
    }
}

/// Writes a message for the person at the terminal to standard error.
fn complain(service: ServiceInfo, message: &dyn fmt::Display) {
    let text =
        format!("{}: {}\n", service.name, crate::telemetry::redact_text(&message.to_string()));
    if io::stderr().lock().write_all(text.as_bytes()).is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// Prints `faults` and gives the exit code for them.
fn refuse(service: ServiceInfo, faults: &Faults) -> ExitCode {
    complain(service, &faults.listed(settings::reading()));
    ExitCode::from(EXIT_CONFIGURATION)
}
