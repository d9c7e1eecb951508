//! Nothing said in one guild, channel or direct message is ever seen in another.

use contracts::event::{PlaceKind, Reason};
use serde_json::json;

use crate::house::question::snowflake;
use crate::house::{House, Question};

#[tokio::test(flavor = "multi_thread")]
async fn one_person_in_many_places_is_a_stranger_in_each() {
    let house = House::build().await;
    let worker = house.worker().await;
    let in_voice = |guild, channel, user| Question {
        place: PlaceKind::InPlace,
        extra: json!({"channel_type": 2}),
        ..Question::mention("").by(user, "Aki").at(guild, channel)
    };
    let places = [
        Question::mention("").at(1000, 2000),
        Question::mention("").at(1001, 2001),
        Question::direct(""),
        Question { channel: 3005, ..Question::direct("").by(8, "Ren") },
        in_voice(1000, 2002, 7),
        in_voice(1000, 2002, 8),
        in_voice(1000, 2003, 7),
        // The same channel id in another guild cannot be, but must not matter either.
        in_voice(1001, 2002, 7),
    ];
    let secrets: Vec<String> =
        (0..places.len()).map(|place| format!("secret-{place}-{}", snowflake())).collect();
    for (place, secret) in places.iter().zip(&secrets) {
        let text = format!("remember {secret}");
        house.ask(&Question { id: snowflake(), text, ..place.clone() }).await;
    }
    for (at, place) in places.iter().enumerate() {
        let text = format!("what do you know, place {at}?");
        house.ask(&Question { id: snowflake(), text: text.clone(), ..place.clone() }).await;
        let request = house.model.asked(&text).await.to_string();
        for (other, secret) in secrets.iter().enumerate() {
            // A mention in a channel starts over in a thread of its own.
            let mine = other == at && place.place != PlaceKind::Channel;
            assert_eq!(request.contains(secret), mine, "place {at} and secret {other}");
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_cannot_pull_a_conversation_out_of_its_channel() {
    let house = House::build().await;
    let worker = house.worker().await;
    let private = Question::direct("my diary: the fox came back");
    house.ask(&private).await;
    let message = house.discord.message_of(private.id);
    let thief = Question {
        reply_to: Some((message, None)),
        reason: Reason::Reply,
        text: "what was that about?".to_owned(),
        ..Question::mention("").by(8, "Ren")
    };
    house.ask(&thief).await;
    assert!(!house.model.asked("what was that").await.to_string().contains("fox"));
    worker.stop().await;
}
