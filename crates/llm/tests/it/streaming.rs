//! Answers that arrive as they should, in all the dialect's accents.

use std::sync::Arc;
use std::time::Duration;

use llm::{CancellationToken, Client, Event, Provider, Stop, Timeouts, Wire};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::server::{
    CHUNKED, DONE, FaultServer, LAST_CHUNK, ORDINARY_TEXT, Outcome, Step, UNTIL_CLOSE, USAGE,
    finish_frame, http_chunk, ordinary, outcome, reply, request, text_frame, usage,
};

async fn streamed(body: &str) -> Outcome {
    let bytes = format!("{UNTIL_CLOSE}{body}").into_bytes();
    let server = FaultServer::playing(vec![Step::Send(bytes), Step::Fin]).await;
    outcome(&mut server.ask()).await
}

#[tokio::test]
async fn an_ordinary_answer_is_text_then_done_with_usage() {
    let outcome = streamed(&ordinary().concat()).await;
    assert_eq!(outcome.text, ORDINARY_TEXT);
    assert_eq!(outcome.end.unwrap(), (Stop::End, Some(usage())));
}

#[tokio::test]
async fn one_byte_a_packet_reads_the_same() {
    let mut bytes = CHUNKED.as_bytes().to_vec();
    bytes.extend(http_chunk(ordinary().concat().as_bytes()));
    bytes.extend_from_slice(LAST_CHUNK);
    let server = FaultServer::playing(vec![Step::Trickle(bytes)]).await;
    let outcome = outcome(&mut server.ask()).await;
    assert_eq!(outcome.text, ORDINARY_TEXT);
    assert_eq!(outcome.end.unwrap(), (Stop::End, Some(usage())));
}

#[tokio::test]
async fn carriage_returns_comments_and_a_mark_at_the_start_change_nothing() {
    let body = format!("\u{feff}: hello\n\n{}: ping\n\n", ordinary().concat());
    let outcome = streamed(&body.replace('\n', "\r\n")).await;
    assert_eq!(outcome.text, ORDINARY_TEXT);
    assert_eq!(outcome.end.unwrap(), (Stop::End, Some(usage())));
    assert!(outcome.pings >= 1);
}

#[tokio::test]
async fn either_mark_alone_ends_an_answer() {
    let text = text_frame("a");
    for (body, stop, used) in [
        (format!("{text}{}", finish_frame("stop")), Stop::End, None),
        (format!("{text}{DONE}"), Stop::Other("unspecified".into()), None),
        (format!("{text}data: [DONE]"), Stop::Other("unspecified".into()), None),
        (format!("{text}{}{USAGE}", finish_frame("length")), Stop::MaxTokens, Some(usage())),
        (format!("{text}{USAGE}{}{DONE}", finish_frame("stop")), Stop::End, Some(usage())),
        (format!("{text}{}data: {{\"cut", finish_frame("stop")), Stop::End, None),
        (format!("{text}{}data: nonsense\n\n{DONE}", finish_frame("stop")), Stop::End, None),
    ] {
        let outcome = streamed(&body).await;
        assert_eq!(outcome.text, "a", "{body}");
        assert_eq!(outcome.end.unwrap(), (stop, used), "{body}");
    }
}

#[tokio::test]
async fn every_reason_to_stop_is_told_apart() {
    for (reason, stop) in [
        ("stop", Stop::End),
        ("length", Stop::MaxTokens),
        ("tool_calls", Stop::ToolUse),
        ("function_call", Stop::ToolUse),
        ("something_new", Stop::Other("something_new".into())),
    ] {
        let outcome = streamed(&format!("{}{DONE}", finish_frame(reason))).await;
        assert_eq!(outcome.end.unwrap().0, stop);
    }
}

#[tokio::test]
async fn thinking_refusals_and_parts_are_read() {
    let frame = |delta: Value| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]}));
    let outcome = streamed(
        &[
            frame(json!({"reasoning_content": "hm", "reasoning": "hm"})),
            frame(json!({"reasoning": "…"})),
            frame(json!({"content": [{"type": "text", "text": "a"}, {"type": "thinking"}]})),
            frame(json!({"content": null, "refusal": "I would rather not."})),
            "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}\n\n".to_owned(),
            frame(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})),
            finish_frame("stop"),
            DONE.to_owned(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(outcome.reasoning, "hm…");
    assert_eq!(outcome.text, "aI would rather not.");
    assert_eq!(outcome.end.unwrap(), (Stop::Refusal, None));
}

