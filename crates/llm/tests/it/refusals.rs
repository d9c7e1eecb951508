//! Every way of saying no, and what each one allows.

use std::time::Duration;

use llm::{Error, ErrorKind, Fallback, Provider};

use crate::server::{
    DONE, FaultServer, Step, UNTIL_CLOSE, USAGE, ask, finish_frame, outcome, reply, text_frame,
    usage,
};

async fn refused_with(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
    let mut all = vec![("content-type", "application/json"), ("x-request-id", "req-7")];
    all.extend_from_slice(headers);
    let server = FaultServer::playing(vec![Step::Send(reply(status, &all, body))]).await;
    let outcome = outcome(&mut server.ask()).await;
    assert_eq!(outcome.text, "");
    let error = outcome.error();
    assert_eq!((error.status(), error.request_id()), (Some(status), Some("req-7")));
    assert_eq!(error.visible_bytes(), 0);
    error
}

async fn refused(status: u16, body: &str) -> Error {
    refused_with(status, &[], body).await
}

fn openai_error(message: &str, class: &str, code: &str) -> String {
    serde_json::json!({"error": {"message": message, "type": class, "param": null, "code": code}})
        .to_string()
}

#[tokio::test]
async fn every_status_has_its_class_and_the_class_its_consequences() {
    use ErrorKind as K;
    let cases = [
        (400, K::BadRequest, false, Fallback::Never, false),
        (401, K::Auth, false, Fallback::Next, false),
        (402, K::QuotaExhausted, false, Fallback::Next, false),
        (403, K::Auth, false, Fallback::Next, false),
        (404, K::BadRequest, false, Fallback::Never, false),
        (408, K::Server, true, Fallback::Next, true),
        (409, K::Server, true, Fallback::Next, true),
        (422, K::BadRequest, false, Fallback::Never, false),
        (429, K::RateLimited, true, Fallback::Next, false),
        (500, K::Server, true, Fallback::Next, true),
        (502, K::Server, true, Fallback::Next, true),
        (503, K::Overloaded, true, Fallback::Next, true),
        (504, K::Server, true, Fallback::Next, true),
        (529, K::Overloaded, true, Fallback::Next, true),
        (418, K::BadRequest, false, Fallback::Never, false),
    ];
    for (status, kind, retry, fallback, breaker) in cases {
        for body in ["", "{}", "null", "oops", "{\"error\":null}", "{\"error\":\"busy\"}"] {
            let error = refused(status, body).await;
            assert_eq!(*error.kind(), kind, "{status} {body}");
            assert_eq!(error.may_retry_same(), retry, "{status}");
            assert_eq!(error.fallback(), fallback, "{status}");
            assert_eq!(error.counts_for_breaker(), breaker, "{status}");
        }
    }
}

