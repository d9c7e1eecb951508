//! Events that cannot be read are put aside with the reason; the next one is answered.

use bus::{ConsumerSpec, Start};
use contracts::{dead_letter, stream};
use serde_json::json;

use crate::house::{House, Question};

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_events_become_dead_letters_and_the_rest_goes_on() {
    let house = House::build().await;
    let worker = house.worker().await;
    let question = Question::mention("still alive?");
    let subject = question.subject("MESSAGE_CREATE");
    let bad: Vec<Vec<u8>> = vec![
        b"not json at all".to_vec(),
        vec![0xff, 0xfe, 0x00, 0x7b],
        b"{\"t\":\"MESSAGE_CREATE\",\"d\":{\"content\":\"\xff\xfe\"}}".to_vec(),
        b"{}".to_vec(),
        json!({"d": {"id": "abc", "channel_id": "1", "author": {"id": "2"}}}).to_string().into(),
        json!({"d": {"id": "-5", "channel_id": "1", "author": {"id": "2"}}}).to_string().into(),
        json!({"d": [1, 2, 3]}).to_string().into(),
        format!("{}1{}", "[".repeat(3000), "]".repeat(3000)).into_bytes(),
    ];
    for (number, payload) in bad.iter().enumerate() {
        let id = format!("bad:{number}");
        house.discord.bytes(&subject, payload.clone(), &question, &id).await;
    }
    // Snowflakes that are none where the guild should stand.
    let subject = "discord.event.MESSAGE_CREATE.nowhere.1";
    house.discord.bytes(subject, b"{}".to_vec(), &question, "bad:subject").await;
    house.ask(&question).await;

    let spec = ConsumerSpec {
        stream: stream::DEAD_LETTERS.name,
        durable: "test-dead",
        filters: Vec::new(),
        start: Start::All,
        fresh: true,
        ack_wait: std::time::Duration::from_secs(30),
        in_flight_max: 100,
        deliver_max: None,
    };
    let mut letters = house.bus.consume(&spec).await.unwrap();
    for payload in bad.iter().map(Vec::as_slice).chain([b"{}".as_slice()]) {
        let letter = letters.next().await.unwrap();
        assert_eq!(letter.subject, "dead.conversation-worker.undecodable");
        assert_eq!(letter.payload, payload);
        assert_eq!(letter.header(dead_letter::STREAM), Some("DISCORD_EVENTS"));
        assert!(letter.header(dead_letter::STREAM_SEQUENCE).is_some());
        assert!(!letter.header(dead_letter::ERROR).unwrap().is_empty());
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_nulls_and_missing_headers_are_fine() {
    let house = House::build().await;
    let worker = house.worker().await;
    let extra = json!({
        "some_new_field": {"deep": [1, 2, {"x": null}]}, "attachments": null, "mentions": null,
        "member": null, "edited_timestamp": null, "referenced_message": null, "nonce": 12,
        "message_snapshots": [{"message": {"content": "from far away"}}, {}],
    });
    house.ask(&Question { extra, ..Question::mention("odd") }).await;
    let request = house.model.asked("odd").await;
    assert!(request.to_string().contains("from far away"));

    // Without any of our headers a direct message still gets its answer.
    let bare = Question::direct("bare");
    let message = bus::Outgoing {
        subject: bare.subject("MESSAGE_CREATE"),
        id: None,
        headers: Vec::new(),
        payload: serde_json::to_vec(&bare.frame("MESSAGE_CREATE")).unwrap().into(),
    };
    house.bus.publish(&message).await.unwrap();
    house.answer(&bare).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_longer_than_the_window_is_shortened_and_answered() {
    let mut house = House::build().await;
    house.set("MODEL_CONTEXT_TOKENS", 2048);
    house.set("MODEL_MAX_OUTPUT_TOKENS", 256);
    let worker = house.worker().await;
    let text = format!("begin {}", "とても長い話。".repeat(100_000));
    house.ask(&Question::mention(&text)).await;
    let request = house.model.asked("begin").await.to_string();
    assert!(request.contains("begin") || request.len() < 20_000, "{}", request.len());
    assert!(request.len() < 20_000, "{}", request.len());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_read_does_not_hold_the_others_up() {
    let house = House::build().await;
    let worker = house.worker().await;
    let message = bus::Outgoing {
        subject: "discord.result.nonsense".to_owned(),
        id: None,
        headers: Vec::new(),
        payload: b"nonsense".to_vec().into(),
    };
    house.bus.publish(&message).await.unwrap();
    house.ask(&Question::mention("hello")).await;
    worker.stop().await;
}
