//! Where a model is asked and how its server wants to be spoken to.

use std::time::Duration;

use secrecy::SecretString;

/// A model provider: one address, one way of speaking, one key.
#[derive(Clone, Debug)]
pub struct Provider {
    /// A short name for logs, metrics and usage records.
    pub name: String,
    /// The dialect it speaks.
    pub wire: Wire,
    /// Where it lives, e.g. `https://api.openai.com/v1` or `http://127.0.0.1:11434`. A trailing
    /// slash does not matter; an address without any path gets the wire's usual one (`/v1`).
    pub base_url: String,
    /// The key. Local servers need none.
    pub api_key: Option<SecretString>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to accept.
    pub caps: Caps,
    /// PEM certificates to trust besides the built-in web roots, for a provider behind a private
    /// certificate authority. The content, not a path.
    pub extra_ca_pem: Option<Vec<u8>>,
}

impl Provider {
    /// An OpenAI-style provider, its options guessed from the host: OpenAI's own API gets its
    /// newest fields, any other server the ones that all of them understand.
    pub fn openai(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        let base_url = base_url.into();
        let host = base_url.split("://").nth(1).unwrap_or(&base_url);
        let host = host.split(['/', ':', '?']).next().unwrap_or_default();
        let options = if host.eq_ignore_ascii_case("api.openai.com") {
            OpenAiOptions::official()
        } else {
            OpenAiOptions::compatible()
        };
        Self {
            name: name.into(),
            wire: Wire::OpenAi(options),
            base_url,
            api_key: None,
            timeouts: Timeouts::default(),
            caps: Caps::default(),
            extra_ca_pem: None,
        }
    }

    /// The same provider with a key. An empty key counts as none.
    #[must_use]
    pub fn with_api_key(mut self, key: Option<SecretString>) -> Self {
        use secrecy::ExposeSecret as _;
        self.api_key = key.filter(|key| !key.expose_secret().trim().is_empty());
        self
    }
}

/// The dialects. Anthropic's, Gemini's and Ollama's native ones will be further variants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// `POST …/chat/completions` with server-sent events, which most servers understand.
    OpenAi(OpenAiOptions),
}

/// Where servers of the OpenAI dialect differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent quirk of a server")]
pub struct OpenAiOptions {
    /// Send `max_completion_tokens` instead of the older `max_tokens`.
    pub max_completion_tokens: bool,
    /// Ask for a usage chunk by `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Send a message's `name`. Some servers refuse fields they do not know.
    pub names: bool,
    /// Send the user's hash as `safety_identifier`.
    pub safety_identifier: bool,
}

impl OpenAiOptions {
    /// What OpenAI's own API wants.
    pub fn official() -> Self {
        Self {
            max_completion_tokens: true,
            stream_usage: true,
            names: true,
            safety_identifier: true,
        }
    }

    /// What llama.cpp, Ollama, vLLM and the many others understand.
    pub fn compatible() -> Self {
        Self {
            max_completion_tokens: false,
            stream_usage: true,
            names: false,
            safety_identifier: false,
        }
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// From the start of the request to the answer's headers. Local servers send them with the
    /// first token only, so this includes loading the model and reading the prompt.
    pub headers: Duration,
    /// Between two pieces of the answer; comments and pings count as pieces.
    pub idle: Duration,
    /// For everything.
    pub total: Duration,
    /// For the usage chunk and the end mark once the model has said why it stopped. The answer
    /// is whole by then, so running out of this is no error.
    pub trailer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_mins(2),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
            trailer: Duration::from_secs(2),
        }
    }
}

/// How much to accept before an answer is called broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// One line of the stream, in bytes.
    pub line_bytes: usize,
    /// The whole answer as sent, in bytes.
    pub answer_bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { line_bytes: 1 << 20, answer_bytes: 32 << 20 }
    }
}
