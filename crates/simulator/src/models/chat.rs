//! One chat completion: faults, validation, limits, script, and then the answer.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use rand::RngExt as _;
use serde_json::Value;

use crate::faults::{Fault, FaultKind, Target};
use crate::models::desk::{Desk, Models};
use crate::models::fail::ApiError;
use crate::models::frames::{Envelope, counted_usage};
use crate::models::limits::retry_after;
use crate::models::playback::{Score, play};
use crate::models::record::{OpenRecord, Outcome, now_us};
use crate::models::request::{ChatRequest, parse, tokens};
use crate::models::script::{End, Reply, Source};
use crate::models::wire::{Arrival, Wire};

/// What was decided about a request.
enum Decision {
    Speak { score: Score, stream: bool, source: Source, headers: HeaderMap },
    Refuse { error: ApiError, headers: HeaderMap },
    Scripted { reply: Reply, source: Source, headers: HeaderMap },
}

/// Answers one request and records it.
pub(super) async fn answer(models: &Models, arrival: Arrival) -> Response {
    let record = models.records().open(models.state(), &arrival);
    let fault = models.state().faults().take(Target::Model, "POST", &arrival.path);
    if let Some(response) = struck(&arrival, &record, fault.as_ref()).await {
        return response;
    }
    let decision = models.with_desk(|desk| decide(desk, &arrival, record.number()));
    if fault.is_some_and(|fault| fault.kind == FaultKind::DropAfter) {
        return cut(&arrival, &record);
    }
    let (mut response, added) = match decision {
        Decision::Refuse { error, headers } => (refuse(&record, &error, headers), None),
        Decision::Scripted { reply, source, headers } => {
            arrival.wait_until(Duration::from_millis(reply.header_ms)).await;
            arrival.wait_until(Duration::from_millis(reply.first_token_ms.unwrap_or(0))).await;
            record.note(|record| record.source = Some(source));
            (scripted_error(&record, &reply, headers), Some(reply))
        }
        Decision::Speak { score, stream, source, headers } => {
            let reply = Reply { headers: score.reply.headers.clone(), ..Reply::default() };
            arrival.wait_until(Duration::from_millis(score.reply.header_ms)).await;
            record.note(|record| record.source = Some(source));
            let mut response = if stream {
                record.note(|record| record.status = Some(200));
                stream_of(models, score, &arrival, record)
            } else {
                whole(models, &score, &arrival, &record).await
            };
            response.headers_mut().extend(headers);
            (response, Some(reply))
        }
    };
    common_headers(models, &arrival, response.headers_mut());
    if let Some(reply) = added {
        override_headers(response.headers_mut(), &reply);
    }
    response
}

/// Everything that needs the desk: cheap, so that the lock is short.
fn decide(desk: &mut Desk, arrival: &Arrival, number: u64) -> Decision {
    let request = match admit(desk, arrival) {
        Ok(request) => request,
        Err(error) => return Decision::Refuse { error, headers: HeaderMap::new() },
    };
    let mut headers = HeaderMap::new();
    if arrival.wire == Wire::OpenAi {
        let wanted = request.prompt_tokens() + request.output_tokens_max.unwrap_or(16);
        let (told, refused) = desk.limits.book(&desk.script.settings, &request.model, wanted);
        if let Some(error) = refused {
            return Decision::Refuse { error, headers: told };
        }
        headers = told;
    }
    let (source, reply) = desk.script.take(request.last_user_text());
    if reply.status.is_some() {
        return Decision::Scripted { reply, source, headers };
    }
    let score = compose(desk, arrival.wire, &request, reply, number);
    Decision::Speak { score, stream: request.stream, source, headers }
}

