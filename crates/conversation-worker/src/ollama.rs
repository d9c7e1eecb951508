//! The two routes about Ollama: whether it can be reached, and which models it has.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const CACHED_FOR: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An Ollama server, asked at most once every ten seconds.
#[derive(Clone)]
pub struct Ollama {
    http: reqwest::Client,
    url: Arc<str>,
    newest: Arc<Mutex<Option<(Instant, Seen)>>>,
}

/// What was seen of it.
#[derive(Debug, Clone)]
enum Seen {
    Reachable(Vec<Model>),
    Unreachable,
}

/// A model as Ollama lists it; fields that it does not give are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Model {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Option<Vec<Model>>,
}

impl Ollama {
    /// A view on the server at `url`. Nothing is asked yet.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .timeout(PROBE_TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, url: url.trim_end_matches('/').into(), newest: Arc::default() })
    }

    /// `/api/v1/ai/health` and `/api/v1/ai/models`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/api/v1/ai/health", get(health))
            .route("/api/v1/ai/models", get(models))
            .with_state(self)
    }

    async fn look(&self) -> Seen {
        // Whoever comes while the server is asked waits for that answer.
        let mut newest = self.newest.lock().await;
        if let Some((at, seen)) = &*newest
            && at.elapsed() < CACHED_FOR
        {
            return seen.clone();
        }
        let seen = match tokio::time::timeout(PROBE_TIMEOUT, self.ask()).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => {
                tracing::debug!(error = %error.without_url(), "ollama cannot be reached");
                Seen::Unreachable
            }
            Err(_elapsed) => Seen::Unreachable,
        };
        *newest = Some((Instant::now(), seen.clone()));
        seen
    }

    async fn ask(&self) -> Result<Seen, reqwest::Error> {
        let (version, tags) =
            tokio::try_join!(self.get::<Version>("/api/version"), self.get::<Tags>("/api/tags"))?;
        Ok(match (version, tags) {
            // Anything may answer on that port; only Ollama tells its version.
            (Some(version), Some(tags)) if !version.version.is_empty() => {
                Seen::Reachable(tags.models.unwrap_or_default())
            }
            _ => Seen::Unreachable,
        })
    }

    /// The answer; none where something else than Ollama answered.
    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<Option<T>, reqwest::Error> {
        let mut response =
            self.http.get(format!("{}{path}", self.url)).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(serde_json::from_slice(&body).ok())
    }
}

/// The web's roots, built in: an image made from scratch holds no certificate store.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What `/api/v1/ai/health` answers; the order of the fields is that of its documentation.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    ollama_reachable: bool,
}

async fn health(State(ollama): State<Ollama>) -> Response {
    match ollama.look().await {
        Seen::Reachable(_) => {
            Json(Health { status: "healthy", ollama_reachable: true }).into_response()
        }
        Seen::Unreachable => unhealthy(),
    }
}

async fn models(State(ollama): State<Ollama>) -> Response {
    match ollama.look().await {
        Seen::Reachable(models) => Json(json!({ "models": models })).into_response(),
        Seen::Unreachable => unhealthy(),
    }
}

fn unhealthy() -> Response {
    let body = Json(Health { status: "unhealthy", ollama_reachable: false });
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}
