//! A question's journey: event in, model, reply opened, drafts, finished, recorded.

use contracts::command::Action;
use contracts::id::{ChannelId, Purpose};
use serde_json::json;

use crate::house::model::{last_text, messages};
use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_becomes_a_streamed_reply_in_its_own_thread() {
    let house = House::build().await;
    let worker = house.worker().await;
    house
        .model
        .script(json!({"match": "灯台", "reply": "{{word}}の灯りは静かです。ゆっくりどうぞ。",
                       "chunk_chars": 4, "first_token_ms": 50, "per_chunk_ms": 60}))
        .await;
    let question = Question::mention("灯台の話をして。長くていいよ");
    let text = house.ask(&question).await;

    let sent = house.discord.sent_for(question.id);
    let purposes: Vec<Purpose> = sent.iter().map(|sent| sent.command.id.purpose).collect();
    assert_eq!(purposes, [Purpose::Thread, Purpose::Open, Purpose::Finish]);
    for sent in &sent {
        assert_eq!(sent.command.place.target(), ChannelId(question.id));
        assert_eq!(sent.command.place.thread.as_ref().unwrap().name, "灯台の話をして。");
    }
    assert!(text.starts_with(sent[1].text()), "{text:?} begins with {:?}", sent[1].text());
    assert!(text.ends_with("ゆっくりどうぞ。"));

    let drafts = house.discord.drafts(question.id);
    assert!(drafts[0].text.is_empty(), "typing is shown before there is text");
    let grown: Vec<&str> = drafts.iter().map(|draft| draft.text.as_str()).collect();
    assert!(grown.iter().filter(|draft| !draft.is_empty()).count() >= 2, "{grown:?}");
    assert!(grown.is_sorted_by_key(|text| text.len()) && grown.iter().all(|d| text.starts_with(d)));
    assert!(drafts.is_sorted_by_key(|draft| draft.revision));

    let (reply, parts, attempts): (String, i64, i64) = sqlx::query_as(
        "SELECT text, (SELECT count(*) FROM reply_parts), (SELECT count(*) FROM attempts) \
         FROM replies",
    )
    .fetch_one(&house.database().await)
    .await
    .unwrap();
    assert_eq!((reply, parts, attempts), (text, 1, 1));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_keep_their_pace_and_typing_is_shown_while_the_model_thinks() {
    let house = House::build().await;
    let worker = house.worker().await;
    house
        .model
        .script(json!({"match": "think", "reply": "word ".repeat(200), "chunk_chars": 5,
                       "first_token_ms": 6_000, "per_chunk_ms": 10}))
        .await;
    let question = Question::direct("think first");
    house.discord.ask(&question).await;
    house.discord.command(question.id, Purpose::Open).await;
    let started = std::time::Instant::now();
    let (typing, text): (Vec<_>, Vec<_>) =
        house.discord.drafts(question.id).into_iter().partition(|draft| draft.text.is_empty());
    assert_eq!((typing.len(), text.len()), (2, 0), "one at once and one five seconds later");
    house.answer(&question).await;
    let drafts = house.discord.drafts(question.id);
    let written = drafts.iter().filter(|draft| !draft.text.is_empty()).count();
    let allowed = started.elapsed().as_millis() / 100 + 1;
    assert!(written > 5 && written <= allowed.try_into().unwrap(), "{written} of {allowed}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_in_the_thread_is_answered_with_what_was_said_before() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question::mention("私は海が好きです");
    let answer = house.ask(&first).await;
    let second = Question::in_thread_of(&first, "続きを聞かせて").by(8, "Ren");
    house.ask(&second).await;

    let request = house.model.asked("続きを聞かせて").await;
    let said = messages(&request);
    let roles: Vec<&str> = said.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(said[1].1, "⟦Aki⟧\n私は海が好きです");
    assert_eq!(said[2].1, answer);
    assert_eq!(said[3].1, "⟦Ren⟧\n続きを聞かせて");
    assert!(said[0].1.starts_with("あなたは「ことのは」"));
    // No thread is opened for what already stands in one.
    let purposes: Vec<Purpose> =
        house.discord.sent_for(second.id).iter().map(|sent| sent.command.id.purpose).collect();
    assert_eq!(purposes, [Purpose::Open, Purpose::Finish]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_is_answered_where_it_stands_and_in_its_language() {
    let house = House::build().await;
    let worker = house.worker().await;
    let question = Question::direct("Good morning, how are you?");
    house.ask(&question).await;
    let request = house.model.asked("Good morning").await;
    assert!(messages(&request)[0].1.starts_with("You are Kotonoha"));
    let finish = house.discord.command(question.id, Purpose::Finish).await.command;
    assert_eq!(finish.place.target(), ChannelId(question.channel));
    assert!(finish.place.guild_id.is_none() && finish.place.thread.is_none());
    assert!(matches!(finish.action, Action::FinishReply { .. }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_message_of_ours_goes_on_with_that_conversation() {
    let house = House::build().await;
    let worker = house.worker().await;
    let first = Question {
        place: contracts::event::PlaceKind::InPlace,
        extra: json!({"channel_type": 2}),
        ..Question::mention("one apple, please remember")
    };
    let answer = house.ask(&first).await;
    let message = house.discord.message_of(first.id);
    // Somebody else replies to the bot's message in the same channel.
    let second = Question {
        reason: contracts::event::Reason::Reply,
        reply_to: Some((message, Some((crate::house::question::BOT, answer.clone())))),
        text: "and a pear".to_owned(),
        ..first.clone()
    };
    let second = Question { id: crate::house::question::snowflake(), ..second }.by(8, "Ren");
    house.ask(&second).await;
    let said = messages(&house.model.asked("and a pear").await);
    assert_eq!(said[1].1, "⟦Aki⟧\none apple, please remember");
    assert_eq!(said[2].1, answer);
    assert_eq!(said[3].1, "⟦Ren⟧\nand a pear");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_mention_reads_the_message_that_it_replies_to() {
    let house = House::build().await;
    let worker = house.worker().await;
    let question = Question {
        reply_to: Some((snow(), Some((55, "いちばん近い駅はどこ?".to_owned())))),
        ..Question::mention("")
    };
    house.ask(&question).await;
    let request = house.model.asked("いちばん近い駅").await;
    assert_eq!(last_text(&request), "⟦Aki⟧\n⟦返信先 quoted: いちばん近い駅はどこ?⟧");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_model_call_is_recorded_on_the_bus_without_any_text() {
    let mut house = House::build().await;
    house.set("MODEL_PRICE_INPUT_USD_PER_MTOK", "1");
    house.set("MODEL_PRICE_OUTPUT_USD_PER_MTOK", "2");
    let worker = house.worker().await;
    let usage = json!({"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150});
    house.model.script(json!({"match": "secret garden", "reply": "yes", "usage": usage})).await;
    let question = Question::direct("the secret garden?");
    house.ask(&question).await;
    let spec = bus::ConsumerSpec {
        stream: contracts::stream::USAGE.name,
        durable: "test-usage",
        filters: Vec::new(),
        start: bus::Start::All,
        fresh: true,
        ack_wait: std::time::Duration::from_secs(30),
        in_flight_max: 10,
        deliver_max: None,
    };
    let delivery = house.bus.consume(&spec).await.unwrap().next().await.unwrap();
    assert_eq!(delivery.subject, "conversation.usage.openai");
    let text = String::from_utf8(delivery.payload.to_vec()).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let record: contracts::usage::UsageRecorded =
        contracts::envelope::decode(&delivery.payload).unwrap();
    assert_eq!(record.attempt, format!("{}.0.1", question.id));
    assert_eq!((record.input_tokens, record.output_tokens, record.estimated), (120, 30, false));
    assert_eq!(record.cost_nano_usd, Some(180_000));
    assert_eq!(record.outcome, contracts::usage::UsageOutcome::Completed);
    // Published and gone from the outbox.
    let database = house.database().await;
    let empty = eventually(async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE purpose = 'usage'")
            .fetch_one(&database)
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
    assert!(empty.is_some());
    worker.stop().await;
}

fn snow() -> u64 {
    crate::house::question::snowflake()
}
