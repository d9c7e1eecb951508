//! Models that fail: tried again in the same message, and told gently when it is no use.

use contracts::command::FailureClass;
use contracts::id::Purpose;
use serde_json::json;

use crate::house::model::last_text;
use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_tried_again_in_the_same_message() {
    let house = House::build().await;
    let broken = json!({"match": "go on", "times": 1, "reply": "half a sentence is not", "end": "abort",
                        "end_after_chunks": 2});
    let whole = json!({"match": "go on", "reply": "a whole sentence"});
    house.model.script(json!({"rules": [broken, whole]})).await;
    let worker = house.worker().await;
    let question = Question::direct("go on");
    assert_eq!(house.ask(&question).await, "a whole sentence");
    let purposes: Vec<Purpose> =
        house.discord.sent_for(question.id).iter().map(|sent| sent.command.id.purpose).collect();
    assert_eq!(purposes, [Purpose::Open, Purpose::Finish]);
    assert_eq!(outcomes(&house, question.id).await, ["failed", "completed"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_attempts_break_the_text_so_far_stays_with_a_mark_and_one_notice() {
    let house = House::build().await;
    let broken = json!({"match": "続けて", "reply": "これは途中までの文章です", "chunk_chars": 3, "end": "abort",
                        "end_after_chunks": 3});
    house.model.script(broken).await;
    let worker = house.worker().await;
    let question = Question::mention("続けて");
    house.discord.ask(&question).await;
    let text = house.discord.finished(question.id).await;
    house.state(question.id, "dead").await;
    assert!(
        text.starts_with("これは途中までの") && text.contains("途切れてしまいました"),
        "{text}"
    );
    let notice = house.discord.command(question.id, Purpose::Notice).await;
    assert!(notice.text().contains("あなたのせいではありません"));
    assert_eq!(outcomes(&house, question.id).await, ["failed", "failed", "failed"]);
    assert_eq!(house.model.requests().await.len(), 3);
    // The conversation goes on.
    house.ask(&Question::in_thread_of(&question, "それでも話そう")).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_not_tried_again_and_shows_on_health() {
    let house = House::build().await;
    house.model.script(json!({"match": "hello", "times": 1, "status": 401})).await;
    let worker = house.worker().await;
    let question = Question::direct("hello out there");
    house.discord.ask(&question).await;
    let notice = house.discord.command(question.id, Purpose::Notice).await;
    assert!(notice.text().starts_with("Sorry"), "{}", notice.text());
    house.state(question.id, "dead").await;
    assert_eq!(house.model.requests().await.len(), 1);
    let (status, health) = worker.get("/health").await;
    assert_eq!((status, health["checks"]["model"]["status"].as_str()), (503, Some("failing")));
    assert!(health["checks"]["model"]["remedy"].as_str().unwrap().contains("API key"));
    // The next good answer makes it well again.
    house.ask(&Question::direct("once more")).await;
    let (_, health) = worker.get("/health").await;
    assert_eq!(health["checks"]["model"]["status"], "ok");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_provider_is_waited_for() {
    let house = House::build().await;
    let busy = json!({"match": "hi", "times": 2, "status": 503});
    house.model.script(json!({"rules": [busy]})).await;
    let worker = house.worker().await;
    let question = Question::direct("hi");
    house.ask(&question).await;
    assert_eq!(outcomes(&house, question.id).await, ["failed", "failed", "completed"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_topic_and_a_silent_model_are_told_apart() {
    let house = House::build().await;
    let blocked = json!({"match": "blocked", "status": 400, "error": {
        "message": "flagged", "type": "invalid_request_error", "code": "content_filter"}});
    let silent = json!({"match": "silent", "reply": "  "});
    house.model.script(json!({"rules": [blocked, silent]})).await;
    let worker = house.worker().await;
    let blocked = Question::direct("blocked topic, sadly");
    house.discord.ask(&blocked).await;
    let notice = house.discord.command(blocked.id, Purpose::Notice).await;
    assert!(notice.text().contains("put it differently"), "{}", notice.text());
    house.state(blocked.id, "dead").await;
    let silent = Question { channel: 3009, ..Question::direct("silent model, sadly").by(9, "S") };
    house.discord.ask(&silent).await;
    let notice = house.discord.command(silent.id, Purpose::Notice).await;
    assert!(notice.text().contains("not your fault"), "{}", notice.text());
    assert_eq!(outcomes(&house, silent.id).await.len(), 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_the_server_finds_too_long_is_shortened_once() {
    let house = House::build().await;
    let worker = house.worker().await;
    for number in 0..6 {
        let text = format!("story {number} {}", "and then something happened ".repeat(40));
        house.ask(&Question::direct(&text)).await;
    }
    let long = json!({"match": "the end", "times": 1, "status": 400, "error": {
        "message": "This model's maximum context length is 2000 tokens.",
        "type": "invalid_request_error", "code": "context_length_exceeded"}});
    house.model.script(json!({"rules": [long]})).await;
    let question = Question::direct("the end");
    house.ask(&question).await;
    let requests = house.model.requests().await;
    let sizes: Vec<usize> = requests
        .iter()
        .filter(|request| last_text(request).contains("the end"))
        .map(|request| request.to_string().len())
        .collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_discord_will_not_have_stops_the_model() {
    let house = House::build().await;
    house.discord.refuse(Purpose::Open, FailureClass::Gone);
    let endless = json!({"match": "speak", "reply": "word ".repeat(500), "chunk_chars": 5,
                         "per_chunk_ms": 100});
    house.model.script(endless).await;
    let worker = house.worker().await;
    let question = Question::mention("speak");
    house.discord.ask(&question).await;
    house.state(question.id, "cancelled").await;
    assert!(house.discord.finals(question.id).is_empty());
    let hung_up = eventually(async || {
        let records = house.model.records().await;
        (records[0]["client_hung_up"] == json!(true)).then_some(())
    });
    assert!(hung_up.await.is_some());
    assert_eq!(outcomes(&house, question.id).await, ["cancelled"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_discord_forbids_is_dead_and_says_why() {
    let house = House::build().await;
    house.discord.refuse(Purpose::Finish, FailureClass::Forbidden);
    let worker = house.worker().await;
    let question = Question::mention("hello");
    house.discord.ask(&question).await;
    house.state(question.id, "dead").await;
    let reason: String = sqlx::query_scalar("SELECT reason FROM turns WHERE id = ?")
        .bind(question.id.cast_signed())
        .fetch_one(&house.database().await)
        .await
        .unwrap();
    assert_eq!(reason, "forbidden");
    worker.stop().await;
}

async fn outcomes(house: &House, turn: u64) -> Vec<String> {
    sqlx::query_scalar("SELECT outcome FROM attempts WHERE turn_id = ? ORDER BY attempt")
        .bind(turn.cast_signed())
        .fetch_all(&house.database().await)
        .await
        .unwrap()
}
