//! The routes every service answers: `/health` and its kin, `/version`, `/metrics`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tower_service::Service;

use super::Health;
use crate::metrics::Metrics;

/// Routes a service adds while it runs; until then their paths answer 404.
#[derive(Clone, Default)]
pub struct Mounted(Arc<Mutex<Router>>);

impl Mounted {
    /// Adds `router`'s routes to those already mounted.
    pub fn merge(&self, router: Router) {
        let mut mounted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *mounted);
        *mounted = before.merge(router);
    }

    async fn answer(&self, request: Request) -> Result<Response, Infallible> {
        let mut router = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A router is always ready; only its handlers wait.
        Service::<Request<Body>>::call(&mut router, request).await
    }
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mounted").finish_non_exhaustive()
    }
}

/// The routes of every service over `health` and `metrics`, and beneath them those in `mounted`.
pub fn router(health: &Health, metrics: &Metrics, mounted: &Mounted) -> Router {
    let mounted = mounted.clone();
    Router::new()
        .route("/health", get(overall))
        .route("/health/ready", get(ready))
        .route("/version", get(version))
        .with_state(health.clone())
        .route("/health/live", get(live))
        .route("/metrics", get(render))
        .with_state((health.clone(), metrics.clone()))
        .fallback(move |request: Request| async move { mounted.answer(request).await })
}

async fn live() -> Response {
    fresh(StatusCode::OK, Json(json!({ "status": "ok" })))
}

async fn overall(State(health): State<Health>) -> Response {
    let report = health.report();
    let code = if report.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    fresh(code, Json(report))
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    if report.is_ready() {
        return fresh(StatusCode::OK, Json(json!({ "status": "ready" })));
    }
    let status = if report.is_draining() { "draining" } else { "not ready" };
    let body = json!({ "status": status, "failing": report.failing() });
    fresh(StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

async fn version(State(health): State<Health>) -> Response {
    let service = health.service();
    let body = json!({
        "service": service.name,
        "version": service.version,
        "git_sha": crate::lifecycle::GIT_SHA,
        "rust": crate::lifecycle::RUST_VERSION,
    });
    fresh(StatusCode::OK, Json(body))
}

async fn render(State((health, metrics)): State<(Health, Metrics)>) -> Response {
    let text = metrics.render(health.service()) + &health.report().to_metrics();
    let mut response = fresh(StatusCode::OK, text);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer that no proxy may keep: a stored probe answer is a lie.
fn fresh(code: StatusCode, body: impl IntoResponse) -> Response {
    (code, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
}
