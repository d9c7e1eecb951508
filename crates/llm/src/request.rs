//! What is asked of a model, in words that belong to no provider.

use std::time::Duration;

/// One question to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The model's name as its provider spells it.
    pub model: String,
    /// Who the model is and what it must keep to. Empty means that no system message is sent.
    /// Words of users never belong here.
    pub system: String,
    /// The conversation, oldest first; the last message is the one to be answered.
    pub messages: Vec<Message>,
    /// Upper bound of the answer in tokens, thinking included. The provider bills up to this.
    pub max_output_tokens: u32,
    /// Sampling temperature. `None` leaves it to the provider; some models refuse any value.
    pub temperature: Option<f32>,
    /// A hash (never the id itself) of the user asking, for the provider's abuse handling.
    pub user_hash: Option<String>,
    /// The most this call may take from start to last byte. `None` means the provider's
    /// [`Timeouts::total`](crate::Timeouts::total); the shorter of the two wins.
    pub deadline: Option<Duration>,
}

impl Request {
    /// A request with the provider's own temperature and no messages yet.
    pub fn new(model: impl Into<String>, system: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            system: system.into(),
            messages: Vec::new(),
            max_output_tokens: DEFAULT_MAX_OUTPUT_TOKENS,
            temperature: None,
            user_hash: None,
            deadline: None,
        }
    }

    /// The same request with one more message at its end.
    #[must_use]
    pub fn with(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }
}

/// What [`Request::new`] allows an answer to take.
pub const DEFAULT_MAX_OUTPUT_TOKENS: u32 = 1024;

/// One message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order. Never empty in a message worth sending.
    pub parts: Vec<Part>,
    /// A short machine name of the speaker (`[A-Za-z0-9_-]`, at most 64). It is a hint that some
    /// wires can carry and others drop, so what the model *must* know about a speaker belongs in
    /// the text.
    pub name: Option<String>,
}

impl Message {
    /// A message of a person.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, parts: vec![Part::Text(text.into())], name: None }
    }

    /// A message the model wrote earlier.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, parts: vec![Part::Text(text.into())], name: None }
    }

    /// The same message with its speaker's machine name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// All text of the message, its parts joined by a newline.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
            })
            .collect();
        texts.join("\n")
    }
}

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// A person.
    User,
    /// The model.
    Assistant,
}

/// A piece of a message. Images and tool results will be further variants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Plain text.
    Text(String),
}
