//! Commands are done in Discord exactly once, and answered.

use contracts::command::{Action, Command, FailureClass, Outcome};
use contracts::event::Reason;
use contracts::id::{ChannelId, CommandId, Purpose, TurnId};
use contracts::stream;
use reqwest::Method;
use serde_json::json;

use crate::world::{World, appears, eventually, messages_of};

fn open(text: &str) -> Action {
    Action::OpenReply { text: text.to_owned() }
}

fn finish(text: &str) -> Action {
    Action::FinishReply { text: text.to_owned(), messages: Vec::new() }
}

#[tokio::test]
async fn a_reply_is_opened_then_finished_in_the_same_message() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let opened = messages_of(&world.done(&place, open("Hel")).await);
    let finished = messages_of(&world.done(&place, finish("Hello @everyone.")).await);
    assert_eq!(opened, finished);
    assert_eq!(world.own_texts(world.channel).await, ["Hello @everyone."]);
    let create = &world.requests("POST", "/messages").await[0]["request"];
    assert_eq!(create["message_reference"]["message_id"], question.to_string());
    assert_eq!(create["message_reference"]["fail_if_not_exists"], false);
    assert_eq!(create["enforce_nonce"], true);
    let silent = json!({"parse": [], "replied_user": false});
    assert_eq!(create["allowed_mentions"], silent);
    assert_eq!(
        world.requests("PATCH", "/messages/").await[0]["request"]["allowed_mentions"],
        silent
    );
}

#[tokio::test]
async fn own_messages_are_echoed_with_their_nonce() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let sent = messages_of(&world.done(&world.place(question), finish("Hello.")).await);
    let mut events = world.events().await;
    events.next().await;
    let echo = events.next_of("MESSAGE_CREATE").await;
    assert_eq!(echo.meta.reason, Some(Reason::Own));
    assert_eq!(echo.frame["d"]["id"], sent[0].to_string());
    assert!(echo.frame["d"]["nonce"].is_string());
}

#[tokio::test]
async fn a_reply_goes_into_its_thread_which_is_the_bots_own_before_the_first_word() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place_in_thread(question);
    let thread = ChannelId::from(question);
    let opened = world.done(&place, Action::OpenThread).await;
    assert_eq!(opened, Outcome::Done { channel_id: thread, messages: Vec::new() });
    world.done(&place, open("Hel")).await;
    world.done(&place, finish("Hello.")).await;
    assert_eq!(world.own_texts(thread).await, ["Hello."]);
    assert_eq!(world.own_texts(world.channel).await, Vec::<String>::new());
    let creates = world.requests("POST", &format!("/channels/{thread}/messages")).await;
    assert!(creates[0]["request"].get("message_reference").is_none());
    world.say_in(thread, world.user, "and no mention needed").await;
    let events = world.events().await.until("no mention needed").await;
    assert_eq!(events.last().unwrap().meta.reason, Some(Reason::OwnThread));
}

#[tokio::test]
async fn where_no_thread_may_be_opened_the_answer_stands_by_the_question() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let deny = json!({"permissions": ["CREATE_PUBLIC_THREADS"]});
    let path = format!("guilds/{}/channels/{}/deny", world.guild, world.channel);
    world.control(Method::PUT, &path, Some(deny)).await;
    let question = world.mention("hi").await;
    let place = world.place_in_thread(question);
    let opened = world.done(&place, Action::OpenThread).await;
    assert_eq!(opened, Outcome::Done { channel_id: world.channel, messages: Vec::new() });
    world.done(&place, finish("Hello.")).await;
    assert_eq!(world.own_texts(world.channel).await, ["Hello."]);
    assert_eq!(world.requests("POST", "/threads").await.len(), 1);
}

#[tokio::test]
async fn a_thread_that_was_opened_before_is_used() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let fault = json!({"target": "rest", "route": "/threads", "kind": "drop_after"});
    world.post("faults", fault).await;
    let place = world.place_in_thread(question);
    world.done(&place, finish("Hello.")).await;
    assert_eq!(world.own_texts(ChannelId::from(question)).await, ["Hello."]);
    let attempts = world.requests("POST", "/threads").await;
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[1]["response"]["code"], 160_004);
}

