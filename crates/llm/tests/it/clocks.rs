//! Every clock and every cap, each running out by itself.

use std::sync::Arc;
use std::time::Duration;

use llm::{
    CancellationToken, Caps, Client, ErrorKind, Event, Phase, Provider, Request, Stop, Timeouts,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::server::{
    DONE, FaultServer, PATIENCE, Step, UNTIL_CLOSE, USAGE, ask, finish_frame, ordinary, outcome,
    request, text_frame, usage,
};

const SHORT: Duration = Duration::from_millis(100);

/// Every clock is long except those that `change` shortens.
fn with_timeouts(server: &FaultServer, change: impl FnOnce(&mut Timeouts)) -> Provider {
    let mut timeouts = Timeouts { connect: PATIENCE, ..Timeouts::default() };
    change(&mut timeouts);
    Provider { timeouts, ..server.provider() }
}

#[tokio::test]
async fn no_handshake_in_time_is_a_connect_timeout() {
    // Accepts (in the kernel's backlog) and never speaks TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut provider = Provider::openai("mute", format!("https://{address}/v1"));
    provider.timeouts.connect = SHORT;
    let error = outcome(&mut ask(provider)).await.error();
    assert_eq!(*error.kind(), ErrorKind::Timeout { phase: Phase::Connect }, "{error}");
    assert!(error.may_retry_same() && error.counts_for_breaker());
}

#[tokio::test]
async fn nobody_listening_is_a_transport_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error =
        outcome(&mut ask(Provider::openai("gone", format!("http://{address}")))).await.error();
    assert_eq!(*error.kind(), ErrorKind::Transport, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn no_headers_in_time_is_a_header_timeout_and_hangs_up() {
    let mut server = FaultServer::playing(vec![Step::Hang]).await;
    let mut answer = ask(with_timeouts(&server, |timeouts| timeouts.headers = SHORT));
    let error = outcome(&mut answer).await.error();
    assert_eq!(*error.kind(), ErrorKind::Timeout { phase: Phase::Headers });
    server.hung_up(1).await;
}

#[tokio::test]
async fn silence_within_an_answer_is_an_idle_timeout_and_hangs_up() {
    let body = format!("{UNTIL_CLOSE}{}{USAGE}", text_frame("a"));
    let mut server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await;
    let mut answer = ask(with_timeouts(&server, |timeouts| timeouts.idle = SHORT));
    let outcome = outcome(&mut answer).await;
    assert_eq!(outcome.text, "a");
    let error = outcome.error();
    assert_eq!(*error.kind(), ErrorKind::Timeout { phase: Phase::Idle });
    assert_eq!(error.partial_usage(), Some(usage()));
    server.hung_up(1).await;
}

#[tokio::test]
async fn a_slow_caller_is_not_taken_for_a_silent_provider() {
    let gate = Arc::new(Semaphore::new(0));
    let rest = format!("{}{DONE}", finish_frame("stop"));
    let server = FaultServer::playing(vec![
        Step::Send(format!("{UNTIL_CLOSE}{}", text_frame("a")).into_bytes()),
        Step::Wait(Arc::clone(&gate)),
        Step::Send(rest.into_bytes()),
        Step::Fin,
    ])
    .await;
    let idle = Duration::from_secs(1);
    let mut answer = ask(with_timeouts(&server, |timeouts| timeouts.idle = idle));
    assert_eq!(answer.next().await.unwrap().unwrap(), Event::Text("a".into()));
    gate.add_permits(1);
    // The rest comes while nobody looks, and the idle time passes.
    tokio::time::sleep(idle + SHORT).await;
    assert_eq!(outcome(&mut answer).await.end.unwrap(), (Stop::End, None));
}

#[tokio::test]
async fn the_whole_has_a_deadline_that_signs_of_life_do_not_move() {
    let mut server = FaultServer::scripted(|_| {
        let mut steps = vec![Step::Send(UNTIL_CLOSE.as_bytes().to_vec())];
        steps.push(Step::Trickle(": alive\n\n".repeat(20_000).into_bytes()));
        steps.push(Step::Hang);
        steps
    })
    .await;
    let request = Request { deadline: Some(SHORT * 3), ..request() };
    let client = Client::new(with_timeouts(&server, |_| {})).unwrap();
    let mut answer = client.stream(&request, &CancellationToken::new());
    let outcome = outcome(&mut answer).await;
    assert!(outcome.pings > 0);
    let error = outcome.error();
    assert_eq!(*error.kind(), ErrorKind::Timeout { phase: Phase::Total });
    assert!(!error.may_retry_same(), "the caller's patience is used up");
    server.hung_up(1).await;
}

#[tokio::test]
async fn signs_of_life_keep_a_slow_answer_alive() {
    let body = format!("{}{}{DONE}", ": thinking\n\n".repeat(2_000), finish_frame("stop"));
    let steps = vec![Step::Send(UNTIL_CLOSE.into()), Step::Trickle(body.into_bytes()), Step::Fin];
    let server = FaultServer::playing(steps).await;
    let mut answer = ask(with_timeouts(&server, |timeouts| timeouts.idle = Duration::from_secs(5)));
    assert_eq!(outcome(&mut answer).await.end.unwrap(), (Stop::End, None));
}

#[tokio::test]
async fn a_deadline_after_the_last_word_does_not_undo_the_answer() {
    let body = format!("{UNTIL_CLOSE}{}{}", text_frame("a"), finish_frame("stop"));
    let server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await;
    let provider = with_timeouts(&server, |timeouts| timeouts.total = SHORT * 3);
    assert_eq!(outcome(&mut ask(provider)).await.end.unwrap(), (Stop::End, None));
}

#[tokio::test]
async fn a_line_without_end_is_cut_at_the_cap() {
    let body = format!("{UNTIL_CLOSE}{}data: {}", text_frame("a"), "x".repeat(5_000));
    let mut server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await;
    let provider = Provider {
        caps: Caps { line_bytes: 4_096, ..Caps::default() },
        ..with_timeouts(&server, |_| {})
    };
    let outcome = outcome(&mut ask(provider)).await;
    assert_eq!(outcome.text, "a");
    let error = outcome.error();
    assert_eq!(*error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("longer than 4096 bytes"), "{error}");
    server.hung_up(1).await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_cap() {
    let mut server = FaultServer::scripted(|_| {
        let body = text_frame("word ").repeat(10_000);
        vec![Step::Send(UNTIL_CLOSE.into()), Step::Send(body.into_bytes()), Step::Hang]
    })
    .await;
    let provider = Provider {
        caps: Caps { answer_bytes: 100_000, ..Caps::default() },
        ..with_timeouts(&server, |_| {})
    };
    let mut answer = ask(provider);
    let outcome = outcome(&mut answer).await;
    assert!(!outcome.text.is_empty() && outcome.text.len() < 100_000);
    let error = outcome.error();
    assert_eq!(*error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("100000"), "{error}");
    server.hung_up(1).await;
}

#[tokio::test]
async fn a_document_without_end_is_cut_at_the_cap() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    let body = format!("{head}{{\"x\":\"{}", "x".repeat(50_000));
    let mut server = FaultServer::playing(vec![Step::Send(body.into_bytes()), Step::Hang]).await;
    let provider = Provider {
        caps: Caps { answer_bytes: 10_000, ..Caps::default() },
        ..with_timeouts(&server, |_| {})
    };
    let error = outcome(&mut ask(provider)).await.error();
    assert_eq!(*error.kind(), ErrorKind::Server);
    server.hung_up(1).await;
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_still_a_refusal() {
    let head = "HTTP/1.1 429 X\r\ncontent-length: 1000\r\nretry-after: 3\r\n\r\n{\"error\":";
    let server = FaultServer::playing(vec![Step::Send(head.into()), Step::Hang]).await;
    let mut answer = ask(with_timeouts(&server, |timeouts| timeouts.idle = SHORT));
    let error = outcome(&mut answer).await.error();
    assert_eq!(*error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_look_that_is_given_up_loses_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let frames = ordinary();
    let mut steps = vec![Step::Send(UNTIL_CLOSE.into())];
    for frame in &frames {
        steps.push(Step::Wait(Arc::clone(&gate)));
        steps.push(Step::Send(frame.clone().into_bytes()));
    }
    steps.push(Step::Fin);
    let server = FaultServer::playing(steps).await;
    let mut answer = server.ask();
    let mut text = String::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(5), answer.next()).await {
            Err(_) => gate.add_permits(1),
            Ok(Some(Ok(Event::Text(piece)))) => text.push_str(&piece),
            Ok(Some(Ok(Event::Done { usage: used, .. }))) => break assert_eq!(used, Some(usage())),
            Ok(Some(Ok(_))) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(text, crate::server::ORDINARY_TEXT);
}
