//! Calls that are given up: the provider must notice, or it goes on generating and billing.

use std::time::Duration;

use llm::{CancellationToken, Client, ErrorKind, Event};

use crate::server::{FaultServer, Step, UNTIL_CLOSE, USAGE, outcome, request, text_frame, usage};

async fn talking() -> FaultServer {
    let body = format!("{UNTIL_CLOSE}{}{USAGE}", text_frame("a"));
    FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await
}

#[tokio::test]
async fn a_token_ends_a_running_answer_at_once_and_the_server_sees_it() {
    let mut server = talking().await;
    let cancel = CancellationToken::new();
    let client = Client::new(server.provider()).unwrap();
    let mut answer = client.stream(&request(), &cancel);
    assert_eq!(answer.next().await.unwrap().unwrap(), Event::Text("a".into()));
    while answer.usage().is_none() {
        answer.next().await.unwrap().unwrap();
    }
    let later = cancel.clone();
    let at = tokio::time::Instant::now();
    tokio::spawn(async move { later.cancel() });
    let error = outcome(&mut answer).await.error();
    assert!(at.elapsed() < Duration::from_secs(5));
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    assert_eq!(error.partial_usage(), Some(usage()), "cancelled tokens are billed");
    assert_eq!(error.visible_bytes(), 1);
    assert!(!error.may_retry_same() && !error.counts_for_breaker());
    server.hung_up(1).await;
}

#[tokio::test]
async fn a_token_ends_a_call_that_waits_for_headers() {
    let mut server = FaultServer::playing(vec![Step::Hang]).await;
    let cancel = CancellationToken::new();
    let client = Client::new(server.provider()).unwrap();
    let mut answer = client.stream(&request(), &cancel);
    let (error, ()) = tokio::join!(async { outcome(&mut answer).await.error() }, async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
    server.hung_up(1).await;
}

#[tokio::test]
async fn dropping_an_answer_hangs_up() {
    let mut server = talking().await;
    let mut answer = server.ask();
    assert_eq!(answer.next().await.unwrap().unwrap(), Event::Text("a".into()));
    drop(answer);
    server.hung_up(1).await;
}

#[tokio::test]
async fn dropping_a_call_that_waits_for_headers_hangs_up() {
    let mut server = FaultServer::playing(vec![Step::Hang]).await;
    let mut answer = server.ask();
    tokio::select! {
        event = answer.next() => panic!("unexpected {event:?}"),
        () = async { while server.requests().is_empty() { tokio::task::yield_now().await } } => {}
    }
    drop(answer);
    server.hung_up(1).await;
}

#[tokio::test]
async fn a_call_cancelled_before_it_began_sends_nothing() {
    let server = talking().await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let mut answer = Client::new(server.provider()).unwrap().stream(&request(), &cancel);
    assert_eq!(*outcome(&mut answer).await.error().kind(), ErrorKind::Cancelled);
    assert_eq!(server.connections(), 0);
}
