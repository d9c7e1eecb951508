//! What a provider said, made short and safe to show.

/// Long enough for the sentence that matters, short enough for a log line.
const MESSAGE_CHARS_MAX: usize = 300;
/// A run of letters and digits this long is no word of any language.
const SECRET_RUN_CHARS_MIN: usize = 32;
const PREFIXED_CHARS_MIN: usize = 8;
const KEY_PREFIXES: [&str; 9] = ["sk-", "sk_", "pk-", "rk-", "gsk_", "hf_", "xai-", "AIza", "eyJ"];
const REDACTED: &str = "[redacted]";

/// `text` on one line, without anything that looks like a key, at most 300 characters.
pub(crate) fn shorten(text: &str, key: Option<&str>) -> String {
    let mut text = text.to_owned();
    if let Some(key) = key.filter(|key| key.len() >= 4) {
        text = text.replace(key, REDACTED);
    }
    let flat: String =
        text.chars().map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    let mut shown = String::new();
    let mut after_scheme = false;
    for word in flat.split(' ').filter(|word| !word.is_empty()) {
        if !shown.is_empty() {
            shown.push(' ');
        }
        if after_scheme {
            shown.push_str(REDACTED);
        } else {
            push_without_secrets(&mut shown, word);
        }
        after_scheme = matches!(word.to_ascii_lowercase().as_str(), "bearer" | "basic");
    }
    match shown.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

fn push_without_secrets(shown: &mut String, word: &str) {
    let is_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*');
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_run(c)).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        shown.push_str(if looks_secret(run) { REDACTED } else { run });
        let end = tail.find(is_run).unwrap_or(tail.len());
        let (gap, tail) = tail.split_at(end);
        shown.push_str(gap);
        rest = tail;
    }
}

fn looks_secret(run: &str) -> bool {
    let prefixed = run.len() >= PREFIXED_CHARS_MIN
        && KEY_PREFIXES.iter().any(|prefix| run.starts_with(prefix));
    let long = run.len() >= SECRET_RUN_CHARS_MIN
        && run.bytes().any(|byte| byte.is_ascii_digit())
        && run.bytes().any(|byte| byte.is_ascii_alphabetic());
    prefixed || long || run.contains("**")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_in_every_usual_dress_are_taken_out() {
        for (text, expected) in [
            (
                "Incorrect API key provided: sk-proj-abc***********wxyz. You can find",
                "Incorrect API key provided: [redacted]. You can find",
            ),
            ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
            ("key=AIzaSyA-1234567", "key=[redacted]"),
            ("token 0123456789abcdef0123456789abcdef!", "token [redacted]!"),
            ("your key hunter22 is wrong", "your key [redacted] is wrong"),
        ] {
            assert_eq!(shorten(text, Some("hunter22")), expected);
        }
    }

    #[test]
    fn plain_sentences_and_model_names_stay() {
        for text in [
            "The model `meta-llama/Llama-3.3-70B-Instruct-Turbo-Free` does not exist",
            "This model's maximum context length is 8192 tokens.",
            "モデルが見つかりません",
        ] {
            assert_eq!(shorten(text, None), text);
        }
    }

    #[test]
    fn lines_become_one_and_long_text_is_cut() {
        assert_eq!(shorten("a\r\n\tb\u{7}c", None), "a b c");
        let long = shorten(&"語".repeat(1000), None);
        assert_eq!(long.chars().count(), MESSAGE_CHARS_MAX + 1);
    }

    proptest! {
        #[test]
        fn the_configured_key_never_survives(
            before in "\\PC{0,40}", key in "[A-Za-z0-9_-]{12,60}", after in "\\PC{0,40}"
        ) {
            let shown = shorten(&format!("{before}{key}{after}"), Some(&key));
            prop_assert!(!shown.contains(&key));
        }
    }
}
