//! Edits and deletions: what is gone in Discord is gone here, on the bus and in every prompt.

use contracts::event::Reason;
use contracts::id::Purpose;
use contracts::stream;
use serde_json::json;

use crate::house::model::{last_text, messages};
use crate::house::question::snowflake;
use crate::house::{House, Question, eventually};

/// After every edit that the tests make otherwise.
const LATE: &str = "2100-01-01T00:00:00.000000+00:00";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_deleted_before_it_came_is_never_answered() {
    let house = House::build().await;
    let worker = house.worker().await;
    let gone = Question::direct("you never read this");
    house.discord.delete(&gone).await;
    let event = house.discord.ask(&gone).await;
    let next = Question::direct("but you read this");
    house.ask(&next).await;
    assert!(house.discord.sent_for(gone.id).is_empty());
    assert!(erased(&house, stream::DISCORD_EVENTS.name, event).await);
    assert!(!everything(&house).await.contains("never read"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_unanswered_question_cancels_its_turn_and_the_next_goes_on() {
    let mut house = House::build().await;
    house.set("MODEL_CALLS_MAX", 1);
    let slow = json!({"match": "slow", "reply": "done at last", "first_token_ms": 600});
    house.model.script(slow).await;
    let worker = house.worker().await;
    let busy = Question::direct("slow").by(1, "A");
    house.discord.ask(&busy).await;
    house.model.asked("slow").await;
    let mut waiting = Question::direct("never mind").by(2, "B");
    waiting.channel = 3001;
    house.discord.ask(&waiting).await;
    house.discord.delete(&waiting).await;
    house.answer(&busy).await;
    house.state(waiting.id, "cancelled").await;
    assert!(house.discord.sent_for(waiting.id).is_empty());
    let mut next = Question::direct("still there?").by(2, "B");
    next.channel = 3001;
    house.ask(&next).await;
    assert_eq!(last_text(&house.model.asked("still there?").await), "⟦B⟧\nstill there?");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_question_while_the_model_thinks_stops_the_model() {
    let house = House::build().await;
    let thinking = json!({"match": "think", "reply": "too late", "first_token_ms": 30_000});
    house.model.script(thinking).await;
    let worker = house.worker().await;
    let question = Question::direct("think");
    house.discord.ask(&question).await;
    house.model.asked("think").await;
    house.discord.delete(&question).await;
    house.state(question.id, "cancelled").await;
    assert!(house.discord.sent_for(question.id).is_empty());
    let hung_up = eventually(async || {
        let records = house.model.records().await;
        (records[0]["client_hung_up"] == json!(true)).then_some(())
    });
    assert!(hung_up.await.is_some());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_question_of_a_reply_that_stands_ends_the_reply_where_it_is() {
    let house = House::build().await;
    let long = json!({"match": "talk", "reply": "one two three four five six seven eight nine",
                      "chunk_chars": 4, "per_chunk_ms": 300});
    house.model.script(long).await;
    let worker = house.worker().await;
    let question = Question::direct("talk to me in English");
    house.discord.ask(&question).await;
    house.discord.command(question.id, Purpose::Open).await;
    house.discord.delete(&question).await;
    let text = house.discord.finished(question.id).await;
    assert!(text.starts_with("one") && text.contains("cut off") && !text.contains("nine"));
    house.state(question.id, "dead").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_question_leaves_the_prompt_the_database_and_the_bus() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::mention("my secret is a purple whale");
    let event = house.discord.ask(&first).await;
    house.answer(&first).await;
    house.discord.delete(&first).await;
    let second = Question::in_thread_of(&first, "what did I tell you?");
    house.ask(&second).await;
    let request = house.model.asked("what did I tell you?").await;
    assert!(!request.to_string().contains("whale"), "{request}");
    assert!(erased(&house, stream::DISCORD_EVENTS.name, event).await);
    for sent in house.discord.sent_for(first.id) {
        assert!(erased(&house, stream::DISCORD_COMMANDS.name, sent.sequence).await);
    }
    assert!(!everything(&house).await.contains("whale"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_reply_of_ours_leaves_the_history() {
    let house = House::build().await;
    house.model.script(json!({"match": "first", "reply": "an unwanted answer"})).await;
    let worker = house.worker().await;
    let first = Question::direct("first");
    house.ask(&first).await;
    house.discord.delete_message(&first, house.discord.message_of(first.id)).await;
    let second = Question::direct("second");
    house.ask(&second).await;
    let request = house.model.asked("second").await;
    assert!(!request.to_string().contains("unwanted"), "{request}");
    assert!(last_text(&request).contains("first"), "what people said stays");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_the_next_prompt_and_asks_nothing_again() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::direct("the number is four");
    house.ask(&first).await;
    house.discord.edit(&first, "the number is seven", "2099-01-01T00:00:00.000000+00:00").await;
    // Older than the edit before, and a link preview that changes nothing.
    house.discord.edit(&first, "the number is nine", "2098-01-01T00:00:00.000000+00:00").await;
    let preview = first.frame("MESSAGE_UPDATE");
    house.discord.raw(&first.subject("MESSAGE_UPDATE"), &preview, &first).await;
    let second = Question::direct("which number?");
    house.ask(&second).await;
    let said = messages(&house.model.asked("which number?").await);
    assert_eq!(said[1].1, "⟦Aki⟧\nthe number is seven");
    assert_eq!(house.model.requests().await.len(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_while_the_answer_streams_changes_neither_the_answer_nor_their_number() {
    let house = House::build().await;
    let slow = json!({"match": "before", "reply": "steady as it goes", "chunk_chars": 3,
                      "per_chunk_ms": 60});
    house.model.script(slow).await;
    let worker = house.worker().await;
    let question = Question::direct("before");
    house.discord.ask(&question).await;
    house.discord.command(question.id, Purpose::Open).await;
    house.discord.edit(&question, "after", LATE).await;
    assert_eq!(house.answer(&question).await, "steady as it goes");
    let next = Question::direct("next");
    house.ask(&next).await;
    assert_eq!(messages(&house.model.asked("next").await)[1].1, "⟦Aki⟧\nafter");
    assert_eq!(house.model.requests().await.len(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_takes_the_mention_away_takes_the_text_away() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::mention("a plan for the surprise party");
    house.ask(&first).await;
    let withdrawn = Question { reason: Reason::Withdrawn, ..first.clone() };
    house.discord.edit(&withdrawn, "", LATE).await;
    let second = Question::in_thread_of(&first, "and now?");
    house.ask(&second).await;
    assert!(!house.model.asked("and now?").await.to_string().contains("party"));
    assert!(!everything(&house).await.contains("party"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_calls_the_bot_soon_after_is_a_question_and_late_it_is_not() {
    let house = House::build().await;
    let worker = house.worker().await;
    let now = jiff::Timestamp::now().to_string();
    let soon = Question::mention("x");
    house.discord.edit(&soon, "<@99> now I ask you", &now).await;
    house.answer(&soon).await;
    let late = Question { id: snowflake() - (3_600_000 << 22), ..Question::mention("x") };
    house.discord.edit(&late, "<@99> from long ago", &now).await;
    house.ask(&Question::direct("something else")).await;
    assert!(house.discord.sent_for(late.id).is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_thread_takes_all_that_was_said_in_it_away() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::mention("open a thread");
    house.ask(&first).await;
    let second = Question::in_thread_of(&first, "a heron stands in the river");
    let event = house.discord.ask(&second).await;
    house.answer(&second).await;
    let frame = json!({"t": "THREAD_DELETE", "s": 3, "op": 0, "d": {
        "id": first.id.to_string(), "guild_id": "1000", "parent_id": "2000", "type": 11,
    }});
    house.discord.raw(&second.subject("THREAD_DELETE"), &frame, &second).await;
    assert!(erased(&house, stream::DISCORD_EVENTS.name, event).await);
    assert!(!everything(&house).await.contains("heron"));
    worker.stop().await;
}

/// Whether the message has left the stream once everything published so far was taken in.
pub(crate) async fn erased(house: &House, stream: &str, sequence: u64) -> bool {
    let database = house.database().await;
    let newest = house.bus.stream_state(stream::DISCORD_EVENTS.name).await.unwrap().last_sequence;
    let settled = eventually(async || {
        // What was published and is not marked yet is erased once it is.
        let (taken, waiting, unmarked): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT max(last_sequence) FROM cursors), (SELECT count(*) FROM erasures), \
             (SELECT count(*) FROM outbox WHERE stream_sequence IS NULL AND purpose <> 'usage')",
        )
        .fetch_one(&database)
        .await
        .unwrap();
        (taken.cast_unsigned() >= newest && waiting == 0 && unmarked == 0).then_some(())
    })
    .await;
    // Erasing tells whether there was anything left to erase.
    settled.is_some() && !house.bus.erase(stream, sequence).await.unwrap()
}

/// Every text that the database holds.
async fn everything(house: &House) -> String {
    let database = house.database().await;
    let inbox: Vec<String> = sqlx::query_scalar(
        "SELECT content || ' ' || attachments || ' ' || forwarded || ' ' || reference_content \
         FROM inbox",
    )
    .fetch_all(&database)
    .await
    .unwrap();
    let names: Vec<String> =
        sqlx::query_scalar("SELECT thread_name FROM turns WHERE thread_name IS NOT NULL")
            .fetch_all(&database)
            .await
            .unwrap();
    let outbox: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT payload FROM outbox WHERE payload IS NOT NULL")
            .fetch_all(&database)
            .await
            .unwrap();
    let outbox: Vec<String> =
        outbox.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    format!("{} {} {}", inbox.join(" "), names.join(" "), outbox.join(" "))
}
