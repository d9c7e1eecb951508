//! A disk that takes no more: nothing is lost, health says what to do, and it goes on by itself.

use std::net::SocketAddr;
use std::process::Stdio;

use contracts::status::ShardState;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::house::worker::get;
use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_heals_by_itself() {
    let house = House::build().await;
    let (process, address) = limited(&house).await;
    let pid = Pid::from_raw(process.id().unwrap().cast_signed()).unwrap();
    house.ask(&Question::mention("while there is room")).await;

    // From here on no file of the worker may grow.
    limit(pid, Some(4096));
    let questions: Vec<Question> =
        (0..5).map(|number| Question::mention(&format!("no room {number}"))).collect();
    for question in &questions {
        house.discord.ask(question).await;
    }
    let failing = eventually(async || {
        house.discord.say_connected(ShardState::Connected).await;
        let (status, health) = get(address, "/health").await;
        (status == 503 && health["database"] == "disconnected").then_some(health)
    })
    .await;
    let health = failing.expect("health never told of the disk");
    let check = &health["checks"]["database"];
    assert!(check["remedy"].as_str().unwrap().contains("DATABASE_PATH"), "{check}");
    assert_eq!(get(address, "/health/live").await.0, 200);
    for question in &questions {
        assert!(house.discord.sent_for(question.id).is_empty());
    }

    limit(pid, None);
    for question in &questions {
        house.answer(question).await;
        assert_eq!(house.discord.finals(question.id).len(), 1);
    }
    let healthy = eventually(async || {
        house.discord.say_connected(ShardState::Connected).await;
        (get(address, "/health").await.0 == 200).then_some(())
    });
    assert!(healthy.await.is_some());
    drop(process);
}

fn limit(pid: Pid, bytes: Option<u64>) {
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// The worker without the signal that ends a process whose file may not grow, so that it meets an
/// error instead, as it does on a full disk.
async fn limited(house: &House) -> (tokio::process::Child, SocketAddr) {
    let ready = house.folder.path().join("ready");
    let process = tokio::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\""])
        .arg(env!("CARGO_BIN_EXE_conversation-worker"))
        .env_clear()
        .envs(house.settings.iter().map(|(key, value)| (*key, value.as_str())))
        .env("READY_FILE", &ready)
        .env("KOTONOHA_ON_FAULT", "exit")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let address = eventually(async || {
        std::fs::read_to_string(&ready).ok()?.trim().parse::<SocketAddr>().ok()
    });
    (process, address.await.expect("the worker never became ready"))
}
