//! What can go wrong on the bus, as far as a caller must tell it apart.

/// A request to the bus that was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The settings cannot work.
    #[error("the bus settings cannot work: {0}")]
    Settings(String),
    /// The server is away or slow: the same request may work later.
    #[error("the bus does not answer ({doing}): {reason}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the client library said.
        reason: String,
    },
    /// The server answered, and refused.
    #[error("the bus refused ({doing}): {reason}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What the server said.
        reason: String,
    },
    /// The consumer or its stream is gone; it must be made anew.
    #[error("the consumer {durable} on {stream} is gone and must be made anew")]
    ConsumerLost {
        /// The stream.
        stream: &'static str,
        /// The consumer's durable name.
        durable: &'static str,
    },
}

impl BusError {
    /// Whether the same request may work later without anyone doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(
        doing: &'static str,
    ) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |error| Self::Unavailable { doing, reason: chain(error.as_ref()) }
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
