//! One normalised, streaming conversation with any model provider.
//!
//! The crate owns everything between a [`Request`] and the [`Event`]s of its answer: the wire
//! dialects, HTTP and TLS, timeouts, byte caps, and the classing of every failure into an
//! [`ErrorKind`] on which retries, fallbacks and breakers can decide. It also holds the plain
//! arithmetic round a call: [`estimate`] (tokens before they are counted), [`window`] (what fits),
//! [`price`] (what it cost) and [`retry`] (when to ask again).
//!
//! It never retries by itself, never keeps a conversation, knows no Discord, reads no environment
//! variable, writes no log line with anything people said, and shows a key to nobody but the
//! provider it belongs to.
//!
//! The one promise everything else leans on: **an [`Answer`] ends in exactly one [`Event::Done`]
//! or one [`Error`].** A stream that merely stops is [`ErrorKind::Truncated`], never a short
//! answer.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use llm::{CancellationToken, Client, Event, Message, Provider, Request};
//!
//! let client = Client::new(Provider::openai("local", "http://127.0.0.1:8080"))?;
//! let request = Request::new("small", "You are kind.").with(Message::user("Good morning!"));
//! let mut answer = client.stream(&request, &CancellationToken::new());
//! while let Some(event) = answer.next().await {
//!     match event? {
//!         Event::Text(text) => { /* show it */ }
//!         Event::Done { stop, usage } => { /* keep it */ }
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod client;
mod clock;
mod decoder;
mod error;
pub mod estimate;
mod event;
mod head;
mod limits;
mod openai;
pub mod price;
mod provider;
mod redact;
mod request;
pub mod retry;
mod sse;
mod tls;
pub mod window;

pub use secrecy::SecretString;
pub use tokio_util::sync::CancellationToken;

pub use crate::answer::{Answer, Whole};
pub use crate::client::{Client, SetupError};
pub use crate::error::{Error, ErrorKind, Fallback, Phase};
pub use crate::event::{Event, Stop, Usage};
pub use crate::head::Head;
pub use crate::limits::{Limit, Limits};
pub use crate::provider::{Caps, OpenAiOptions, Provider, Timeouts, Wire};
pub use crate::request::{DEFAULT_MAX_OUTPUT_TOKENS, Message, Part, Request, Role};
