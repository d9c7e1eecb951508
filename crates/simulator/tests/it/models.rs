//! The model wires as a client meets them.

#![cfg(test)]

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use simulator::{Config, Preset, RunningSimulator, Simulator};

struct Bench {
    simulator: RunningSimulator,
    client: Client,
}

impl Bench {
    async fn start() -> Self {
        // Another test of this process may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let config = Config { world: Preset::Empty, seed: 11, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        Self { simulator, client: Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    async fn script(&self, body: Value) {
        let url = self.url("/control/model/script");
        let response = self.client.post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    async fn ask(&self, body: Value) -> Response {
        let url = self.url("/model/openai/v1/chat/completions");
        self.client.post(url).bearer_auth("sk-test").json(&body).send().await.unwrap()
    }

    async fn stream(&self, text: &str) -> String {
        self.ask(streamed(text)).await.text().await.unwrap()
    }

    /// The only request's record, once it says how it ended.
    async fn ended(&self) -> Value {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let url = self.url("/control/model/requests");
            let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
            let record = &answer["requests"][0];
            if record["ended_at_us"].is_u64() {
                return record.clone();
            }
            assert!(Instant::now() < deadline, "still running: {record}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn plain(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

fn streamed(text: &str) -> Value {
    let mut body = plain(text);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

/// The payloads of `data:` lines; comments and event names are left out.
fn payloads(body: &str) -> Vec<&str> {
    body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

fn text_of(body: &str) -> String {
    payloads(body)
        .iter()
        .filter_map(|payload| serde_json::from_str::<Value>(payload).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_stream_is_a_role_then_texts_then_the_reason_then_usage_then_done() {
    let bench = Bench::start().await;
    bench.script(json!({"reply": "こんにちは、世界", "chunk_chars": 3})).await;
    let response = bench.ask(streamed("hi")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    for name in [
        "x-request-id",
        "openai-processing-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ] {
        assert!(response.headers().contains_key(name), "{name}");
    }
    let body = response.text().await.unwrap();
    let payloads = payloads(&body);
    assert_eq!(payloads.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = payloads[..payloads.len() - 1]
        .iter()
        .map(|payload| serde_json::from_str(payload).unwrap())
        .collect();
    assert_eq!(chunks.len(), 1 + 3 + 1 + 1);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(chunks[1].as_object().unwrap().contains_key("usage"), "usage is announced as null");
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "こんに");
    assert!(chunks[1]["obfuscation"].is_string());
    assert_eq!(chunks[4]["choices"][0]["delta"], json!({}));
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"]["completion_tokens"], 8);
}

#[tokio::test]
async fn without_stream_the_answer_is_one_object_with_usage() {
    let bench = Bench::start().await;
    bench.script(json!({"reply": "hello {{user}} {{n}}"})).await;
    let answer: Value = bench.ask(plain("you")).await.json().await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "hello you 1");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(answer["usage"]["prompt_tokens_details"]["cached_tokens"].is_u64());
}

#[tokio::test]
async fn a_token_limit_cuts_the_text_and_says_length() {
    let bench = Bench::start().await;
    bench.script(json!({"reply": "一二三四五六"})).await;
    let mut body = plain("x");
    body["max_completion_tokens"] = json!(4);
    let answer: Value = bench.ask(body).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "一二三四");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn bad_requests_are_refused_as_the_real_api_refuses_them() {
    let bench = Bench::start().await;
    let with = |key: &str, value: Value| {
        let mut body = plain("x");
        body[key] = value;
        body
    };
    let cases = [
        (with("messages", json!([])), "messages", "empty_array"),
        (with("messages", Value::Null), "messages", "missing_required_parameter"),
        (
            with("messages", json!([{"role": "bot", "content": ""}])),
            "messages[0].role",
            "invalid_value",
        ),
        (
            with("messages", json!([{"role": "user"}])),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            with("messages", json!([{"role": "user", "content": "x", "name": "a b"}])),
            "messages[0].name",
            "invalid_value",
        ),
        (with("temperature", json!(3)), "temperature", "decimal_above_max_value"),
        (with("max_tokens", json!(0)), "max_tokens", "integer_below_min_value"),
        (with("stream", json!("yes")), "stream", "invalid_type"),
    ];
    for (body, param, code) in cases {
        let response = bench.ask(body.clone()).await;
        assert_eq!(response.status(), 400, "{body}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["type"], "invalid_request_error");
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    for (key, value) in [("stream_options", json!({"include_usage": true})), ("colour", json!(1))] {
        let response = bench.ask(with(key, value)).await;
        assert_eq!(response.status(), 400, "{key}");
        assert!(response.json::<Value>().await.unwrap()["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn keys_models_context_and_rates_have_their_limits() {
    let bench = Bench::start().await;
    let url = bench.url("/model/openai/v1/chat/completions");
    let response = bench.client.post(&url).json(&plain("x")).send().await.unwrap();
    assert_eq!(response.status(), 401);

    bench.script(json!({"settings": {"api_key": "right", "models": ["m"]}})).await;
    let answer: Value = bench.ask(plain("x")).await.json().await.unwrap();
    assert_eq!(answer["error"]["code"], "invalid_api_key");

    bench.script(json!({"settings": {"api_key": null, "models": ["other"]}})).await;
    let answer: Value = bench.ask(plain("x")).await.json().await.unwrap();
    assert_eq!(answer["error"]["code"], "model_not_found");

    bench.script(json!({"settings": {"models": [], "context_tokens": 100}})).await;
    let answer: Value = bench.ask(plain(&"あ".repeat(200))).await.json().await.unwrap();
    assert_eq!(answer["error"]["code"], "context_length_exceeded");

    bench
        .script(
            json!({"settings": {"requests_per_minute": 1, "first_token_ms": 0, "per_chunk_ms": 0}}),
        )
        .await;
    assert_eq!(bench.ask(plain("x")).await.status(), 200);
    let response = bench.ask(plain("x")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-ratelimit-remaining-requests"], "0");
    assert_eq!(response.headers()["retry-after"], "60");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn a_scripted_status_carries_its_body_and_headers() {
    let bench = Bench::start().await;
    let error = json!({"message": "no money", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"});
    bench.script(json!({"status": 429, "error": error, "headers": {"retry-after": "7", "x-request-id": null}})).await;
    let response = bench.ask(streamed("x")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert!(!response.headers().contains_key("x-request-id"));
    assert_eq!(response.json::<Value>().await.unwrap()["error"], error);
    assert_eq!(bench.ended().await["outcome"], "failed");
}

#[tokio::test]
async fn frames_may_be_cut_anywhere_and_still_carry_the_same_text() {
    let bench = Bench::start().await;
    let text = "「琥珀の灯台」と emoji 🌙 と改行\nも\"引用\"も。".repeat(5);
    bench
        .script(json!({"replace": true, "queue": [
            {"reply": text, "split_bytes": 1},
            {"reply": text, "split_bytes": 7, "crlf": true, "comments": true},
            {"reply": text, "split_bytes": 100_000},
        ]}))
        .await;
    for _ in 0..2 {
        let mut response = bench.ask(streamed("x")).await;
        let mut pieces = Vec::new();
        while let Some(piece) = response.chunk().await.unwrap() {
            pieces.push(piece);
        }
        assert!(pieces.iter().all(|piece| piece.len() <= 7));
        assert!(pieces.iter().any(|piece| std::str::from_utf8(piece).is_err()), "inside UTF-8");
        let body = String::from_utf8(pieces.concat()).unwrap();
        assert_eq!(text_of(&body), text);
        assert!(body.contains("[DONE]"));
    }
    assert_eq!(text_of(&bench.stream("x").await), text);
}

#[tokio::test]
async fn crlf_and_comments_are_written_when_asked_for() {
    let bench = Bench::start().await;
    bench.script(json!({"reply": "ab", "crlf": true, "comments": true})).await;
    let body = bench.stream("x").await;
    assert!(body.starts_with(": ping\r\n\r\ndata: {"), "{body}");
    assert!(!body.replace("\r\n", "").contains('\n'), "{body}");
}

#[tokio::test]
async fn a_stream_can_end_early_in_each_of_its_ways() {
    let bench = Bench::start().await;
    let early =
        |end: &str| json!({"reply": "abcdef", "chunk_chars": 1, "end": end, "end_after_chunks": 2});
    bench.script(early("clean_eof")).await;
    let body = bench.stream("x").await;
    assert_eq!(text_of(&body), "ab");
    assert!(!body.contains("[DONE]") && !body.contains("\"finish_reason\":\"stop\""));

    bench.script(json!({"reply": "abc", "end": "clean_eof", "usage": "none"})).await;
    let body = bench.stream("x").await;
    assert!(body.contains("\"finish_reason\":\"stop\"") && !body.contains("[DONE]"));
    assert!(!body.contains("prompt_tokens"));

    bench.script(early("abort")).await;
    let mut response = bench.ask(streamed("x")).await;
    let mut body = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => panic!("the body ended cleanly"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(text_of(&String::from_utf8(body).unwrap()), "ab");
}

#[tokio::test]
async fn an_error_frame_comes_in_the_middle_and_nothing_behind_it() {
    let bench = Bench::start().await;
    let error = json!({"message": "overloaded", "type": "server_error", "code": null});
    bench
        .script(json!({"reply": "abcdef", "chunk_chars": 1, "error_frame": error,
        "error_after_chunks": 3, "error_event": true}))
        .await;
    let body = bench.stream("x").await;
    assert_eq!(text_of(&body), "abc");
    assert!(body.contains("event: error\ndata: {\"error\":"), "{body}");
    assert_eq!(payloads(&body).len(), 1 + 3 + 1);
    assert_eq!(bench.ended().await["outcome"], "failed");
}

#[tokio::test]
async fn the_pace_is_kept_and_the_times_are_recorded() {
    let bench = Bench::start().await;
    bench
        .script(json!({"reply": "abcde", "chunk_chars": 1, "first_token_ms": 100, "total_ms": 300}))
        .await;
    let started = Instant::now();
    bench.stream("x").await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    let record = bench.ended().await;
    let at = |key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key}: {record}"));
    assert!(at("first_text_at_us") - at("started_at_us") >= 100_000);
    assert!(at("last_text_at_us") - at("first_text_at_us") >= 195_000);
    assert!(at("ended_at_us") >= at("last_text_at_us"));
    assert_eq!(record["reply"], "abcde");
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["body"]["messages"][0]["content"], "x");
    assert_eq!(record["headers"]["authorization"], "[redacted]");
}

#[tokio::test]
async fn a_client_that_hangs_up_on_a_stalled_stream_is_written_down_once() {
    let bench = Bench::start().await;
    bench
        .script(json!({"reply": "abc", "chunk_chars": 1, "end": "stall", "end_after_chunks": 1}))
        .await;
    let mut response = bench.ask(streamed("x")).await;
    response.chunk().await.unwrap().expect("something before the stall");
    drop(response);
    let record = bench.ended().await;
    assert_eq!(record["outcome"], "client_hung_up");
    assert_eq!(record["client_hung_up"], true);
    let url = bench.url("/control/model/requests?after=1");
    let later: Value = bench.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(later, json!({"requests": [], "last": 1}));
    let entries = bench.simulator.state().ledger().entries(simulator::ledger::Kind::Model, 0);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["client_hung_up"], true);
}

#[tokio::test]
async fn faults_strike_the_model_wire() {
    use simulator::faults::{Fault, FaultKind, Target};
    let bench = Bench::start().await;
    let fault = |kind| Fault {
        target: Target::Model,
        route: None,
        kind,
        status: Some(503),
        delay_ms: None,
        retry_after_ms: Some(2_500),
        count: 1,
    };
    let faults = bench.simulator.state().faults();
    faults.add(fault(FaultKind::Status));
    assert_eq!(bench.ask(plain("x")).await.status(), 503);
    faults.add(fault(FaultKind::RateLimitRoute));
    let response = bench.ask(plain("x")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after-ms"], "2500");
    for kind in [FaultKind::DropBefore, FaultKind::DropAfter] {
        faults.add(fault(kind));
        let url = bench.url("/model/openai/v1/chat/completions");
        let request = bench.client.post(url).bearer_auth("k").json(&plain("x"));
        assert!(request.send().await.is_err(), "{kind:?}");
    }
    assert_eq!(bench.ask(plain("x")).await.status(), 200);
}

#[tokio::test]
async fn the_persona_remembers_only_what_it_is_sent() {
    let bench = Bench::start().await;
    bench.script(json!({"settings": {"first_token_ms": 0, "per_chunk_ms": 0}})).await;
    let first = text_of(&bench.stream("こんにちは").await);
    let word = first.split_once('「').unwrap().1.split_once('」').unwrap().0.to_owned();
    let ask = |messages: Value| json!({"model": "m", "messages": messages});
    let user = |text: &str| json!({"role": "user", "content": text});
    let answer: Value = bench
        .ask(ask(json!([user("こんにちは"), {"role": "assistant", "content": first}, user("今の合言葉は？")])))
        .await
        .json()
        .await
        .unwrap();
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains(&word));
    let answer: Value = bench.ask(ask(json!([user("今の合言葉は？")]))).await.json().await.unwrap();
    assert!(!answer["choices"][0]["message"]["content"].as_str().unwrap().contains(&word));
}

#[tokio::test]
async fn the_ollama_stand_in_answers_its_probes_and_speaks_without_a_key() {
    let bench = Bench::start().await;
    let get = async |path: &str| -> Value {
        bench.client.get(bench.url(path)).send().await.unwrap().json().await.unwrap()
    };
    assert!(get("/model/ollama/api/version").await["version"].is_string());
    let tags = get("/model/ollama/api/tags").await;
    assert!(tags["models"][0]["name"].is_string());
    assert_eq!(get("/model/ollama/api/ps").await["models"][0]["name"], tags["models"][0]["name"]);
    let mut body = streamed("x");
    body["keep_alive"] = json!("10m");
    bench.script(json!({"reply": "fine"})).await;
    let url = bench.url("/model/ollama/v1/chat/completions");
    let response = bench.client.post(url).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("x-ratelimit-limit-requests"));
    assert_eq!(text_of(&response.text().await.unwrap()), "fine");
}

#[tokio::test]
async fn models_are_listed_and_wrong_addresses_are_told_so() {
    let bench = Bench::start().await;
    let get = |path: &str| bench.client.get(bench.url(path)).bearer_auth("k").send();
    let list: Value = get("/model/openai/v1/models").await.unwrap().json().await.unwrap();
    assert_eq!(list["object"], "list");
    let first = list["data"][0]["id"].as_str().unwrap().to_owned();
    let one = get(&format!("/model/openai/v1/models/{first}")).await.unwrap();
    assert_eq!(one.status(), 200);
    let wrong = get("/model/openai/v1/completions").await.unwrap();
    assert_eq!(wrong.status(), 404);
    assert_eq!(wrong.json::<Value>().await.unwrap()["error"]["code"], "unknown_url");
}

#[tokio::test]
async fn a_malformed_script_is_refused_with_a_reason() {
    let bench = Bench::start().await;
    let url = bench.url("/control/model/script");
    let response = bench.client.post(&url).json(&json!({"repy": "x"})).send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert!(answer["error"].as_str().unwrap().contains("repy"), "{answer}");
    bench.script(json!({"queue": [{"reply": "a"}], "rules": [{"match": "b", "reply": "c"}]})).await;
    let read: Value = bench.client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(read["queue"][0]["reply"], "a");
    bench.client.delete(&url).send().await.unwrap();
    let read: Value = bench.client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&read["queue"], &read["rules"]), (&json!([]), &json!([])));
}
