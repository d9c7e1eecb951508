//! Bodies of application commands: names, descriptions, options, caps.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::rest::channels::text_length;
use crate::rest::error::{self, ApiError, FieldErrors};

/// Commands of a type and scope: chat input, user, message.
const CAPS: [(u64, usize); 3] = [(1, 100), (2, 15), (3, 15)];
/// Options of a command, and choices of an option.
const LIST_MAX: usize = 25;
/// Characters of a command's names, descriptions and values together.
const TEXT_MAX: usize = 8000;

/// The type of a command; chat input when it does not say.
pub(crate) fn kind(body: &Value) -> u64 {
    body["type"].as_u64().unwrap_or(1)
}

/// Checks one command.
pub(crate) fn check(body: &Value) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    check_one(body, &[], &mut errors);
    errors.finish()
}

/// Checks the list of a bulk overwrite and returns it.
pub(crate) fn check_all(body: &Value) -> Result<&[Value], ApiError> {
    let mut errors = FieldErrors::default();
    let Some(list) = body.as_array() else {
        errors.add(&[], "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
        return errors.finish().map(|()| &[][..]);
    };
    let mut names = HashSet::new();
    for (index, one) in list.iter().enumerate() {
        let index = index.to_string();
        check_one(one, &[&index], &mut errors);
        if !names.insert((kind(one), one["name"].as_str())) {
            let words = "Application command names must be unique";
            errors.add(&[&index, "name"], "APPLICATION_COMMANDS_DUPLICATE_NAME", words);
        }
    }
    errors.finish()?;
    Ok(list)
}

/// Refuses more commands of a type than a scope may have.
pub(crate) fn check_caps(bodies: &[Value]) -> Result<(), ApiError> {
    let too_many = |(wanted, max): &(u64, usize)| {
        bodies.iter().filter(|body| kind(body) == *wanted).count() > *max
    };
    if CAPS.iter().any(too_many) { Err(error::TOO_MANY_COMMANDS) } else { Ok(()) }
}

fn check_one(body: &Value, path: &[&str], errors: &mut FieldErrors) {
    let at = |key: &'static str| -> Vec<&str> { path.iter().copied().chain([key]).collect() };
    let chat = kind(body) == 1;
    if !(1..=3).contains(&kind(body)) {
        errors.not_a_choice(&at("type"), "1, 2, 3");
    }
    check_name(body, &at("name"), chat, errors);
    match (text_length(&body["description"]), chat) {
        (0, true) => errors.required(&at("description")),
        (length, true) if length > 100 => errors.bad_length(&at("description"), 1, 100),
        (length, false) if length > 0 => {
            let words = "Context menu commands cannot have description";
            errors.add(&at("description"), "APPLICATION_COMMAND_INVALID_DESCRIPTION", words);
        }
        _ => {}
    }
    check_options(&body["options"], &at("options"), errors);
    if text_total(body) > TEXT_MAX {
        let words = format!("Command exceeds maximum size ({TEXT_MAX})");
        errors.add(path, "APPLICATION_COMMAND_TOO_LARGE", words);
    }
}

fn check_name(body: &Value, path: &[&str], chat: bool, errors: &mut FieldErrors) {
    let Some(name) = body["name"].as_str() else { return errors.required(path) };
    if !(1..=32).contains(&name.chars().count()) {
        return errors.bad_length(path, 1, 32);
    }
    let allowed = |sign: char| sign.is_alphanumeric() || "-_'".contains(sign) || is_mark(sign);
    if chat && (!name.chars().all(allowed) || name.to_lowercase() != name) {
        let words = "Command name is invalid";
        errors.add(path, "APPLICATION_COMMAND_INVALID_NAME", words);
    }
}

/// Marks of Devanagari and Thai, which Discord's pattern names besides letters and digits, and
/// the long vowel of kana.
fn is_mark(sign: char) -> bool {
    matches!(sign, '\u{0900}'..='\u{097f}' | '\u{0e00}'..='\u{0e7f}' | 'ー' | '\u{3099}' | '\u{309a}')
}

fn check_options(options: &Value, path: &[&str], errors: &mut FieldErrors) {
    let list = options.as_array().map_or(&[][..], Vec::as_slice);
    if list.len() > LIST_MAX {
        errors.too_long(path, LIST_MAX);
    }
    let mut optional_seen = false;
    for (index, option) in list.iter().enumerate() {
        let index = index.to_string();
        let at = |key: &'static str| -> Vec<&str> {
            path.iter().copied().chain([index.as_str(), key]).collect()
        };
        if !option["type"].as_u64().is_some_and(|kind| (1..=11).contains(&kind)) {
            errors.not_a_choice(&at("type"), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11");
        }
        check_name(option, &at("name"), true, errors);
        if !(1..=100).contains(&text_length(&option["description"])) {
            errors.bad_length(&at("description"), 1, 100);
        }
        let required = option["required"] == true;
        if required && optional_seen {
            let words = "Required options must be placed before non-required options";
            errors.add(&at("required"), "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", words);
        }
        optional_seen |= !required;
        let choices = option["choices"].as_array().map_or(0, Vec::len);
        if choices > LIST_MAX {
            errors.too_long(&at("choices"), LIST_MAX);
        }
        check_options(&option["options"], &at("options"), errors);
    }
}

fn text_total(body: &Value) -> usize {
    let list = |key: &str| body[key].as_array().map_or(&[][..], Vec::as_slice);
    let own = text_length(&body["name"]) + text_length(&body["description"]);
    let choices: usize = list("choices")
        .iter()
        .map(|one| text_length(&one["name"]) + text_length(&one["value"]))
        .sum();
    let options: usize = list("options").iter().map(text_total).sum();
    own + choices + options
}

/// An option as Discord answers it: without nulls and without a false `required`.
pub(crate) fn shown_option(option: &Value) -> Value {
    let Some(object) = option.as_object() else { return option.clone() };
    let kept = object.iter().filter(|(key, value)| {
        !value.is_null() && **value != json!([]) && !(*key == "required" && **value == json!(false))
    });
    Value::Object(
        kept.map(|(key, value)| match value.as_array() {
            Some(options) if key == "options" => {
                (key.clone(), options.iter().map(shown_option).collect())
            }
            _ => (key.clone(), value.clone()),
        })
        .collect(),
    )
}
