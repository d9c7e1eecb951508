//! The probes over a real socket, asked by a real client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::routing::get;
use chassis::lifecycle::{Server, install_crypto_provider};
use chassis::metrics::Metrics;
use chassis::{Common, Context, Outcome};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn open() -> (Context, Server, Client) {
    install_crypto_provider();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let metrics = Metrics::detached().unwrap();
    let shutdown = CancellationToken::new();
    let (context, server) =
        Context::open(chassis::service!(), Common::default(), listener, &metrics, shutdown)
            .unwrap();
    (context, server, Client::new())
}

async fn ask(context: &Context, client: &Client, path: &str) -> (StatusCode, String) {
    let response = client.get(format!("http://{}{path}", context.address)).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn health_begins_to_the_letter_as_promised() {
    let (context, _server, client) = open().await;
    context.health.headline("database", "connected", "disconnected");
    context.health.headline("discord", "connected", "disconnected");
    let discord = context.health.check("discord");
    let database = context.health.check("database");
    database.ok();
    discord.ok();
    let (status, body) = ask(&context, &client, "/health").await;
    assert_eq!(status, 200);
    let promised = r#"{"status":"healthy","database":"connected","discord":"connected","#;
    assert!(body.starts_with(&format!("{promised}\"timestamp\":\"")), "{body}");
    let health: Value = serde_json::from_str(&body).unwrap();
    let time = health["timestamp"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["checks"]["database"], serde_json::json!({ "status": "ok" }));

    discord.failing("no status for 15 s", "look at the gateway's log");
    let (status, body) = ask(&context, &client, "/health").await;
    assert_eq!(status, 503);
    let promised = r#"{"status":"unhealthy","database":"connected","discord":"disconnected","#;
    assert!(body.starts_with(promised), "{body}");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["checks"]["discord"]["status"], "failing");
    assert_eq!(health["checks"]["discord"]["reason"], "no status for 15 s");
    assert_eq!(health["checks"]["discord"]["remedy"], "look at the gateway's log");
}

#[tokio::test]
async fn every_check_has_a_status_and_one_that_fails_makes_503() {
    let (context, _server, client) = open().await;
    assert_eq!(ask(&context, &client, "/health").await.0, 200);
    let nats = context.health.check("nats");
    let (status, body) = ask(&context, &client, "/health").await;
    assert_eq!(status, 503, "a part that has not spoken yet is not well: {body}");
    nats.degraded("two of three servers", "start the third");
    let (status, body) = ask(&context, &client, "/health").await;
    assert_eq!(status, 200, "{body}");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["checks"]["nats"]["status"], "degraded");
    context.health.remove("nats");
    assert!(context.health.outcomes().is_empty());
}

