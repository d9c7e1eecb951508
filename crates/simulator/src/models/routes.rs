//! The routes of the model wires and of their control.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Path, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::connection::Cut;
use crate::faults::{FaultKind, Target};
use crate::ledger::Kind;
use crate::models::chat::{self, fault_response};
use crate::models::desk::Models;
use crate::models::fail::ApiError;
use crate::models::limits::Limits;
use crate::models::wire::{Arrival, Wire};
use crate::state::State;

/// The largest request that is read.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The models that are listed while the settings name none.
const OPENAI_MODELS: [&str; 2] = ["simulator-1", "simulator-1-mini"];
const OLLAMA_MODELS: [&str; 1] = ["gemma3:12b"];

/// Routes under `/model` and `/control/model`.
pub(super) fn router(state: State) -> Router {
    Router::new()
        .route("/model/openai/v1/chat/completions", post(openai_chat).fallback(unknown_url))
        .route("/model/openai/v1/models", get(openai_models))
        .route("/model/openai/v1/models/{model}", get(openai_model))
        .route("/model/openai/{*rest}", any(unknown_url))
        .route("/model/ollama", get(ollama_root))
        .route("/model/ollama/", get(ollama_root))
        .route("/model/ollama/api/version", get(ollama_version))
        .route("/model/ollama/api/tags", get(ollama_tags))
        .route("/model/ollama/api/ps", get(ollama_ps))
        .route("/model/ollama/v1/chat/completions", post(ollama_chat))
        .route("/model/ollama/v1/models", get(ollama_models))
        .route("/control/model/script", get(read_script).post(change_script).delete(clear_script))
        .route("/control/model/requests", get(read_requests))
        .with_state(Models::new(state))
}

async fn openai_chat(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    chat(&models, Wire::OpenAi, cut, request).await
}

async fn ollama_chat(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    chat(&models, Wire::Ollama, cut, request).await
}

async fn chat(models: &Models, wire: Wire, cut: Cut, request: Request) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let error = ApiError::invalid("The request is too large or broke off.").status(413);
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(error.body())).into_response();
    };
    let path = parts.uri.path().to_owned();
    let arrival = Arrival { wire, path, headers: parts.headers, body, at, cut };
    chat::answer(models, arrival).await
}

/// Lets a waiting fault strike a request that only reads.
async fn struck(models: &Models, cut: &Cut, path: &str) -> Option<Response> {
    let fault = models.state().faults().take(Target::Model, "GET", path)?;
    tokio::time::sleep(Duration::from_millis(fault.delay_ms.unwrap_or(0))).await;
    match fault.kind {
        FaultKind::Delay => None,
        FaultKind::DropBefore | FaultKind::DropAfter => {
            cut.cut();
            Some(StatusCode::NO_CONTENT.into_response())
        }
        _ => Some(fault_response(&fault)),
    }
}

async fn read(models: &Models, cut: &Cut, path: &str, answer: Value) -> Response {
    match struck(models, cut, path).await {
        Some(response) => response,
        None => Json(answer).into_response(),
    }
}

fn names(models: &Models, usual: &[&str]) -> Vec<String> {
    let named = models.with_desk(|desk| desk.script.settings.models.clone());
    if named.is_empty() { usual.iter().map(ToString::to_string).collect() } else { named }
}

fn model_object(id: &str, owner: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_735_689_600, "owned_by": owner})
}

fn refused(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(error.body())).into_response()
}

fn authorized(models: &Models, request: &Request) -> Result<(), ApiError> {
    let key = models.with_desk(|desk| desk.script.settings.api_key.clone());
    chat::authorize(request.headers(), key.as_deref())
}

async fn openai_models(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    if let Err(error) = authorized(&models, &request) {
        return refused(&error);
    }
    let list: Vec<Value> =
        names(&models, &OPENAI_MODELS).iter().map(|id| model_object(id, "simulator")).collect();
    read(&models, &cut, request.uri().path(), json!({"object": "list", "data": list})).await
}

async fn openai_model(
    Shared(models): Shared<Models>,
    Path(model): Path<String>,
    request: Request,
) -> Response {
    if let Err(error) = authorized(&models, &request) {
        return refused(&error);
    }
    if names(&models, &OPENAI_MODELS).contains(&model) {
        return Json(model_object(&model, "simulator")).into_response();
    }
    let message = format!("The model '{model}' does not exist");
    refused(&ApiError { message, ..ApiError::usual(404) }.param("model"))
}

async fn unknown_url(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches("/model/openai");
    let message = format!(
        "Unknown request URL: {} {path}. Please check the URL for typos.",
        request.method()
    );
    refused(&ApiError::invalid(message).status(404).code("unknown_url"))
}

async fn ollama_root() -> &'static str {
    "Ollama is running"
}

async fn ollama_version(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    read(&models, &cut, request.uri().path(), json!({"version": "0.13.0"})).await
}

fn ollama_details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "gemma3", "families": ["gemma3"],
        "parameter_size": "12.2B", "quantization_level": "Q4_K_M",
    })
}

async fn ollama_tags(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let list: Vec<Value> = names(&models, &OLLAMA_MODELS)
        .iter()
        .map(|name| {
            json!({
                "name": name, "model": name, "modified_at": "2026-01-01T00:00:00Z",
                "size": 8_149_190_253_u64, "digest": "f4031aab637d1ffa37b42570452ae0e4",
                "details": ollama_details(),
            })
        })
        .collect();
    read(&models, &cut, request.uri().path(), json!({"models": list})).await
}

async fn ollama_ps(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let list: Vec<Value> = names(&models, &OLLAMA_MODELS)
        .iter()
        .take(1)
        .map(|name| {
            json!({
                "name": name, "model": name, "size": 8_149_190_253_u64,
                "digest": "f4031aab637d1ffa37b42570452ae0e4", "details": ollama_details(),
                "expires_at": "2099-01-01T00:00:00Z", "size_vram": 0, "context_length": 8192,
            })
        })
        .collect();
    read(&models, &cut, request.uri().path(), json!({"models": list})).await
}

async fn ollama_models(
    Shared(models): Shared<Models>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let list: Vec<Value> =
        names(&models, &OLLAMA_MODELS).iter().map(|id| model_object(id, "library")).collect();
    read(&models, &cut, request.uri().path(), json!({"object": "list", "data": list})).await
}

async fn read_script(Shared(models): Shared<Models>) -> Json<Value> {
    Json(models.with_desk(|desk| json!(desk.script)))
}

async fn change_script(Shared(models): Shared<Models>, Json(body): Json<Value>) -> Response {
    if let Err(error) = models.with_desk(|desk| desk.script.change(body)) {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    }
    note_control(&models, "POST");
    read_script(Shared(models)).await.into_response()
}

async fn clear_script(Shared(models): Shared<Models>) -> Response {
    models.with_desk(|desk| {
        desk.script.clear();
        desk.limits = Limits::default();
    });
    note_control(&models, "DELETE");
    read_script(Shared(models)).await.into_response()
}

fn note_control(models: &Models, method: &str) {
    let detail = json!({"action": "model_script", "detail": {"method": method}});
    models.state().ledger().push(Kind::Control, &detail);
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn read_requests(Shared(models): Shared<Models>, Query(query): Query<After>) -> Json<Value> {
    Json(models.records().read(query.after))
}
