//! Publishes, consumes and acknowledges over NATS JetStream.
