//! The worker is killed wherever it stands, and each question still has exactly one answer.

use std::time::Duration;

use contracts::id::Purpose;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_reply_it_completes_the_same_reply() {
    let house = House::build().await;
    let slow = json!({"match": "tell me", "times": 1, "reply": "a first try that is never finished",
                      "chunk_chars": 2, "per_chunk_ms": 200});
    let fast = json!({"match": "tell me", "reply": "the whole story"});
    house.model.script(json!({"rules": [slow, fast]})).await;
    let child = house.child().await;
    let question = Question::direct("tell me");
    house.discord.ask(&question).await;
    let opened = house.discord.command(question.id, Purpose::Open).await;
    let before = drafts_seen(&house, question.id).await;
    child.kill().await;

    let child = house.child().await;
    assert_eq!(house.answer(&question).await, "the whole story");
    let opens = house.discord.sent_for(question.id);
    let opens = opens.iter().filter(|sent| sent.command.id.purpose == Purpose::Open);
    assert!(opens.clone().all(|sent| sent.command == opened.command), "one reply is opened");
    // A draft of the second run is newer than any of the first, or it would be refused.
    let after = house.discord.drafts(question.id);
    assert!(after.iter().skip(before).all(|draft| draft.revision > after[before - 1].revision));

    let books = books(&house, question.id).await;
    assert_eq!(books[0], ("interrupted".to_owned(), true));
    assert_eq!(books[1].0, "completed");
    assert_eq!(books.len(), house.model.requests().await.len());
    child.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_word_it_asks_again_and_opens_one_reply() {
    let house = House::build().await;
    let thinking = json!({"match": "tell me", "times": 2, "reply": "-", "first_token_ms": 60_000});
    let fast = json!({"match": "tell me", "reply": "at last"});
    house.model.script(json!({"rules": [thinking, fast]})).await;
    let question = Question::mention("tell me");
    house.discord.ask(&question).await;
    for run in 1..=2 {
        let child = house.child().await;
        let asked = eventually(async || (house.model.requests().await.len() == run).then_some(()));
        assert!(asked.await.is_some());
        child.kill().await;
    }
    let child = house.child().await;
    assert_eq!(house.answer(&question).await, "at last");
    let mut ids: Vec<String> = house
        .discord
        .sent_for(question.id)
        .iter()
        .map(|sent| sent.command.id.to_string())
        .collect();
    ids.sort();
    ids.dedup();
    let expected = ["finish", "open", "thread"].map(|word| format!("{}.0.0.{word}", question.id));
    assert_eq!(ids, expected);
    let outcomes: Vec<String> =
        books(&house, question.id).await.into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(outcomes, ["interrupted", "interrupted", "completed"]);
    child.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_results_came_it_sends_the_same_commands_and_asks_no_model() {
    let house = House::build().await;
    let child = house.child().await;
    house.discord.answering(false);
    let question = Question::mention("一度だけ答えて");
    house.discord.ask(&question).await;
    let text = house.discord.finished(question.id).await;
    child.kill().await;
    let child = house.child().await;
    house.discord.answering(true);
    house.state(question.id, "done").await;
    let finals = house.discord.finals(question.id);
    assert_eq!(finals, [(format!("{}.0.0.finish", question.id), text)].into());
    assert_eq!(house.model.requests().await.len(), 1);
    child.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_answers_every_question_once() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let house = House::build().await;
    house.model.script(json!({"settings": {"first_token_ms": 20, "per_chunk_ms": 10}})).await;
    let mut questions = Vec::new();
    for round in 0..8 {
        let child = house.child().await;
        for _ in 0..random.random_range(1..4) {
            let text = format!("round {round}, please say something kind");
            let question = Question::mention(&text).by(random.random_range(1..5), "Aki");
            house.discord.ask(&question).await;
            if random.random_bool(0.3) {
                house.discord.ask_again(&question).await;
            }
            questions.push(question);
        }
        let pause = Duration::from_millis(random.random_range(0..250));
        tokio::time::sleep(pause).await;
        child.kill().await;
    }
    let child = house.child().await;
    for question in &questions {
        house.answer(question).await;
        let finals = house.discord.finals(question.id);
        assert_eq!(finals.len(), 1, "seed {seed}: {finals:?}");
    }
    // Every request that the model saw has its row. A row can be without a request: it is written
    // first, and we may die before the request leaves.
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts")
        .fetch_one(&house.database().await)
        .await
        .unwrap();
    let requests = i64::try_from(house.model.requests().await.len()).unwrap();
    assert!(rows >= requests, "seed {seed}: {rows} rows for {requests} requests");
    let notices = house.discord.sent();
    assert!(notices.iter().all(|sent| sent.command.id.purpose != Purpose::Notice), "seed {seed}");
    child.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_in_the_middle_of_a_reply_costs_no_answer() {
    let mut house = House::build().await;
    let slow = json!({"match": "hello", "reply": "slowly but surely", "chunk_chars": 2,
                      "per_chunk_ms": 100});
    house.model.script(slow).await;
    let worker = house.worker().await;
    let question = Question::direct("hello");
    house.discord.ask(&question).await;
    house.discord.command(question.id, Purpose::Open).await;
    house.nats.kill().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    house.nats.restart().await.unwrap();
    assert_eq!(house.answer(&question).await, "slowly but surely");
    assert_eq!(house.model.requests().await.len(), 1);
    worker.stop().await;
}

async fn drafts_seen(house: &House, turn: u64) -> usize {
    let count = eventually(async || {
        let drafts = house.discord.drafts(turn);
        (drafts.iter().filter(|draft| !draft.text.is_empty()).count() > 1).then_some(drafts.len())
    });
    count.await.expect("no drafts")
}

async fn books(house: &House, turn: u64) -> Vec<(String, bool)> {
    sqlx::query_as("SELECT outcome, estimated FROM attempts WHERE turn_id = ? ORDER BY attempt")
        .bind(turn.cast_signed())
        .fetch_all(&house.database().await)
        .await
        .unwrap()
}
