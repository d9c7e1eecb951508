//! Both sides of the socket, talking to each other.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::heartbeats::Heartbeats;
use crate::record::RecordFile;
use crate::runner::{Done, Journal, Runner};
use crate::schedule::Schedule;

struct House {
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl House {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(RecordFile::open(folder.path(), Timestamp::now()).unwrap());
        let schedule = Schedule { patterns: Vec::new(), zone: TimeZone::UTC };
        let (runner, counter) = Runner::new(
            schedule,
            journal,
            Heartbeats::new().0,
            Arc::new(|job, _stop, say| {
                say("one");
                say("two");
                if job == Job::Audit {
                    bail!("page 7 differs");
                }
                Ok(Done { lines: vec!["copied".to_owned()], report: 7.into() })
            }),
            Duration::from_millis(5),
        );
        let house = Self { folder, stop: CancellationToken::new() };
        tokio::spawn(runner.run(house.stop.clone()));
        let socket = Socket::open(&house.socket()).await.unwrap();
        tokio::spawn(socket.serve(counter, house.stop.clone()));
        house
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    async fn call(&self, order: Order) -> (Vec<String>, Result<Done, CallError>) {
        let socket = self.socket();
        let calling = tokio::task::spawn_blocking(move || {
            let mut heard = Vec::new();
            let ended = call(&socket, order, |text| heard.push(text.to_owned()));
            (heard, ended)
        });
        calling.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_done_and_its_progress_heard() {
    let house = House::open().await;
    let (heard, ended) = house.call(Order::Do(Job::Full)).await;
    assert_eq!(heard, ["one", "two"]);
    assert_eq!(ended.unwrap(), Done { lines: vec!["copied".to_owned()], report: 7.into() });
    let (_, ended) = house.call(Order::Do(Job::Audit)).await;
    assert_eq!(ended.unwrap_err().to_string(), "page 7 differs");
    house.stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_agent_is_the_command_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let error = call(&socket, Order::Do(Job::Full), |_text| {}).unwrap_err();
    assert!(error.to_string().contains("docker compose up -d backup-agent"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_is_refused_and_what_a_dead_one_left_is_taken_over() {
    let house = House::open().await;
    assert!(matches!(Socket::open(&house.socket()).await, Err(ServeError::Taken(_))));
    house.stop.cancel();
    let left = house.folder.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    assert!(left.exists());
    assert!(Socket::open(&left).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_order_is_answered_and_harms_nobody() {
    let house = House::open().await;
    for wrong in ["{}\n", "\n", "\u{0}\u{0}\n", "{\"do\":\"everything\"}\n"] {
        let mut stream = std::os::unix::net::UnixStream::connect(house.socket()).unwrap();
        stream.write_all(wrong.as_bytes()).unwrap();
        let answer = tokio::task::spawn_blocking(move || std::io::read_to_string(stream));
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.contains("not understood"), "{wrong:?}: {answer}");
    }
    assert!(house.call(Order::Do(Job::Full)).await.1.is_ok());
    house.stop.cancel();
}