#[tokio::test]
async fn a_long_answer_takes_several_messages_and_a_shorter_one_gives_them_back() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let long = "これは文です。".repeat(700);
    world.done(&place, open(&long)).await;
    let messages = messages_of(&world.done(&place, finish(&long)).await);
    assert_eq!(messages.len(), 3);
    let texts = world.own_texts(world.channel).await;
    assert_eq!(texts.concat(), long);
    assert!(texts.iter().all(|text| text.chars().count() <= 2_000));
    let id = CommandId {
        turn: TurnId::from(question),
        generation: 1,
        part: 0,
        purpose: Purpose::Finish,
    };
    world.send(Command { id, place: place.clone(), action: finish("Short.") }).await;
    let shorter = messages_of(&world.result(id).await);
    assert_eq!(shorter, messages[..1]);
    assert_eq!(world.own_texts(world.channel).await, ["Short."]);
}

#[tokio::test]
async fn an_answer_that_was_lost_on_its_way_is_still_one_message() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let fault = json!({"target": "rest", "route": "POST /channels/{c}/messages", "kind": "drop_after", "count": 2});
    world.post("faults", fault).await;
    world.done(&place, open("Hel")).await;
    world.done(&place, finish("Hello.")).await;
    assert_eq!(world.own_texts(world.channel).await, ["Hello."]);
    let create = format!("/channels/{}/messages", world.channel);
    assert_eq!(world.requests("POST", &create).await.len(), 3);
}

#[tokio::test]
async fn a_gateway_killed_between_discord_and_its_record_makes_no_second_message() {
    let world = World::new().await;
    let mut config = world.config();
    config.limits.command_ack_wait = std::time::Duration::from_secs(1);
    let gateway = world.gateway_with(config.clone(), chassis::OnFault::Stay);
    let question = world.mention("hi").await;
    let place = world.place(question);
    let slow = json!({"target": "rest", "route": "/messages", "kind": "drop_after", "count": 0});
    world.post("faults", slow).await;
    let id = world.command(&place, open("Hello")).await;
    let create = format!("/channels/{}/messages", world.channel);
    eventually("the message was posted", async || {
        !world.requests("POST", &create).await.is_empty()
    })
    .await;
    gateway.kill();
    world.control(Method::DELETE, "faults", None).await;
    let _gateway = world.gateway_with(config, chassis::OnFault::Stay);
    let messages = messages_of(&world.result(id).await);
    assert_eq!(messages.len(), 1);
    assert_eq!(world.own_texts(world.channel).await, ["Hello"]);
}

#[tokio::test]
async fn a_command_that_is_delivered_again_is_answered_from_its_record() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let first = world.done(&place, finish("Hello.")).await;
    let requests = world.ledger("rest").await.len();
    let id = CommandId {
        turn: TurnId::from(question),
        generation: 0,
        part: 0,
        purpose: Purpose::Finish,
    };
    let command = Command { id, place: place.clone(), action: finish("Hello.") };
    let again = bus::Outgoing {
        subject: command.subject(),
        id: Some("another name".to_owned()),
        headers: Vec::new(),
        payload: contracts::envelope::encode(&command).into(),
    };
    world.bus().publish(&again).await.unwrap();
    let marker = world.mention("next").await;
    world.done(&world.place(marker), Action::React { emoji: "👀".to_owned() }).await;
    assert_eq!(world.result(id).await, first);
    assert_eq!(world.ledger("rest").await.len(), requests + 1, "only the reaction was sent");
}

#[tokio::test]
async fn an_open_that_comes_after_its_finish_changes_nothing() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let finished = world.done(&place, finish("Hello.")).await;
    assert_eq!(world.done(&place, open("Hel")).await, finished);
    assert_eq!(world.own_texts(world.channel).await, ["Hello."]);
}

#[tokio::test]
async fn notices_and_reactions_stand_beside_the_reply() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    world.done(&place, finish("Hello.")).await;
    let notice = Action::Notice { text: "One more thing.".to_owned() };
    assert_eq!(messages_of(&world.done(&place, notice).await).len(), 1);
    world.done(&place, Action::React { emoji: "👍".to_owned() }).await;
    assert_eq!(world.own_texts(world.channel).await, ["Hello.", "One more thing."]);
    let messages = world.messages(world.channel).await;
    let asked = messages.iter().find(|message| message["id"] == question.to_string()).unwrap();
    assert_eq!(asked["reactions"][0]["emoji"]["name"], "👍");
}

