//! What the worker says of itself over HTTP, to the letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::routing::get;
use contracts::status::ShardState;
use serde_json::json;

use crate::house::{House, Question, Worker, eventually};

const TO_THE_LETTER: &str = r#"{"status":"healthy","database":"connected","discord":"connected","#;

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_gateway_within_fifteen_seconds() {
    let house = House::build().await;
    let worker = house.worker().await;
    let (status, health) = worker.get("/health").await;
    assert_eq!((status, health["discord"].as_str()), (503, Some("disconnected")));
    becomes_healthy(&house, &worker).await;
    // The gateway falls silent, as when it is stopped.
    let silent = tokio::time::Instant::now();
    let noticed = eventually(async || {
        let (status, health) = worker.get("/health").await;
        (status == 503 && health["discord"] == "disconnected").then_some(())
    })
    .await;
    assert!(noticed.is_some());
    assert!(silent.elapsed() < Duration::from_secs(15), "{:?}", silent.elapsed());
    let (status, live) = worker.get("/health/live").await;
    assert_eq!((status, live), (200, json!({"status": "ok"})));
    becomes_healthy(&house, &worker).await;
    house.discord.say_connected(ShardState::Disconnected).await;
    assert!(
        eventually(async || (worker.get("/health").await.0 == 503).then_some(())).await.is_some()
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_of_a_bus_that_is_away_and_counts_what_is_kept() {
    let mut house = House::build().await;
    let worker = house.worker().await;
    becomes_healthy(&house, &worker).await;
    house.ask(&Question::mention("hello")).await;
    let (_, health) = worker.get("/health").await;
    assert_eq!(health["checks"]["database"], json!({"status": "ok", "history_rows": 2}));
    house.nats.kill().await.unwrap();
    let noticed = eventually(async || {
        let (status, health) = worker.get("/health").await;
        (status == 503 && health["checks"]["bus"]["status"] == "failing").then_some(health)
    })
    .await;
    let health = noticed.unwrap();
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(
        (&health["database"], &health["discord"]),
        (&json!("connected"), &json!("disconnected"))
    );
    assert_eq!(worker.get("/health/live").await, (200, json!({"status": "ok"})));
    house.nats.restart().await.unwrap();
    becomes_healthy(&house, &worker).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_is_asked_for_its_version_and_tags_at_most_every_ten_seconds() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let models = json!({"models": [{"name": "gemma3:12b", "size": 8_149_190_253_u64,
                                    "digest": "abc", "unknown": true}]});
    let router = Router::new()
        .route("/api/version", get(|| async { Json(json!({"version": "0.12.0"})) }))
        .route(
            "/api/tags",
            get(move || {
                count.fetch_add(1, Ordering::Relaxed);
                let models = models.clone();
                async move { Json(models) }
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut house = House::build().await;
    house.set("OLLAMA_URL", format!("http://{address}/"));
    let worker = house.worker().await;
    let url = format!("http://{}/api/v1/ai/health", worker.address);
    mounted(&worker).await;
    let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert_eq!(text, r#"{"status":"healthy","ollama_reachable":true}"#);
    let (status, models) = worker.get("/api/v1/ai/models").await;
    assert_eq!(status, 200);
    assert_eq!(models["models"][0]["name"], "gemma3:12b");
    for _ in 0..5 {
        worker.get("/api/v1/ai/health").await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ollama_its_routes_are_unhealthy_and_nothing_else_is() {
    // A server that takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut house = House::build().await;
    house.set("OLLAMA_URL", format!("http://{}", silent.local_addr().unwrap()));
    let worker = house.worker().await;
    becomes_healthy(&house, &worker).await;
    let started = tokio::time::Instant::now();
    let unhealthy = json!({"status": "unhealthy", "ollama_reachable": false});
    assert_eq!(worker.get("/api/v1/ai/health").await, (503, unhealthy.clone()));
    assert!(started.elapsed() < Duration::from_millis(3500), "{:?}", started.elapsed());
    assert_eq!(worker.get("/api/v1/ai/models").await, (503, unhealthy));
    house.discord.say_connected(ShardState::Connected).await;
    assert_eq!(worker.get("/health").await.0, 200);
    worker.stop().await;
}

async fn becomes_healthy(house: &House, worker: &Worker) {
    let healthy = eventually(async || {
        house.discord.say_connected(ShardState::Connected).await;
        let url = format!("http://{}/health", worker.address);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        text.starts_with(TO_THE_LETTER).then_some(())
    })
    .await;
    assert!(healthy.is_some(), "{:?}", worker.get("/health").await);
}

async fn mounted(worker: &Worker) {
    let there = eventually(async || (worker.get("/api/v1/ai/models").await.0 != 404).then_some(()));
    assert!(there.await.is_some());
}
