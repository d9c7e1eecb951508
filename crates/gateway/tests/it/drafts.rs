//! Drafts edit what is open, at the channel's pace, and never get in a final's way.

use std::time::{Duration, Instant};

use contracts::command::Action;
use serde_json::json;

use crate::world::{World, eventually};

fn open(text: &str) -> Action {
    Action::OpenReply { text: text.to_owned() }
}

fn finish(text: &str) -> Action {
    Action::FinishReply { text: text.to_owned(), messages: Vec::new() }
}

#[tokio::test]
async fn an_empty_draft_shows_typing_until_the_first_text() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let typing = async || world.requests("POST", "/typing").await.len();
    world.draft(&place, 1, "").await;
    eventually("typing is shown", async || typing().await == 1).await;
    world.draft(&place, 2, "").await;
    world.done(&place, open("Hel")).await;
    tokio::time::sleep(Duration::from_millis(4_100)).await;
    world.draft(&place, 3, "").await;
    world.done(&place, finish("Hello.")).await;
    assert_eq!(typing().await, 1, "not twice at once, and not after the first text");
}

#[tokio::test]
async fn the_newest_draft_is_shown_and_the_final_text_stays() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    world.draft(&place, 1, "before it is open").await;
    world.done(&place, open("0")).await;
    for revision in 2..30 {
        world.draft(&place, revision, &format!("text {revision}")).await;
    }
    eventually("the newest is shown", async || world.own_texts(world.channel).await == ["text 29"])
        .await;
    let edits = world.requests("PATCH", "/messages/").await.len();
    assert!(edits <= 4, "{edits} edits for 28 drafts");
    world.draft(&place, 5, "an old one").await;
    world.done(&place, finish("The end.")).await;
    world.draft(&place, 90, "too late").await;
    let other = world.mention("again").await;
    world.done(&world.place(other), finish("Other.")).await;
    assert_eq!(world.own_texts(world.channel).await, ["The end.", "Other."]);
}

#[tokio::test]
async fn many_replies_share_one_channels_pace_without_a_single_429() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    world.post("limits", json!({"channel_edits": {"count": 5, "per_ms": 5_000}, "channel_creates": {"count": 50, "per_ms": 5_000}})).await;
    let mut places = Vec::new();
    for number in 0..4 {
        let question = world.mention(&format!("question {number}")).await;
        let place = world.place(question);
        world.done(&place, open("…")).await;
        places.push(place);
    }
    for revision in 1..40 {
        for place in &places {
            world.draft(place, revision, &format!("draft {revision}")).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    world.done(&places[0], finish("final")).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the final took {:?}", begun.elapsed());
    let edits = world.requests("PATCH", "/messages/").await;
    assert!(edits.iter().all(|edit| edit["status"] == 200), "no edit was refused");
    assert!(edits.len() >= 3, "drafts were shown");
    assert!(world.own_texts(world.channel).await.contains(&"final".to_owned()));
}

#[tokio::test]
async fn a_draft_whose_answer_was_lost_cannot_overtake_the_final_text() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    world.done(&place, open("0")).await;
    let fault = json!({"target": "rest", "route": "PATCH /channels/{c}/messages/{m}", "kind": "drop_after"});
    world.post("faults", fault).await;
    world.draft(&place, 1, "a draft").await;
    eventually("the draft was sent", async || {
        !world.requests("PATCH", "/messages/").await.is_empty()
    })
    .await;
    world.done(&place, finish("The end.")).await;
    assert_eq!(world.own_texts(world.channel).await, ["The end."]);
    let read_back = world.requests("GET", "/messages/").await;
    assert!(!read_back.is_empty(), "the message was read back");
}
