//! The scanner finds the shapes of secrets in running text.

use std::borrow::Cow;
use std::ops::Range;

use super::REDACTED;

/// Keys whose value is taken out of `key=value`, `"key": "value"` and `key: Some("value")`.
const KEYS: [&str; 7] =
    ["authorization", "token", "api_key", "apikey", "api-key", "secret", "password"];

/// A rule gives the next range to be replaced at or after a position.
type Rule = fn(&str, usize) -> Option<Range<usize>>;

/// In this order: a URL's password before the e-mail rule takes its tail for an address.
const RULES: [Rule; 7] =
    [url_password, bearer, prefixed_key, dotted_token, webhook_token, keyed_value, email];

pub(super) fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for rule in RULES {
        if let Some(changed) = apply(&text, rule) {
            text = Cow::Owned(changed);
        }
    }
    text
}

fn apply(text: &str, rule: Rule) -> Option<String> {
    let mut found = rule(text, 0)?;
    let mut output = String::with_capacity(text.len());
    let mut position = 0;
    loop {
        output.push_str(&text[position..found.start]);
        output.push_str(REDACTED);
        position = found.end;
        match rule(text, position) {
            Some(next) => found = next,
            None => break,
        }
    }
    output.push_str(&text[position..]);
    Some(output)
}

/// `user:password@` behind `://`.
fn url_password(text: &str, from: usize) -> Option<Range<usize>> {
    for (index, _) in text[from..].match_indices("://") {
        let start = from + index + 3;
        let rest = &text[start..];
        let end = rest
            .find(|letter: char| letter.is_whitespace() || "/?#\"'<>".contains(letter))
            .unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@')
            && rest[..at] != *REDACTED
        {
            return Some(start..start + at);
        }
    }
    None
}

/// What follows `Bearer`.
fn bearer(text: &str, from: usize) -> Option<Range<usize>> {
    const WORD: &str = "bearer";
    for start in positions_ignoring_case(text, WORD, from) {
        let after = start + WORD.len();
        let spaces = run(&text[after..], |letter| letter == ' ');
        let length = run(&text[after + spaces..], is_credential);
        if spaces > 0 && length > 0 && !continues_a_word(text, start, is_key) {
            return Some(after + spaces..after + spaces + length);
        }
    }
    None
}

/// `sk-…` and `AIza…`, the shapes of model providers' keys.
fn prefixed_key(text: &str, from: usize) -> Option<Range<usize>> {
    let found = |prefix: &str, rest_min: usize| {
        text[from..].match_indices(prefix).map(|(index, _)| from + index).find_map(|start| {
            let length = run(&text[start..], is_key);
            let whole = length >= prefix.len() + rest_min;
            (whole && !continues_a_word(text, start, is_key)).then_some(start..start + length)
        })
    };
    [found("sk-", 8), found("AIza", 20)].into_iter().flatten().min_by_key(|range| range.start)
}

/// A Discord token (user id, time, signature) or a JSON Web Token: three runs joined by dots.
fn dotted_token(text: &str, from: usize) -> Option<Range<usize>> {
    for (index, _) in text[from..].match_indices('.') {
        let dot = from + index;
        let first = text[from..dot].chars().rev().take_while(|letter| is_key(*letter)).count();
        let start = dot - first;
        let second = run(&text[dot + 1..], is_key);
        let second_end = dot + 1 + second;
        if !text[second_end..].starts_with('.') {
            continue;
        }
        let third = run(&text[second_end + 1..], is_key);
        let signature = &text[second_end + 1..second_end + 1 + third];
        let discord = first >= 18 && (5..=8).contains(&second) && third >= 20;
        let web = text[start..].starts_with("eyJ") && second >= 8 && third >= 8;
        if (discord || web) && signature.contains(|letter: char| letter.is_ascii_alphabetic()) {
            return Some(start..second_end + 1 + third);
        }
    }
    None
}

