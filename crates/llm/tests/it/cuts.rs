//! Answers that are cut off: at every byte, after every frame, cleanly and not.

use std::sync::Arc;

use llm::{ErrorKind, Event, Stop};
use tokio::sync::Semaphore;

use crate::server::{
    CHUNKED, FaultServer, LAST_CHUNK, ORDINARY_TEXT, Step, UNTIL_CLOSE, finish_frame, http_chunk,
    ordinary, outcome, usage,
};

/// The bytes after which the model has said why it stopped.
fn bytes_until_whole() -> usize {
    let frames = ordinary();
    let finish = frames.iter().position(|frame| *frame == finish_frame("stop")).unwrap();
    frames[..=finish].iter().map(String::len).sum()
}

#[tokio::test]
async fn a_clean_end_after_any_byte_is_truncated_unless_the_answer_was_whole() {
    let body = ordinary().concat().into_bytes();
    let whole_at = bytes_until_whole() - "\n\n".len();
    let steps = body.clone();
    let server = FaultServer::scripted(move |number| {
        let mut bytes = UNTIL_CLOSE.as_bytes().to_vec();
        bytes.extend_from_slice(&steps[..number]);
        vec![Step::Send(bytes), Step::Fin]
    })
    .await;
    for cut in 0..=body.len() {
        let outcome = outcome(&mut server.ask()).await;
        assert!(ORDINARY_TEXT.starts_with(&outcome.text), "cut {cut}: {}", outcome.text);
        if cut >= whole_at {
            assert_eq!(outcome.text, ORDINARY_TEXT);
            assert_eq!(outcome.end.unwrap().0, Stop::End, "cut {cut}");
        } else {
            let visible = outcome.text.len() as u64;
            let error = outcome.error();
            assert_eq!(*error.kind(), ErrorKind::Truncated, "cut {cut}: {error}");
            assert_eq!(error.visible_bytes(), visible);
            assert_eq!(error.status(), Some(200));
            assert!(error.may_retry_same() && error.counts_for_breaker());
        }
    }
    assert_eq!(server.requests().len(), body.len() + 1, "one request for each answer");
}

#[tokio::test]
async fn a_well_formed_http_end_after_any_frame_is_truncated_too() {
    let frames = ordinary();
    let steps = frames.clone();
    let server = FaultServer::scripted(move |number| {
        let mut bytes = CHUNKED.as_bytes().to_vec();
        for frame in &steps[..number] {
            bytes.extend(http_chunk(frame.as_bytes()));
        }
        bytes.extend_from_slice(LAST_CHUNK);
        vec![Step::Send(bytes)]
    })
    .await;
    let whole_at = frames.iter().position(|frame| *frame == finish_frame("stop")).unwrap() + 1;
    for cut in 0..=frames.len() {
        let outcome = outcome(&mut server.ask()).await;
        if cut >= whole_at {
            let (stop, used) = outcome.end.unwrap();
            assert_eq!((stop, used), (Stop::End, (cut > whole_at).then(usage)), "cut {cut}");
        } else {
            let error = outcome.error();
            assert_eq!(*error.kind(), ErrorKind::Truncated, "cut {cut}");
            assert_eq!(error.request_id(), Some("req-1"));
        }
    }
}

/// A comment after each frame tells the client side that the frame has been taken, so that the
/// break never swallows bytes the test counts on.
async fn broken_after(frames: usize, step: Step) -> (String, Option<llm::Error>) {
    let gate = Arc::new(Semaphore::new(0));
    let sent: Vec<String> =
        ordinary().into_iter().take(frames).map(|frame| frame + ": taken\n\n").collect();
    let sent = sent.concat();
    let mut bytes = CHUNKED.as_bytes().to_vec();
    if !sent.is_empty() {
        bytes.extend(http_chunk(sent.as_bytes()));
    }
    let steps = vec![Step::Send(bytes), Step::Wait(Arc::clone(&gate)), step];
    let server = FaultServer::playing(steps).await;
    let mut answer = server.ask();
    let mut text = String::new();
    // The role frame is a ping of its own.
    let pings = if frames == 0 { 0 } else { frames + 1 };
    let mut seen = 0;
    while seen < pings {
        match answer.next().await.unwrap().unwrap() {
            Event::Text(piece) => text.push_str(&piece),
            Event::Ping => seen += 1,
            // The end mark needs nothing after it.
            Event::Done { .. } => return (text, None),
            other => panic!("unexpected {other:?}"),
        }
    }
    gate.add_permits(1);
    let rest = outcome(&mut answer).await;
    text.push_str(&rest.text);
    (text, rest.end.err())
}

#[tokio::test]
async fn a_broken_connection_after_any_frame_is_a_transport_failure_unless_whole() {
    let frames = ordinary();
    let whole_at = frames.iter().position(|frame| *frame == finish_frame("stop")).unwrap() + 1;
    for (step, name) in [(Step::Reset, "reset"), (Step::Fin, "end inside HTTP chunks")] {
        for cut in 0..=frames.len() {
            let (text, error) = broken_after(cut, step.clone()).await;
            if cut >= whole_at {
                assert_eq!(text, ORDINARY_TEXT);
                assert!(error.is_none(), "{name} after {cut}: {error:?}");
            } else {
                let error = error.unwrap_or_else(|| panic!("{name} after {cut} went unnoticed"));
                assert_eq!(*error.kind(), ErrorKind::Transport, "{name} after {cut}: {error}");
                assert_eq!(error.visible_bytes(), text.len() as u64);
                assert!(error.may_retry_same() && error.counts_for_breaker());
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_headers_is_a_transport_failure() {
    for steps in [
        vec![Step::Fin],
        vec![Step::Reset],
        vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec()), Step::Fin],
        vec![Step::Send(b"not http at all\r\n\r\n".to_vec()), Step::Fin],
    ] {
        let server = FaultServer::playing(steps).await;
        let error = outcome(&mut server.ask()).await.error();
        assert_eq!(*error.kind(), ErrorKind::Transport, "{error}");
        assert_eq!(error.status(), None);
    }
}