/// Validates a request as the real API does.
fn admit(desk: &Desk, arrival: &Arrival) -> Result<ChatRequest, ApiError> {
    let settings = &desk.script.settings;
    if arrival.wire == Wire::OpenAi {
        authorize(&arrival.headers, settings.api_key.as_deref())?;
    }
    let request = parse(&arrival.body, settings.strict && arrival.wire == Wire::OpenAi)?;
    if !settings.models.is_empty() && !settings.models.contains(&request.model) {
        let model = &request.model;
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        return Err(ApiError { message, ..ApiError::usual(404) });
    }
    let (have, max) = (request.prompt_tokens(), settings.context_tokens);
    if have > max {
        let message = format!(
            "This model's maximum context length is {max} tokens. However, your messages resulted \
             in {have} tokens. Please reduce the length of the messages."
        );
        return Err(ApiError::invalid(message).param("messages").code("context_length_exceeded"));
    }
    Ok(request)
}

/// Checks the key; without one right key, every key is right.
pub(super) fn authorize(headers: &HeaderMap, right: Option<&str>) -> Result<(), ApiError> {
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|key| !key.is_empty());
    let Some(given) = given else {
        let message = "You didn't provide an API key. You need to provide your API key in an \
                       Authorization header using Bearer auth (i.e. Authorization: Bearer \
                       YOUR_KEY).";
        return Err(ApiError::invalid(message).status(401));
    };
    if right.is_some_and(|right| right != given) {
        return Err(ApiError::usual(401));
    }
    Ok(())
}

fn compose(
    desk: &mut Desk,
    wire: Wire,
    request: &ChatRequest,
    mut reply: Reply,
    number: u64,
) -> Score {
    let text = match reply.reply.take() {
        Some(text) => fill(desk, &text, request.last_user_text(), number),
        None => desk.persona.answer(request),
    };
    let (text, cut) = limited(text, request.output_tokens_max);
    let finish_reason = reply
        .finish_reason
        .clone()
        .unwrap_or_else(|| if cut { "length".to_owned() } else { "stop".to_owned() });
    let sends_usage = !request.stream || request.include_usage;
    let usage = match &reply.usage {
        Some(Value::Object(usage)) => Some(Value::Object(usage.clone())),
        Some(Value::Bool(false) | Value::String(_)) => None,
        _ => sends_usage.then(|| counted_usage(wire, request, &text)),
    };
    let size = reply.chunk_chars.unwrap_or(desk.script.settings.chunk_chars).max(1);
    let letters: Vec<char> = text.chars().collect();
    let pieces = letters.chunks(size).map(|piece| piece.iter().collect()).collect();
    let envelope = Envelope::new(wire, request, &mut desk.random);
    Score { envelope, reply, pieces, finish_reason, usage }
}

fn fill(desk: &mut Desk, text: &str, user_text: &str, number: u64) -> String {
    let mut text = text.replace("{{n}}", &number.to_string());
    while text.contains("{{word}}") {
        let word = desk.persona.word(super::persona::is_japanese(user_text));
        text = text.replacen("{{word}}", &word, 1);
    }
    text.replace("{{user}}", user_text)
}

/// Cuts a text at the most tokens it may have.
fn limited(text: String, tokens_max: Option<u64>) -> (String, bool) {
    let Some(tokens_max) = tokens_max.filter(|max| tokens(&text) > *max) else {
        return (text, false);
    };
    let mut kept = String::new();
    // Quarters of a token, as four Latin characters make one.
    let mut quarters = 0;
    for character in text.chars() {
        quarters += if character.is_ascii() { 1 } else { 4 };
        if quarters > tokens_max * 4 {
            break;
        }
        kept.push(character);
    }
    (kept, true)
}

fn stream_of(models: &Models, score: Score, arrival: &Arrival, record: OpenRecord) -> Response {
    let body = play(score, arrival.at, record, models.state().shutdown().clone());
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-cache"));
    response
}

/// The whole answer at once, when its text would have ended.
async fn whole(models: &Models, score: &Score, arrival: &Arrival, record: &OpenRecord) -> Response {
    if score.reply.end == End::Stall {
        models.state().shutdown().cancelled().await;
        return cut(arrival, record);
    }
    arrival.wait_until(score.last_due()).await;
    if score.reply.end == End::Abort {
        return cut(arrival, record);
    }
    let text = score.pieces.concat();
    let body = score.envelope.whole(&text, &score.finish_reason, score.usage.as_ref());
    let now = Some(now_us());
    record.note(|record| {
        record.status = Some(200);
        record.outcome = Outcome::Answered;
        record.first_byte_at_us = now;
        record.first_text_at_us = now;
        record.last_text_at_us = now;
        record.reply = text;
    });
    Json(body).into_response()
}

