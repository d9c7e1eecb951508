//! Embeds: checked against Discord's limits, then made into what readers see.

use serde_json::{Map, Value, json};

use crate::rest::channels::text_length;
use crate::rest::error::FieldErrors;

/// Embeds a message.
const EMBEDS_MAX: usize = 10;
/// Characters of all embeds of a message together.
const TEXT_MAX: usize = 6000;
/// Fields an embed.
const FIELDS_MAX: usize = 25;

/// The embeds of a body as they will be shown; what is wrong with them goes into `errors`.
pub(crate) fn read(value: &Value, errors: &mut FieldErrors) -> Vec<Value> {
    let list = match value {
        Value::Null => return Vec::new(),
        Value::Array(list) => list,
        _ => {
            let words = "Only iterables may be used in a ListType";
            errors.add(&["embeds"], "LIST_TYPE_CONVERT", words);
            return Vec::new();
        }
    };
    if list.len() > EMBEDS_MAX {
        let message = format!("Must be {EMBEDS_MAX} or fewer in length.");
        errors.add(&["embeds"], "BASE_TYPE_MAX_LENGTH", message);
    }
    for (index, embed) in list.iter().enumerate() {
        check(embed, &index.to_string(), errors);
    }
    let total: usize = list.iter().map(total_length).sum();
    if total > TEXT_MAX {
        let message = format!("Embed size exceeds maximum size of {TEXT_MAX}");
        errors.add(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", message);
    }
    list.iter().map(shown).collect()
}

fn check(embed: &Value, index: &str, errors: &mut FieldErrors) {
    if !embed.is_object() {
        let words = "Only dictionaries may be used in a DictType";
        errors.add(&["embeds", index], "DICT_TYPE_CONVERT", words);
        return;
    }
    let texts: [(&[&str], usize); 4] = [
        (&["title"], 256),
        (&["description"], 4096),
        (&["footer", "text"], 2048),
        (&["author", "name"], 256),
    ];
    for (path, max) in texts {
        let value = path.iter().fold(embed, |value, key| &value[*key]);
        if text_length(value) > max {
            let path: Vec<&str> = ["embeds", index].iter().chain(path).copied().collect();
            errors.too_long(&path, max);
        }
    }
    for (object, field) in [("footer", "text"), ("author", "name")] {
        if embed[object].is_object() && text_length(&embed[object][field]) == 0 {
            errors.required(&["embeds", index, object, field]);
        }
    }
    check_url(&embed["url"], &["embeds", index, "url"], errors);
    for object in ["image", "thumbnail"] {
        check_url(&embed[object]["url"], &["embeds", index, object, "url"], errors);
    }
    if !embed["color"].is_null() && embed["color"].as_u64().is_none_or(|color| color > 0x00FF_FFFF)
    {
        let words = "int value should be less than or equal to 16777215.";
        errors.add(&["embeds", index, "color"], "NUMBER_TYPE_MAX", words);
    }
    let fields = embed["fields"].as_array().map_or(&[][..], Vec::as_slice);
    if fields.len() > FIELDS_MAX {
        errors.too_long(&["embeds", index, "fields"], FIELDS_MAX);
    }
    for (number, field) in fields.iter().enumerate() {
        let number = number.to_string();
        for (key, max) in [("name", 256), ("value", 1024)] {
            let path = ["embeds", index, "fields", &number, key];
            match text_length(&field[key]) {
                0 => errors.required(&path),
                length if length > max => errors.too_long(&path, max),
                _ => {}
            }
        }
    }
}

fn check_url(value: &Value, path: &[&str], errors: &mut FieldErrors) {
    let Some(url) = value.as_str() else { return };
    let known =
        ["http://", "https://", "attachment://"].iter().any(|scheme| url.starts_with(scheme));
    if !known {
        let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
        let message = format!(
            "Scheme \"{scheme}\" is not supported. Scheme must be one of ('http', 'https')."
        );
        errors.add(path, "URL_TYPE_INVALID_SCHEME", message);
    }
}

fn total_length(embed: &Value) -> usize {
    let fields = embed["fields"].as_array().map_or(&[][..], Vec::as_slice);
    let in_fields: usize =
        fields.iter().map(|field| text_length(&field["name"]) + text_length(&field["value"])).sum();
    text_length(&embed["title"])
        + text_length(&embed["description"])
        + text_length(&embed["footer"]["text"])
        + text_length(&embed["author"]["name"])
        + in_fields
}

/// Keeps what readers see, without the nulls that libraries send for what is not set.
fn shown(embed: &Value) -> Value {
    const KEYS: [&str; 10] = [
        "title",
        "description",
        "url",
        "color",
        "timestamp",
        "footer",
        "author",
        "image",
        "thumbnail",
        "fields",
    ];
    let mut kept = Map::new();
    kept.insert("type".into(), json!("rich"));
    for key in KEYS {
        let value = &embed[key];
        if !value.is_null() && *value != json!([]) {
            kept.insert(key.into(), without_nulls(value));
        }
    }
    if let Some(Value::Array(fields)) = kept.get_mut("fields") {
        for field in fields {
            let inline = field["inline"].as_bool().unwrap_or(false);
            field["inline"] = json!(inline);
        }
    }
    Value::Object(kept)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
