//! What comes back from a model, piece by piece.

/// One step of an answer. Tool calls will be further variants.
///
/// A stream of events ends in exactly one [`Event::Done`] or one [`Error`](crate::Error);
/// nothing follows either.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// More visible text; never empty.
    Text(String),
    /// More of the model's thinking, which people are not shown; never empty.
    Reasoning(String),
    /// The provider is alive and has nothing to say yet.
    Ping,
    /// The answer is whole.
    Done {
        /// Why the model stopped.
        stop: Stop,
        /// What the provider bills, where it says so. `None` is common for local servers: bill
        /// the estimate and flag it.
        usage: Option<Usage>,
    },
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// It had said what it wanted to say.
    End,
    /// It ran into `max_output_tokens` or the end of its window: the text is cut off.
    MaxTokens,
    /// It wants a tool to be called.
    ToolUse,
    /// It declined; the text that was streamed is its own polite refusal.
    Refusal,
    /// The provider ended the stream properly without giving a reason, or with one unknown here.
    Other(String),
}

/// Tokens as the provider counted them, in one meaning for every provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, **including** those read from and written to a cache.
    pub input_tokens: u64,
    /// The part of `input_tokens` that was read from a prompt cache.
    pub cache_read_tokens: u64,
    /// The part of `input_tokens` that was written to a prompt cache.
    pub cache_write_tokens: u64,
    /// All output tokens, **including** reasoning.
    pub output_tokens: u64,
    /// The part of `output_tokens` that was reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Input and output together.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}