fn refuse(record: &OpenRecord, error: &ApiError, headers: HeaderMap) -> Response {
    failed(record, error.status);
    let mut response = (status(error.status), Json(error.body())).into_response();
    response.headers_mut().extend(headers);
    response
}

fn scripted_error(record: &OpenRecord, reply: &Reply, headers: HeaderMap) -> Response {
    let code = reply.status.unwrap_or(500);
    let mut response = match &reply.error {
        Some(Value::String(raw)) => Response::new(Body::from(raw.clone())),
        Some(body) if body.get("error").is_some() => Json(body).into_response(),
        Some(error) => Json(serde_json::json!({"error": error})).into_response(),
        None => Json(ApiError::usual(code).body()).into_response(),
    };
    failed(record, code);
    *response.status_mut() = status(code);
    response.headers_mut().extend(headers);
    response
}

fn failed(record: &OpenRecord, code: u16) {
    record.note(|record| {
        record.status = Some(code);
        record.outcome = Outcome::Failed;
        record.first_byte_at_us = Some(now_us());
    });
}

/// What a fault makes of a request, or none when the request goes on.
async fn struck(arrival: &Arrival, record: &OpenRecord, fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    arrival.wait_until(Duration::from_millis(fault.delay_ms.unwrap_or(0))).await;
    match fault.kind {
        FaultKind::Delay | FaultKind::DropAfter => None,
        FaultKind::DropBefore => Some(cut(arrival, record)),
        _ => {
            let response = fault_response(fault);
            failed(record, response.status().as_u16());
            Some(response)
        }
    }
}

/// The answer of a fault that answers: an error status, or one of the 429s.
pub(super) fn fault_response(fault: &Fault) -> Response {
    match fault.kind {
        FaultKind::RateLimitHeaderless => {
            let page = "<html><body><h1>429 Too Many Requests</h1></body></html>";
            let kind = [(CONTENT_TYPE, "text/html")];
            (StatusCode::TOO_MANY_REQUESTS, kind, page).into_response()
        }
        FaultKind::RateLimitRoute | FaultKind::RateLimitShared | FaultKind::RateLimitGlobal => {
            let body = Json(ApiError::usual(429).body());
            let mut response = (StatusCode::TOO_MANY_REQUESTS, body).into_response();
            let wait = Duration::from_millis(fault.retry_after_ms.unwrap_or(1000));
            retry_after(response.headers_mut(), wait);
            response
        }
        _ => {
            let code = fault.status.unwrap_or(500);
            (status(code), Json(ApiError::usual(code).body())).into_response()
        }
    }
}

/// Breaks the connection; the response is never seen.
fn cut(arrival: &Arrival, record: &OpenRecord) -> Response {
    record.note(|record| record.outcome = Outcome::Cut);
    arrival.cut.cut();
    StatusCode::NO_CONTENT.into_response()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn common_headers(models: &Models, arrival: &Arrival, headers: &mut HeaderMap) {
    if arrival.wire != Wire::OpenAi {
        return;
    }
    let id = models.with_desk(|desk| format!("req_{:032x}", desk.random.random::<u128>()));
    let elapsed_ms = arrival.at.elapsed().as_millis().max(1);
    for (name, value) in [
        ("x-request-id", id),
        ("openai-processing-ms", elapsed_ms.to_string()),
        ("openai-version", "2020-10-01".to_owned()),
        ("openai-organization", "org-simulator".to_owned()),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

fn override_headers(headers: &mut HeaderMap, reply: &Reply) {
    for (name, value) in &reply.headers {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        match value.as_deref().map(HeaderValue::try_from) {
            None => {
                headers.remove(&name);
            }
            Some(Ok(value)) => {
                headers.insert(name, value);
            }
            Some(Err(_)) => {}
        }
    }
}
