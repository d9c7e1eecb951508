//! Publishes, consumes and acknowledges over NATS JetStream.
//!
//! The one home of the NATS client. It owns the connection, the declaration of streams and
//! buckets, message ids and trace context in headers; it never knows what a message means, and
//! never acknowledges anything on its own.

mod bucket;
mod connection;
mod consume;
mod declare;
mod error;
mod pipeline;
mod presence;
mod publish;
#[cfg(feature = "server")]
pub mod server;
mod stall;
mod standing;
mod trace;
mod trouble;

pub use crate::bucket::{Bucket, Change, Entry, Watch};
pub use crate::connection::{Bus, BusConfig, Connection, CoreMessage, StreamState, Subscription};
pub use crate::consume::{ConsumerSpec, Deliveries, Delivery, Start};
pub use crate::error::BusError;
pub use crate::pipeline::{Pipeline, Rejected, Settled};
pub use crate::presence::{Grounds, Presence};
pub use crate::publish::{Outgoing, PublishError, Stored};
pub use crate::standing::{Explanation, Standing};
pub use crate::trace::join_trace;
