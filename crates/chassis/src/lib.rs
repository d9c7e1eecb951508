//! What every service stands on: settings, telemetry, probes, shutdown.
//!
//! A service's `main.rs` is a single call:
//!
//! ```no_run
//! # struct Config;
//! # impl Config { fn read(_: &mut chassis::Reader) -> Option<Config> { Some(Config) } }
//! # async fn run(_: chassis::Context, _: Config) -> anyhow::Result<()> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     chassis::main(chassis::service!(), Config::read, run)
//! }
//! ```
//!
//! This crate owns the environment, the log, the metrics recorder, the health listener and the
//! process's exit code. It knows nothing of Discord, NATS, models or databases.

pub mod check;
pub mod health;
pub mod lifecycle;
pub mod metrics;
pub mod settings;
pub mod telemetry;
mod words;

pub use health::{Check, Health, Outcome};
pub use lifecycle::{Answer, Command, Context, ServiceInfo, main, main_with};
pub use secrecy::{ExposeSecret, SecretString};
pub use settings::{Common, Fault, Faults, NatsSettings, OnFault, Reader, Source};
pub use words::Words;

/// Names the calling crate: its package name and version as a [`ServiceInfo`]. Its log file is named
/// like it, unless another name is given: `service!(log = "kotonoha")`.
#[macro_export]
macro_rules! service {
    () => {
        $crate::service!(log = env!("CARGO_PKG_NAME"))
    };
    (log = $log:expr) => {
        $crate::ServiceInfo {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            log: $log,
        }
    };
}
