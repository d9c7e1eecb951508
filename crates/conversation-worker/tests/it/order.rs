//! Order within a conversation, none across them; bursts; and everything once.

use std::time::{Duration, Instant};

use contracts::id::Purpose;
use serde_json::json;

use crate::house::model::{last_text, messages};
use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_model_in_one_channel_does_not_delay_another() {
    let house = House::build().await;
    house.model.script(json!({"match": "slow", "reply": "zzz", "first_token_ms": 20_000})).await;
    let worker = house.worker().await;
    house.discord.ask(&Question::mention("slow").at(1000, 2000)).await;
    house.model.asked("slow").await;
    let started = Instant::now();
    for channel in 2001..2006 {
        house.ask(&Question::mention("quick").at(1000, channel)).await;
    }
    // The same person in the same channel, but in a thread of its own.
    house.ask(&Question::mention("quick too").at(1000, 2000)).await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_answered_in_order_and_a_burst_at_once() {
    let house = House::build().await;
    house
        .model
        .script(json!({"match": "one", "times": 1, "reply": "first", "first_token_ms": 400}))
        .await;
    let worker = house.worker().await;
    let one = Question::direct("one");
    house.discord.ask(&one).await;
    house.model.asked("one").await;
    // These come while the first is being answered: one turn covers them.
    let two = Question::direct("two");
    let three = Question::direct("three").by(8, "Ren");
    let four = Question::direct("four");
    for question in [&two, &three, &four] {
        house.discord.ask(question).await;
    }
    assert_eq!(house.answer(&one).await, "first");
    house.answer(&two).await;
    let request = house.model.asked("four").await;
    assert_eq!(last_text(&request), "⟦Aki⟧\ntwo\n\n⟦Ren⟧\nthree\n\n⟦Aki⟧\nfour");
    assert!(house.discord.sent_for(three.id).is_empty());
    assert!(house.discord.sent_for(four.id).is_empty());
    let covered: Vec<i64> = sqlx::query_scalar(
        "SELECT message_id FROM turn_messages WHERE turn_id = ? ORDER BY position",
    )
    .bind(two.id.cast_signed())
    .fetch_all(&house.database().await)
    .await
    .unwrap();
    assert_eq!(covered, [two.id, three.id, four.id].map(u64::cast_signed));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_turn_waits_until_discord_has_the_last_one() {
    let house = House::build().await;
    let worker = house.worker().await;
    house.discord.answering(false);
    let first = Question::direct("first");
    house.discord.ask(&first).await;
    house.discord.finished(first.id).await;
    let second = Question::direct("second");
    house.discord.ask(&second).await;
    let elsewhere = Question::mention("elsewhere");
    house.discord.ask(&elsewhere).await;
    // Another conversation goes on, which shows that this one would have had the time.
    house.discord.finished(elsewhere.id).await;
    assert_eq!(house.discord.sent_for(second.id).len(), 0);
    assert_eq!(house.model.requests().await.len(), 2);
    house.discord.answering(true);
    house.answer(&second).await;
    let said = messages(&house.model.asked("second").await);
    assert_eq!(said[1].1, "⟦Aki⟧\nfirst");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_twice_is_answered_once() {
    let house = House::build().await;
    let worker = house.worker().await;
    let question = Question::mention("only once, please");
    for _ in 0..3 {
        house.discord.ask_again(&question).await;
    }
    house.answer(&question).await;
    house.discord.ask_again(&question).await;
    let next = Question::in_thread_of(&question, "next");
    house.ask(&next).await;
    assert_eq!(house.model.requests().await.len(), 2);
    assert_eq!(house.discord.sent_for(question.id).len(), 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_webhooks_and_notes_of_discord_itself_are_not_answered() {
    let house = House::build().await;
    let worker = house.worker().await;
    let mut silent = Vec::new();
    for extra in [
        json!({"author": {"id": "5", "username": "robot", "bot": true}}),
        json!({"webhook_id": "77"}),
        json!({"type": 7}),
        json!({"author": {"id": "99", "username": "kotonoha", "bot": true}}),
    ] {
        let question = Question { extra, ..Question::mention("do not answer") };
        house.discord.ask(&question).await;
        silent.push(question);
    }
    house.ask(&Question::mention("answer")).await;
    for question in silent {
        assert!(house.discord.sent_for(question.id).is_empty(), "{:?}", question.extra);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_conversations_wait_for_few_calls_and_each_gets_its_answer() {
    let mut house = House::build().await;
    house.set("MODEL_CALLS_MAX", 4);
    let worker = house.worker().await;
    let questions: Vec<Question> = (0..120)
        .map(|number| Question::mention("hello").by(100 + number, "Aki").at(1000, 5000 + number))
        .collect();
    for question in &questions {
        house.discord.ask(question).await;
    }
    let all = eventually(async || {
        let sent = house.discord.sent();
        let finals = sent.iter().filter(|sent| sent.command.id.purpose == Purpose::Finish);
        (finals.count() == questions.len()).then_some(())
    })
    .await;
    assert!(all.is_some(), "{} commands", house.discord.sent().len());
    worker.stop().await;
}