#[tokio::test]
async fn a_headline_promised_before_its_check_is_a_part_that_is_starting() {
    let (context, _server, client) = open().await;
    context.health.headline("database", "connected", "disconnected");
    let (status, body) = ask(&context, &client, "/health").await;
    assert_eq!(status, 503);
    assert!(body.starts_with(r#"{"status":"unhealthy","database":"disconnected","#), "{body}");
    assert!(body.contains(r#""database":{"status":"failing","reason":"starting""#), "{body}");
    context.health.check("database").ok();
    assert_eq!(ask(&context, &client, "/health").await.0, 200);
}

#[tokio::test]
async fn the_same_name_is_the_same_check() {
    let (context, _server, _client) = open().await;
    context.health.check("nats").ok();
    assert_eq!(context.health.check("nats").outcome(), Some(Outcome::Ok));
    assert_eq!(context.health.outcomes().len(), 1);
}

#[tokio::test]
async fn a_computed_check_is_asked_at_each_request() {
    let (context, _server, client) = open().await;
    let stale = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stale);
    context.health.computed("gateway", move || {
        if seen.load(Ordering::SeqCst) {
            Outcome::failing("last status is 20 s old", "start the gateway")
        } else {
            Outcome::Ok
        }
    });
    assert_eq!(ask(&context, &client, "/health/ready").await.0, 200);
    stale.store(true, Ordering::SeqCst);
    assert_eq!(ask(&context, &client, "/health").await.0, 503);
    let (status, body) = ask(&context, &client, "/health/ready").await;
    assert_eq!(status, 503);
    assert!(body.contains("gateway"), "{body}");
    assert_eq!(ask(&context, &client, "/health/live").await.1, r#"{"status":"ok"}"#);
    stale.store(false, Ordering::SeqCst);
    assert_eq!(ask(&context, &client, "/health").await.0, 200);
}

#[tokio::test]
async fn a_password_quoted_by_an_error_does_not_reach_the_answer() {
    let (context, _server, client) = open().await;
    let error = "connect to nats://bot:hunter2@nats:4222: refused";
    context.health.check("nats").failing(error, "start nats-server");
    let (_, body) = ask(&context, &client, "/health").await;
    assert!(!body.contains("hunter2") && body.contains("refused"), "{body}");
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let (context, _server, client) = open().await;
    for path in ["/health", "/health/live", "/health/ready", "/version", "/metrics"] {
        let url = format!("http://{}{path}", context.address);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let response = client.request(method, &url).send().await.unwrap();
            assert_eq!(response.status(), 405, "{path}");
            assert_eq!(response.headers()["allow"], "GET,HEAD");
        }
        let head = client.head(&url).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_service_s_own_routes_stand_beside_the_probes() {
    let (context, _server, client) = open().await;
    let url = format!("http://{}/api/v1/ai/health", context.address);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 404);
    context.mount(axum::Router::new().route("/api/v1/ai/health", get(|| async { "ai" })));
    context.mount(axum::Router::new().route("/api/v1/ai/models", get(|| async { "models" })));
    assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "ai");
    let models = format!("http://{}/api/v1/ai/models", context.address);
    assert_eq!(client.get(models).send().await.unwrap().text().await.unwrap(), "models");
    assert_eq!(ask(&context, &client, "/health/live").await.0, 200);
}

#[tokio::test]
async fn version_names_the_build() {
    let (context, _server, client) = open().await;
    let (_, body) = ask(&context, &client, "/version").await;
    let version: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(version["service"], "chassis");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["rust"].as_str().unwrap().starts_with("1."), "{body}");
    assert!(version.get("git_sha").is_some());
}

#[tokio::test]
async fn a_draining_service_is_healthy_but_not_ready() {
    let (context, _server, client) = open().await;
    context.health.drain();
    assert_eq!(ask(&context, &client, "/health").await.0, 200);
    let (status, body) = ask(&context, &client, "/health/ready").await;
    assert_eq!((status.as_u16(), body.contains("draining")), (503, true), "{body}");
}

#[tokio::test]
async fn metrics_tell_of_process_build_and_checks() {
    let (context, _server, client) = open().await;
    context.health.check("nats").failing("away", "start it");
    let (status, text) = ask(&context, &client, "/metrics").await;
    assert_eq!(status, 200);
    for part in [
        "\nprocess_resident_memory_bytes ",
        "\nprocess_open_fds ",
        "build_info{service=\"chassis\"",
        "health_check_ok{check=\"nats\"} 0",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn histograms_have_buckets_at_the_thresholds_of_rules() {
    let metrics = Metrics::install().unwrap();
    ::metrics::histogram!("model_latency_seconds").record(0.3);
    ::metrics::histogram!("event_size_bytes").record(2000.0);
    ::metrics::counter!("turns").increment(2);
    let text = metrics.render(chassis::service!());
    for edge in ["0.2", "0.5", "2", "5", "10", "+Inf"] {
        let bucket = format!("model_latency_seconds_bucket{{le=\"{edge}\"}}");
        assert!(text.contains(&bucket), "{bucket} is missing in {text}");
    }
    assert!(text.contains("model_latency_seconds_bucket{le=\"0.2\"} 0\n"));
    assert!(text.contains("model_latency_seconds_bucket{le=\"0.5\"} 1\n"));
    assert!(text.contains("event_size_bytes_bucket{le=\"4096\"} 1\n"), "{text}");
    assert!(text.contains("\nturns_total 2\n"), "{text}");
    assert!(!text.contains("quantile"), "histograms, not summaries");
}
