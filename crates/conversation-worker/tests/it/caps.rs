//! The daily caps: counted exactly, told once, and no more.

use contracts::id::Purpose;

use crate::house::{House, Question, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_asks_at_once_get_exactly_as_many_answers_as_the_cap_allows() {
    let mut house = House::build().await;
    house.set("TURNS_PER_USER_PER_DAY", 30);
    let worker = house.worker().await;
    let questions: Vec<Question> =
        (0..100).map(|number| Question::mention(&format!("question {number}"))).collect();
    for question in &questions {
        house.discord.ask(question).await;
    }
    let counts = ended(&house, 100).await;
    assert_eq!(counts, (30, 70));
    let sent = house.discord.sent();
    let of = |purpose| sent.iter().filter(|sent| sent.command.id.purpose == purpose).count();
    assert_eq!((of(Purpose::Finish), of(Purpose::Notice)), (30, 1));
    assert_eq!(house.model.requests().await.len(), 30);
    let notice = sent.iter().find(|sent| sent.command.id.purpose == Purpose::Notice).unwrap();
    assert!(notice.text().contains("また明日"), "{}", notice.text());
    assert!(notice.command.place.thread.is_none());

    // Somebody else still gets an answer.
    let other = Question::mention("hello").by(8, "Ren");
    house.ask(&other).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guild_at_its_cap_does_not_take_from_another() {
    let mut house = House::build().await;
    house.set("TURNS_PER_GUILD_PER_DAY", 2);
    let worker = house.worker().await;
    for user in 1..=3 {
        house.discord.ask(&Question::mention("a").by(user, "Aki")).await;
    }
    assert_eq!(ended(&house, 3).await, (2, 1));
    house.ask(&Question::mention("b").by(4, "Aki").at(1001, 2001)).await;
    // Direct messages belong to no guild.
    house.ask(&Question::direct("good morning to you").by(1, "Aki")).await;
    worker.stop().await;
}

/// Waits until so many turns have ended; how many were done and how many were not.
async fn ended(house: &House, turns: i64) -> (i64, i64) {
    let database = house.database().await;
    let counts = eventually(async || {
        let (done, dead): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE state = 'done'), \
             count(*) FILTER (WHERE state = 'dead') FROM turns",
        )
        .fetch_one(&database)
        .await
        // The worker may not have made its tables yet.
        .unwrap_or_default();
        (done + dead == turns).then_some((done, dead))
    })
    .await;
    counts.expect("not every turn has ended")
}
