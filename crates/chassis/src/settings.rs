//! Settings: read once from an injected lookup, with every fault reported together.
//!
//! A service reads its settings in one function, `fn read(reader: &mut Reader) -> Option<Config>`.
//! It asks for *every* key before it returns, so that all faults are found in one go; a method
//! that gives `None` has already recorded its fault:
//!
//! ```
//! use chassis::{Reader, SecretString, Source};
//!
//! struct Config {
//!     token: SecretString,
//!     guilds: Vec<u64>,
//! }
//!
//! fn read(reader: &mut Reader) -> Option<Config> {
//!     let token = reader.secret("DISCORD_TOKEN", "copy it from the developer portal");
//!     let guilds = reader.list("DISCORD_ALLOWED_GUILDS");
//!     Some(Config { token: token?, guilds })
//! }
//!
//! let source = Source::new(|key| (key == "DISCORD_TOKEN").then(|| "x".to_owned()));
//! let mut reader = Reader::new(source);
//! let config = read(&mut reader);
//! let config = reader.finish(config).expect("nothing is missing");
//! assert!(config.guilds.is_empty());
//! ```

mod fault;
mod guess;
mod log;
mod reader;
mod service;
mod source;

pub use fault::{Fault, Faults};
pub use log::{FileLevel, LogConfig, LogFormat, LogLevel, TimeZone};
pub use reader::{Key, Reader, keys_of};
pub use service::{Common, NatsSettings, OnFault};
pub use source::Source;

pub(crate) use service::is_contained;
pub(crate) use source::reading;
