//! Rate limits and faults on the wire.

use serde_json::{Value, json};

use crate::harness::World;

async fn fault(world: &World, fault: Value) {
    world.control("POST", "faults", fault).await;
}

#[tokio::test]
async fn a_buckets_headers_count_down_and_its_429_says_how_long() {
    let world = World::start().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    for left in (0..5).rev() {
        let answer = world.api_raw("POST", &path, json!({"content": "x"})).await;
        let headers = answer.headers();
        assert_eq!(headers["x-ratelimit-remaining"], left.to_string());
        assert_eq!(headers["x-ratelimit-limit"], "5");
        assert!(headers.contains_key("x-ratelimit-bucket"));
        assert!(!headers.contains_key("x-ratelimit-scope"));
    }
    let answer = world.api_raw("POST", &path, json!({"content": "x"})).await;
    assert_eq!(answer.status(), 429);
    let headers = answer.headers().clone();
    assert_eq!(headers["x-ratelimit-scope"], "user");
    assert_eq!(headers["x-ratelimit-remaining"], "0");
    let retry: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["global"], false);
    let wait = body["retry_after"].as_f64().unwrap();
    assert!(wait > 0.0 && wait <= 5.0 && f64::from(u32::try_from(retry).unwrap()) >= wait);
    let other = format!("/channels/{}/messages", world.channel(1));
    world.api_ok("POST", &other, json!({"content": "x"})).await;
    assert_eq!(world.control("GET", "limits", Value::Null).await["invalid_requests"], 1);
}

#[tokio::test]
async fn edits_of_a_channel_have_a_pace_of_their_own() {
    let world = World::start().await;
    let edits = json!({"channel_edits": {"count": 2, "per_ms": 60_000}});
    world.control("POST", "limits", edits).await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let sent = world.api_ok("POST", &path, json!({"content": "x"})).await;
    let one = format!("{path}/{}", sent["id"].as_str().unwrap());
    for text in ["a", "b"] {
        world.api_ok("PATCH", &one, json!({"content": text})).await;
    }
    assert_eq!(world.api("PATCH", &one, json!({"content": "c"})).await.0, 429);
    assert_eq!(world.api_ok("GET", &one, Value::Null).await["content"], "b");
}

#[tokio::test]
async fn the_four_shapes_of_429_can_be_told_apart() {
    let world = World::start().await;
    let rest = |kind: &str| json!({"target": "rest", "route": "/users/@me", "kind": kind, "retry_after_ms": 2500});
    fault(&world, rest("rate_limit_route")).await;
    let answer = world.api_raw("GET", "/users/@me", Value::Null).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-ratelimit-scope"]),
        (429, &"user".parse().unwrap())
    );
    assert_eq!(answer.headers()["retry-after"], "3");
    assert_eq!(answer.headers()["x-ratelimit-reset-after"], "2.500");
    fault(&world, rest("rate_limit_shared")).await;
    let answer = world.api_raw("GET", "/users/@me", Value::Null).await;
    assert_eq!(answer.headers()["x-ratelimit-scope"], "shared");
    fault(&world, rest("rate_limit_global")).await;
    let answer = world.api_raw("GET", "/users/@me", Value::Null).await;
    assert_eq!(answer.headers()["x-ratelimit-scope"], "global");
    assert_eq!(answer.headers()["x-ratelimit-global"], "true");
    assert!(!answer.headers().contains_key("x-ratelimit-bucket"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["global"], &body["retry_after"]), (&json!(true), &json!(2.5)));
    let bare = json!({"target": "rest", "route": "/users/@me", "kind": "rate_limit_headerless"});
    fault(&world, bare).await;
    let answer = world.api_raw("GET", "/users/@me", Value::Null).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (429, &"text/html".parse().unwrap())
    );
    assert!(!answer.headers().contains_key("retry-after"));
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("x-ratelimit")));
    world.api_ok("GET", "/users/@me", Value::Null).await;
    // The shared one does not count.
    assert_eq!(world.control("GET", "limits", Value::Null).await["invalid_requests"], 3);
}

#[tokio::test]
async fn too_many_invalid_requests_ban_the_address() {
    let world = World::start().await;
    world.control("POST", "limits", json!({"invalid_max": 3})).await;
    let url = format!("{}/api/v10/users/@me", world.running.base_url());
    for _ in 0..3 {
        assert_eq!(world.http.get(&url).send().await.unwrap().status(), 401);
    }
    let answer = world.api_raw("GET", "/users/@me", Value::Null).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (429, &"text/html".parse().unwrap())
    );
    world.control("POST", "limits", json!({"reset": true})).await;
    world.api_ok("GET", "/users/@me", Value::Null).await;
}

#[tokio::test]
async fn a_status_fault_has_no_effect_and_ends_after_its_count() {
    let world = World::start().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let template = "POST /channels/{channel_id}/messages";
    fault(
        &world,
        json!({"target": "rest", "route": template, "kind": "status", "status": 503, "count": 2}),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(world.api("POST", &path, json!({"content": "x"})).await.0, 503);
    }
    assert_eq!(world.api_ok("GET", &path, Value::Null).await, json!([]));
    world.api_ok("POST", &path, json!({"content": "x"})).await;
}

#[tokio::test]
async fn a_connection_can_break_before_or_after_the_effect() {
    let world = World::start().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let url = format!("{}/api/v10{path}", world.running.base_url());
    let send = async |content: &str| {
        let request = world.http.post(&url).json(&json!({"content": content}));
        request.header("authorization", format!("Bot {}", world.token())).send().await
    };
    fault(&world, json!({"target": "rest", "kind": "drop_before"})).await;
    assert!(send("前").await.is_err());
    assert_eq!(world.api_ok("GET", &path, Value::Null).await, json!([]));
    fault(&world, json!({"target": "rest", "kind": "drop_after"})).await;
    assert!(send("後").await.is_err());
    let left = world.api_ok("GET", &path, Value::Null).await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["content"]), (1, &json!("後")));
    let faults: Vec<Value> =
        world.ledger("rest").await.iter().map(|call| call["fault"].clone()).collect();
    assert_eq!(faults, [json!("drop_before"), Value::Null, json!("drop_after"), Value::Null]);
}

#[tokio::test]
async fn a_delayed_answer_comes_later() {
    let world = World::start().await;
    fault(&world, json!({"target": "rest", "kind": "delay", "delay_ms": 150})).await;
    let started = std::time::Instant::now();
    world.api_ok("GET", "/users/@me", Value::Null).await;
    assert!(started.elapsed().as_millis() >= 150);
    fault(&world, json!({"target": "rest", "kind": "status", "count": 0})).await;
    assert_eq!(world.api("GET", "/users/@me", Value::Null).await.0, 500);
    world.control("DELETE", "faults", Value::Null).await;
    world.api_ok("GET", "/users/@me", Value::Null).await;
}
