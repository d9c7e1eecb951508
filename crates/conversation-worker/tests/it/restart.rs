//! What was said before a restart is known after it.

use contracts::id::Purpose;
use serde_json::json;

use crate::house::model::messages;
use crate::house::{House, Question};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_a_follow_up_holds_the_first_turn_in_order_with_names() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::mention("合言葉は何がいい?");
    let answer = house.ask(&first).await;
    worker.stop().await;

    let child = house.child().await;
    let second = Question::in_thread_of(&first, "覚えてる?").by(8, "Ren");
    house.ask(&second).await;
    let said = messages(&house.model.asked("覚えてる?").await);
    let expected = [
        ("user".to_owned(), "⟦Aki⟧\n合言葉は何がいい?".to_owned()),
        ("assistant".to_owned(), answer),
        ("user".to_owned(), "⟦Ren⟧\n覚えてる?".to_owned()),
    ];
    assert_eq!(said[1..], expected);
    assert_eq!(house.discord.finals(first.id).len(), 1);
    child.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_runs_and_says_nothing_about_it() {
    let house = House::build().await;
    let slow = json!({"match": "hello", "reply": "I am nearly there", "chunk_chars": 3,
                      "per_chunk_ms": 100});
    house.model.script(slow).await;
    let worker = house.worker().await;
    let question = Question::direct("hello");
    house.discord.ask(&question).await;
    house.discord.command(question.id, Purpose::Open).await;
    worker.stop().await;
    assert_eq!(house.discord.finished(question.id).await, "I am nearly there");
    let notices = house.discord.sent();
    assert!(notices.iter().all(|sent| sent.command.id.purpose != Purpose::Notice));
    // What came while nobody was there is answered as soon as somebody is.
    let later = Question::direct("are you there again?");
    house.discord.ask(&later).await;
    let worker = house.worker().await;
    house.answer(&later).await;
    house.state(question.id, "done").await;
    assert_eq!(house.model.requests().await.len(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_outlives_the_grace_period_is_taken_up_by_the_next_start() {
    let mut house = House::build().await;
    house.set("SHUTDOWN_GRACE_SECONDS", "2.2");
    let rules = json!({"rules": [
        {"match": "hello", "times": 1, "reply": "never said", "first_token_ms": 60_000},
        {"match": "hello", "reply": "said at last"},
    ]});
    house.model.script(rules).await;
    let worker = house.worker().await;
    let question = Question::direct("hello");
    house.discord.ask(&question).await;
    house.model.asked("hello").await;
    worker.stop().await;
    assert!(house.discord.sent_for(question.id).is_empty());
    let worker = house.worker().await;
    assert_eq!(house.answer(&question).await, "said at last");
    worker.stop().await;
}
