//! How connections are kept, and where a key never goes.

use std::sync::Arc;
use std::time::Duration;

use llm::{CancellationToken, Client, ErrorKind, Provider, SetupError};
use tokio::sync::Semaphore;

use crate::server::{
    CHUNKED, FaultServer, LAST_CHUNK, PATIENCE, Step, http_chunk, ordinary, outcome, reply, request,
};

async fn repeatedly(steps: Vec<Step>, times: usize) -> FaultServer {
    let server = FaultServer::playing(steps).await;
    let client = Client::new(server.provider()).unwrap();
    for _ in 0..times {
        let mut answer = client.stream(&request(), &CancellationToken::new());
        outcome(&mut answer).await.end.unwrap();
        // What drains the rest runs beside the caller, as it does in a service.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    server
}

#[tokio::test]
async fn a_connection_serves_one_answer_after_the_other() {
    let mut bytes = CHUNKED.as_bytes().to_vec();
    for frame in ordinary() {
        bytes.extend(http_chunk(frame.as_bytes()));
    }
    bytes.extend_from_slice(LAST_CHUNK);
    let server = repeatedly(vec![Step::Send(bytes)], 5).await;
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn what_trails_the_end_mark_is_read_so_that_the_connection_is_kept() {
    let gate = Arc::new(Semaphore::new(0));
    let mut bytes = CHUNKED.as_bytes().to_vec();
    bytes.extend(http_chunk(ordinary().concat().as_bytes()));
    let server = FaultServer::playing(vec![
        Step::Send(bytes),
        Step::Wait(Arc::clone(&gate)),
        Step::Send(LAST_CHUNK.to_vec()),
    ])
    .await;
    let client = Client::new(server.provider()).unwrap();
    let kept = tokio::time::timeout(PATIENCE, async {
        // The next call may come before the last one's rest was read, but not every time.
        while server.requests().len() <= server.connections() {
            let mut answer = client.stream(&request(), &CancellationToken::new());
            outcome(&mut answer).await.end.unwrap();
            gate.add_permits(1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    kept.await.expect("no connection was ever used again");
}

#[tokio::test]
async fn a_refusal_does_not_cost_the_connection() {
    let server = FaultServer::playing(vec![Step::Send(reply(500, &[], "{}"))]).await;
    let client = Client::new(server.provider()).unwrap();
    for _ in 0..3 {
        let mut answer = client.stream(&request(), &CancellationToken::new());
        outcome(&mut answer).await.error();
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_key_carried_away() {
    let elsewhere = FaultServer::playing(vec![Step::Send(reply(200, &[], "{}"))]).await;
    let target = format!("http://{}/v1/chat/completions", elsewhere.address);
    for status in [301, 302, 307, 308] {
        let bytes = reply(status, &[("location", &target)], "");
        let server = FaultServer::playing(vec![Step::Send(bytes)]).await;
        let provider = server.provider().with_api_key(Some("geheim".to_owned().into()));
        let error = outcome(&mut crate::server::ask(provider)).await.error();
        assert_eq!(*error.kind(), ErrorKind::BadRequest);
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn one_failed_answer_is_one_request() {
    for steps in [vec![Step::Fin], vec![Step::Reset], vec![Step::Send(reply(503, &[], ""))]] {
        let server = FaultServer::playing(steps).await;
        outcome(&mut server.ask()).await.error();
        assert_eq!(server.requests().len(), 1, "retrying is the caller's business");
    }
}

#[test]
fn a_wrong_setup_is_refused_before_anything_is_sent() {
    let refused = |base: &str| Client::new(Provider::openai("p", base)).unwrap_err().to_string();
    for (base, words) in [
        ("", "cannot be read as a URL"),
        ("api.example.com/v1", "cannot be read as a URL"),
        ("ftp://h/v1", "neither http:// nor https://"),
        ("https://user:geheim@h/v1", "holds a user or password"),
    ] {
        let said = refused(base);
        assert!(said.contains(words) && said.contains("write it like"), "{said}");
        assert!(!said.contains("geheim"));
    }
    let provider = Provider::openai("p", "http://h").with_api_key(Some("a\nb".to_owned().into()));
    let error = Client::new(provider).unwrap_err();
    assert!(matches!(error, SetupError::ApiKey));
    assert!(!error.to_string().contains("a\nb"));
    let provider =
        Provider { extra_ca_pem: Some(b"x".to_vec()), ..Provider::openai("p", "https://h") };
    assert!(matches!(Client::new(provider).unwrap_err(), SetupError::ExtraCa(_)));
}