/// The token in a webhook's or an interaction's URL: `/webhooks/<id>/<token>`.
fn webhook_token(text: &str, from: usize) -> Option<Range<usize>> {
    ["/webhooks/", "/interactions/"]
        .into_iter()
        .flat_map(|path| {
            text[from..].match_indices(path).filter_map(move |(index, _)| {
                let id = from + index + path.len();
                let digits = run(&text[id..], |letter| letter.is_ascii_digit());
                let token = id + digits + 1;
                if digits == 0 || !text[id + digits..].starts_with('/') {
                    return None;
                }
                let length = run(&text[token..], is_credential_in_path);
                (length > 0).then_some(token..token + length)
            })
        })
        .min_by_key(|range| range.start)
}

/// The value behind a key named like a secret.
fn keyed_value(text: &str, from: usize) -> Option<Range<usize>> {
    KEYS.into_iter()
        .filter_map(|key| {
            positions_ignoring_case(text, key, from)
                .find_map(|start| value_after(text, start + key.len()))
        })
        .min_by_key(|range| range.start)
}

fn value_after(text: &str, key_end: usize) -> Option<Range<usize>> {
    let is_quote = |letter: char| letter == '"' || letter == '\'';
    let is_space = |letter: char| letter == ' ';
    let mut position = key_end;
    position += run(&text[position..], |letter| letter == '\\' || is_quote(letter));
    position += run(&text[position..], is_space);
    if !text[position..].starts_with([':', '=']) {
        return None;
    }
    position += 1;
    position += run(&text[position..], is_space);
    if text[position..].starts_with("Some(") {
        position += "Some(".len();
    }
    let quotes = run(&text[position..], |letter| letter == '\\' || is_quote(letter));
    position += quotes;
    let rest = &text[position..];
    let bare_end = |rest: &str| {
        rest.find(|letter: char| letter.is_whitespace() || "\"'\\,;&)}<>".contains(letter))
            .unwrap_or(rest.len())
    };
    let mut length = if quotes > 0 {
        rest.find(|letter: char| letter == '\\' || is_quote(letter)).unwrap_or(rest.len())
    } else {
        bare_end(rest)
    };
    // `authorization: Basic xyz`: the scheme is harmless, the next word is not.
    let scheme = ["basic", "bearer", "bot", "digest"]
        .iter()
        .any(|scheme| rest[..length].eq_ignore_ascii_case(scheme));
    if scheme {
        let spaces = run(&rest[length..], is_space);
        length += spaces + bare_end(&rest[length + spaces..]);
    }
    let worth_it = length > 0 && rest[..length] != *REDACTED;
    worth_it.then_some(position..position + length)
}

/// An e-mail address.
fn email(text: &str, from: usize) -> Option<Range<usize>> {
    for (index, _) in text[from..].match_indices('@') {
        let at = from + index;
        let local: usize = text[from..at]
            .chars()
            .rev()
            .take_while(|letter| letter.is_alphanumeric() || "._%+-".contains(*letter))
            .map(char::len_utf8)
            .sum();
        let mut domain = run(&text[at + 1..], |letter| {
            letter.is_alphanumeric() || letter == '.' || letter == '-'
        });
        while text[at + 1..at + 1 + domain].ends_with(['.', '-']) {
            domain -= 1;
        }
        let suffix = text[at + 1..at + 1 + domain].rsplit_once('.').map(|(_, suffix)| suffix);
        if local > 0 && suffix.is_some_and(|suffix| suffix.chars().count() >= 2) {
            return Some(at - local..at + 1 + domain);
        }
    }
    None
}

/// Where `word` (ASCII, lower case) occurs in `text` in any case.
fn positions_ignoring_case<'a>(
    text: &'a str,
    word: &'a str,
    from: usize,
) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    (from..(bytes.len() + 1).saturating_sub(word.len())).filter(move |start| {
        bytes[*start..start + word.len()].eq_ignore_ascii_case(word.as_bytes())
    })
}

/// The length in bytes of the leading run of letters that `belongs` accepts.
fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

/// Whether the letter before `start` belongs to the same word.
fn continues_a_word(text: &str, start: usize, belongs: impl Fn(char) -> bool) -> bool {
    text[..start].chars().next_back().is_some_and(belongs)
}

fn is_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

fn is_credential(letter: char) -> bool {
    is_key(letter) || "._~+/=".contains(letter)
}

fn is_credential_in_path(letter: char) -> bool {
    is_key(letter) || "._~+=".contains(letter)
}