#[tokio::test]
async fn the_words_of_a_refusal_tell_more_than_its_status() {
    use ErrorKind as K;
    let blocked = |reason: &str| K::Blocked { reason: reason.into() };
    for (status, class, code, kind) in [
        (429, "insufficient_quota", "insufficient_quota", K::QuotaExhausted),
        (429, "requests", "rate_limit_exceeded", K::RateLimited),
        (400, "invalid_request_error", "billing_hard_limit_reached", K::QuotaExhausted),
        (
            400,
            "invalid_request_error",
            "content_policy_violation",
            blocked("content_policy_violation"),
        ),
        (400, "", "content_filter", blocked("content_filter")),
        (400, "invalid_request_error", "invalid_api_key", K::Auth),
        (404, "invalid_request_error", "model_not_found", K::BadRequest),
    ] {
        let error = refused(status, &openai_error("no", class, code)).await;
        assert_eq!(*error.kind(), kind, "{status} {class} {code}");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_known_in_every_dialect_with_its_numbers() {
    for (status, body, have, max) in [
        (
            400,
            openai_error(
                "This model's maximum context length is 8192 tokens. However, your messages \
                 resulted in 9001 tokens. Please reduce the length of the messages.",
                "invalid_request_error",
                "context_length_exceeded",
            ),
            Some(9001),
            Some(8192),
        ),
        (
            400,
            "{\"error\":{\"code\":400,\"message\":\"request (6031 tokens) exceeds the available \
             context size (2048 tokens), try increasing it\",\"type\":\
             \"exceed_context_size_error\",\"n_prompt_tokens\":6031,\"n_ctx\":2048}}"
                .to_owned(),
            Some(6031),
            Some(2048),
        ),
        (
            400,
            "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4,096 \
             tokens. However, you requested 5,000 tokens (4000 in the messages, 1000 in the \
             completion).\",\"type\":\"BadRequestError\",\"code\":400}"
                .to_owned(),
            Some(5000),
            Some(4096),
        ),
        (400, "{\"error\":\"the input length exceeds the context length\"}".to_owned(), None, None),
        (413, "{\"error\":{\"message\":\"Request too large\"}}".to_owned(), None, None),
    ] {
        let error = refused(status, &body).await;
        assert_eq!(*error.kind(), ErrorKind::ContextTooLong { have, max }, "{body}");
        assert!(!error.may_retry_same() && error.may_retry_trimmed());
        assert!(!error.counts_for_breaker());
        assert_eq!(error.fallback(), Fallback::LargerWindow);
    }
    let error = refused(500, "{\"error\":\"maximum context length is wrong here\"}").await;
    assert_eq!(*error.kind(), ErrorKind::Server, "a server in trouble is not our length");
}

#[tokio::test]
async fn the_wait_and_the_verdict_of_the_provider_are_kept() {
    let waits = |headers: &'static [(&str, &str)]| async move {
        let error = refused_with(429, headers, "{}").await;
        (error.retry_after(), error.may_retry_same())
    };
    let millis = Duration::from_millis;
    assert_eq!(waits(&[("retry-after", "7")]).await, (Some(millis(7000)), true));
    assert_eq!(waits(&[("retry-after", "0.25")]).await, (Some(millis(250)), true));
    assert_eq!(
        waits(&[("retry-after", "9"), ("retry-after-ms", "120")]).await,
        (Some(millis(120)), true)
    );
    assert_eq!(waits(&[]).await, (None, true));
    assert_eq!(waits(&[("x-should-retry", "false")]).await, (None, false));
    let (wait, _) = waits(&[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")]).await;
    assert_eq!(wait, Some(Duration::from_hours(24 * 31)), "believed up to a month");

    let error = refused_with(400, &[("x-should-retry", "true")], "{}").await;
    assert!(error.may_retry_same());
}

#[tokio::test]
async fn limits_are_read_from_refusals_too() {
    let headers = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1s"),
    ];
    let error = refused_with(429, &headers, "{}").await;
    assert_eq!(error.limits().worst_used(), Some(1.0));
    assert_eq!(error.limits().get("requests").unwrap().reset, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_classed_and_keeps_what_was_billed() {
    use ErrorKind as K;
    for (frame, kind) in [
        (
            "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"code\":null}}\n\n",
            K::Server,
        ),
        ("data: {\"error\":{\"message\":\"x\",\"code\":429}}\n\n", K::RateLimited),
        ("data: {\"error\":{\"message\":\"x\",\"code\":\"503\"}}\n\n", K::Overloaded),
        ("data: {\"error\":{\"message\":\"x\",\"type\":\"overloaded_error\"}}\n\n", K::Overloaded),
        (
            "data: {\"error\":{\"message\":\"x\",\"type\":\"rate_limit_exceeded\"}}\n\n",
            K::RateLimited,
        ),
        ("data: {\"error\":{\"type\":\"insufficient_quota\"}}\n\n", K::QuotaExhausted),
        ("data: {\"error\":{\"type\":\"invalid_request_error\"}}\n\n", K::BadRequest),
        ("data: {\"error\":\"it broke\"}\n\n", K::Server),
        ("event: error\ndata: {\"message\":\"x\",\"type\":\"server_error\"}\n\n", K::Server),
        ("event: error\ndata: it broke\n\n", K::Server),
        ("{\"error\":{\"message\":\"x\",\"code\":503}}\n\n", K::Overloaded),
        ("{\"error\":\"it broke\"}", K::Server),
        (
            "data: {\"error\":{\"code\":502,\"message\":\"x\"},\"choices\":[{\"delta\":\
             {\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
            K::Server,
        ),
        (
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
            K::Server,
        ),
        ("data: {\"choices\": 7}\n\n", K::Server),
        ("data: nonsense\n\n", K::Server),
    ] {
        let body = format!("{UNTIL_CLOSE}{}{USAGE}{frame}", text_frame("a"));
        let server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Fin]).await;
        let outcome = outcome(&mut server.ask()).await;
        assert_eq!(outcome.text, "a", "{frame}");
        let error = outcome.error();
        assert_eq!(*error.kind(), kind, "{frame}: {error}");
        assert_eq!(error.status(), Some(200));
        assert_eq!(error.partial_usage(), Some(usage()));
        assert_eq!(error.visible_bytes(), 1);
    }
}

#[tokio::test]
async fn an_error_after_the_last_word_does_not_undo_the_answer() {
    for frame in ["data: {\"error\":\"late\"}\n\n", "event: error\ndata: x\n\n", "{\"error\":1}\n"]
    {
        let body = format!("{UNTIL_CLOSE}{}{}{frame}{DONE}", text_frame("a"), finish_frame("stop"));
        let server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Fin]).await;
        outcome(&mut server.ask()).await.end.unwrap();
    }
}