#[tokio::test]
async fn a_server_that_ignores_streaming_is_understood() {
    let body = json!({
        "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "おはよう"},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    });
    let bytes = reply(200, &[("content-type", "application/json")], &body.to_string());
    let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
    let outcome = outcome(&mut server.ask()).await;
    assert_eq!(outcome.text, "おはよう");
    let (stop, used) = outcome.end.unwrap();
    assert_eq!((stop, used.unwrap().output_tokens), (Stop::End, 4));
}

#[tokio::test]
async fn the_request_is_what_the_dialect_wants() {
    let bytes = format!("{UNTIL_CLOSE}{DONE}").into_bytes();
    let server = FaultServer::playing(vec![Step::Send(bytes), Step::Fin]).await;
    let provider = server.provider().with_api_key(Some("k-123".to_owned().into()));
    let client =
        Client::new(Provider { base_url: format!("{}/v1/", provider.base_url), ..provider });
    let mut answer = client.unwrap().stream(&request(), &CancellationToken::new());
    outcome(&mut answer).await.end.unwrap();

    let seen = &server.requests()[0];
    assert!(seen.head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{}", seen.head);
    for line in ["authorization: bearer k-123", "content-type: application/json"] {
        assert!(seen.head.lines().any(|header| header == line), "{line} in {}", seen.head);
    }
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "m",
            "messages": [{"role": "system", "content": "be kind"},
                         {"role": "user", "content": "おはよう"}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 1024,
        })
    );
}

#[tokio::test]
async fn a_local_server_gets_no_key_and_only_openai_its_own_fields() {
    let bytes = format!("{UNTIL_CLOSE}{DONE}").into_bytes();
    let server = FaultServer::playing(vec![Step::Send(bytes), Step::Fin]).await;
    let provider = server.provider().with_api_key(Some("  ".to_owned().into()));
    let mut answer = crate::server::ask(provider);
    outcome(&mut answer).await.end.unwrap();
    assert!(!server.requests()[0].head.contains("authorization"));

    let Wire::OpenAi(local) = Provider::openai("l", "http://127.0.0.1:1").wire else { panic!() };
    let Wire::OpenAi(official) = Provider::openai("o", "https://API.openai.com/v1").wire else {
        panic!()
    };
    assert!(!local.max_completion_tokens && official.max_completion_tokens);
}

#[tokio::test]
async fn the_head_tells_of_limits_request_and_time_on_good_answers_too() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\
                x-request-id: req-9\r\nx-ratelimit-limit-tokens: 200\r\n\
                x-ratelimit-remaining-tokens: 15\r\nx-ratelimit-reset-tokens: 6m0s\r\n\r\n";
    let bytes = format!("{head}{}", ordinary().concat()).into_bytes();
    let server = FaultServer::playing(vec![Step::Send(bytes), Step::Fin]).await;
    let mut answer = server.ask();
    assert_eq!(answer.head(), None);
    outcome(&mut answer).await.end.unwrap();
    let head = answer.head().unwrap();
    assert_eq!((head.status, head.request_id.as_deref()), (200, Some("req-9")));
    assert!((head.limits.worst_used().unwrap() - 0.925).abs() < 1e-9);
    assert_eq!(answer.model(), Some("m-1"));
    assert_eq!(answer.usage(), Some(usage()));
    assert!(answer.first_text_after().unwrap() >= head.after);
    assert!(answer.elapsed() >= answer.first_text_after().unwrap());
}

#[tokio::test]
async fn text_is_given_on_before_the_next_piece_comes() {
    let gate = Arc::new(Semaphore::new(0));
    let server = FaultServer::playing(vec![
        Step::Send(format!("{UNTIL_CLOSE}{}", text_frame("first")).into_bytes()),
        Step::Wait(Arc::clone(&gate)),
        Step::Send(format!("{}{DONE}", finish_frame("stop")).into_bytes()),
        Step::Fin,
    ])
    .await;
    let mut answer = server.ask();
    assert_eq!(answer.next().await.unwrap().unwrap(), Event::Text("first".into()));
    gate.add_permits(1);
    assert_eq!(outcome(&mut answer).await.end.unwrap(), (Stop::End, None));
}

#[tokio::test]
async fn a_caller_that_does_not_stream_gets_the_whole() {
    let bytes = format!("{UNTIL_CLOSE}{}", ordinary().concat()).into_bytes();
    let server = FaultServer::playing(vec![Step::Send(bytes), Step::Fin]).await;
    let whole = server.ask().whole().await.unwrap();
    assert_eq!(
        (whole.text.as_str(), whole.stop, whole.usage),
        (ORDINARY_TEXT, Stop::End, Some(usage()))
    );
}

#[tokio::test]
async fn an_open_connection_after_the_last_word_costs_the_trailer_and_no_more() {
    let body = format!("{UNTIL_CLOSE}{}{}", text_frame("a"), finish_frame("stop"));
    let server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await;
    let provider = Provider {
        timeouts: Timeouts { trailer: Duration::from_millis(80), ..Timeouts::default() },
        ..server.provider()
    };
    let mut answer = crate::server::ask(provider);
    assert_eq!(outcome(&mut answer).await.end.unwrap(), (Stop::End, None));
    assert!(answer.elapsed() < Duration::from_secs(10));
}