#[tokio::test]
async fn what_discord_will_not_do_is_told_with_its_class() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let question = world.mention("hi").await;
    let mut gone = world.place(question);
    gone.channel_id = ChannelId(5);
    let outcome = world.done(&gone, open("Hello")).await;
    assert!(
        matches!(outcome, Outcome::Failed { class: FailureClass::Gone, code: Some(10003), .. }),
        "{outcome:?}"
    );
    let path = format!("guilds/{}/channels/{}/deny", world.guild, world.channel);
    world.control(Method::PUT, &path, Some(json!({"permissions": ["SEND_MESSAGES"]}))).await;
    let denied = world.place(world.mention("again").await);
    let outcome = world.done(&denied, open("Hello")).await;
    assert!(
        matches!(outcome, Outcome::Failed { class: FailureClass::Forbidden, .. }),
        "{outcome:?}"
    );
    let odd = Action::React { emoji: "not an emoji at all".to_owned() };
    let outcome = world.done(&world.place(question), odd).await;
    assert!(matches!(outcome, Outcome::Failed { class: FailureClass::Invalid, .. }), "{outcome:?}");
}

#[tokio::test]
async fn trouble_at_discord_delays_a_command_and_never_loses_it() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let fault = json!({"target": "rest", "route": "/messages", "kind": "status", "status": 502, "count": 3});
    world.post("faults", fault).await;
    let question = world.mention("hi").await;
    world.done(&world.place(question), finish("Hello.")).await;
    assert_eq!(world.own_texts(world.channel).await, ["Hello."]);
}

#[tokio::test]
async fn one_slow_channel_does_not_hold_up_another() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let slow = format!("/channels/{}/messages", world.channel);
    let fault = json!({"target": "rest", "route": slow, "kind": "rate_limit_shared", "retry_after_ms": 20_000});
    world.post("faults", fault).await;
    let question = world.mention("hi").await;
    world.command(&world.place(question), finish("slow")).await;
    eventually("the slow one is limited", async || !world.requests("POST", &slow).await.is_empty())
        .await;
    let path = format!("guilds/{}/channels", world.guild);
    let other = world.post(&path, json!({"name": "other"})).await;
    let other = ChannelId(other["id"].as_str().unwrap().parse().unwrap());
    let asked = world.say_in(other, world.user, &format!("<@{}> hi", world.bot)).await;
    let mut place = world.place(asked);
    place.channel_id = other;
    world.done(&place, finish("fast")).await;
    assert_eq!(world.own_texts(other).await, ["fast"]);
    assert!(world.own_texts(world.channel).await.is_empty());
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_buried_and_the_next_one_is_done() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let nonsense = bus::Outgoing {
        subject: "discord.command.open.5".to_owned(),
        id: None,
        headers: Vec::new(),
        payload: "{\"schema\":1,\"nonsense\":true}".into(),
    };
    world.bus().publish(&nonsense).await.unwrap();
    let question = world.mention("hi").await;
    world.done(&world.place(question), finish("Hello.")).await;
    let mut dead = world.consume(stream::DEAD_LETTERS.name).await;
    let letter = dead.next().await.unwrap();
    assert_eq!(letter.payload, nonsense.payload);
    assert_eq!(letter.header(contracts::dead_letter::SUBJECT), Some("discord.command.open.5"));
}

#[tokio::test]
async fn a_finish_knows_the_messages_that_the_worker_remembers() {
    let world = World::new().await;
    let gateway = world.connected().await;
    let question = world.mention("hi").await;
    let place = world.place(question);
    let opened = messages_of(&world.done(&place, open("Hel")).await);
    let turns = world.bus().bucket(stream::TURNS.name).await.unwrap();
    turns.delete(&question.to_string()).await.unwrap();
    gateway.kill();
    let _gateway = world.connected().await;
    let known = Action::FinishReply { text: "Hello.".to_owned(), messages: opened.clone() };
    assert_eq!(messages_of(&world.done(&place, known).await), opened);
    let texts = appears("the final text", async || {
        let texts = world.own_texts(world.channel).await;
        (texts == ["Hello."]).then_some(texts)
    })
    .await;
    assert_eq!(texts.len(), 1);
}