#[tokio::test]
async fn a_filtered_answer_is_blocked_and_billed() {
    let body =
        format!("{UNTIL_CLOSE}{}{}{USAGE}{DONE}", text_frame("a"), finish_frame("content_filter"));
    let server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Fin]).await;
    let error = outcome(&mut server.ask()).await.error();
    assert_eq!(*error.kind(), ErrorKind::Blocked { reason: "content_filter".into() });
    assert_eq!(error.partial_usage(), Some(usage()));
    assert_eq!(error.fallback(), Fallback::IfConfigured);
    assert!(!error.may_retry_same() && !error.counts_for_breaker());
}

#[tokio::test]
async fn an_error_document_with_status_200_is_no_answer() {
    let body = "{\n  \"error\": {\n    \"message\": \"no room\",\n    \"code\": 503\n  }\n}";
    let bytes = reply(200, &[("content-type", "application/json")], body);
    let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
    let error = outcome(&mut server.ask()).await.error();
    assert_eq!(*error.kind(), ErrorKind::Overloaded);

    for (body, kind) in [
        ("", ErrorKind::Truncated),
        ("{\"choices\":[{", ErrorKind::Truncated),
        ("x", ErrorKind::Server),
    ] {
        let bytes = reply(200, &[("content-type", "application/json")], body);
        let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
        assert_eq!(*outcome(&mut server.ask()).await.error().kind(), kind, "{body}");
    }
}

#[tokio::test]
async fn a_web_page_is_a_wrong_address_not_an_answer() {
    let page = "<!doctype html><p>Welcome</p>";
    for status in [200, 404] {
        let bytes = reply(status, &[("content-type", "text/html; charset=utf-8")], page);
        let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
        let error = outcome(&mut server.ask()).await.error();
        assert_eq!(*error.kind(), ErrorKind::BadRequest);
        assert!(error.to_string().contains("web page"), "{error}");
        assert!(!error.to_string().contains("Welcome"));
    }
}

#[tokio::test]
async fn no_refusal_shows_a_key_or_grows_without_bound() {
    let key = "Zm9vYmFyLWtleQ-geheim";
    let said = format!(
        "Incorrect API key provided: {key}. Bearer {key}\nsk-proj-AAAA*******BBBB {}",
        "and so on ".repeat(10_000)
    );
    let bytes = reply(401, &[], &openai_error(&said, "invalid_request_error", "invalid_api_key"));
    let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
    let provider = server.provider().with_api_key(Some(key.to_owned().into()));
    let error = outcome(&mut ask(provider)).await.error();
    assert_eq!(*error.kind(), ErrorKind::Auth);
    assert!(error.needs_operator());
    for shown in [error.to_string(), format!("{error:?}"), error.message().to_owned()] {
        assert!(!shown.contains(key) && !shown.contains("BBBB"), "{shown}");
        assert!(shown.len() < 1_000, "{}", shown.len());
    }
    assert!(error.message().contains("Incorrect API key provided"), "{error}");
}

#[tokio::test]
async fn a_filters_own_words_are_not_shown() {
    let error = refused(400, &openai_error("your words: 秘密", "", "content_filter")).await;
    assert!(!error.to_string().contains("秘密"));
}

#[tokio::test]
async fn a_key_is_in_no_debug_output() {
    let provider = Provider::openai("p", "http://127.0.0.1:1")
        .with_api_key(Some("geheim-123".to_owned().into()));
    let shown = format!("{provider:?}");
    let client = llm::Client::new(provider).unwrap();
    let answer = client.stream(&crate::server::request(), &llm::CancellationToken::new());
    for shown in [shown, format!("{client:?}"), format!("{answer:?}")] {
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
