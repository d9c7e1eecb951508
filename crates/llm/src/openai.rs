//! The OpenAI dialect: `POST …/chat/completions`, answered by server-sent events.
//!
//! Facts from the official client and API reference (2026-11), and from the servers that copy it:
//! llama.cpp, Ollama, vLLM, `OpenRouter`, Groq, Mistral and others.

mod body;
mod reader;
mod refusal;

pub(crate) use self::body::body;
pub(crate) use self::reader::{Reader, is_readable};
pub(crate) use self::refusal::{Refusal, refusal};

/// Where to post, for a base with or without a trailing slash, the version, or the whole path.
pub(crate) fn endpoint(mut base: reqwest::Url) -> reqwest::Url {
    let path = base.path().trim_end_matches('/');
    let path = match path {
        "" => "/v1/chat/completions".to_owned(),
        path if path.ends_with("/chat/completions") => path.to_owned(),
        path => format!("{path}/chat/completions"),
    };
    base.set_path(&path);
    base.set_fragment(None);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_the_base_leads_to_the_same_place() {
        for (base, expected) in [
            ("http://h:1", "http://h:1/v1/chat/completions"),
            ("http://h:1/", "http://h:1/v1/chat/completions"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
            ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
            ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/x?api-version=1#f", "https://h/x/chat/completions?api-version=1"),
        ] {
            assert_eq!(endpoint(base.parse().unwrap()).as_str(), expected);
        }
    }
}
