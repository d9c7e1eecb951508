//! REST as a bot's code meets it: messages, threads, permissions and their refusals.

use serde_json::{Value, json};

use crate::harness::World;

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

async fn world() -> World {
    World::start().await.without_limits().await
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_counted() {
    let world = world().await;
    let url = format!("{}/api/v10/users/@me", world.running.base_url());
    for token in ["", "Bot wrong", world.token()] {
        let answer = world.http.get(&url).header("authorization", token).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"message": "401: Unauthorized", "code": 0}));
    }
    let limits = world.control("GET", "limits", Value::Null).await;
    assert_eq!(limits["invalid_requests"], 3);
}

#[tokio::test]
async fn unknown_things_have_their_own_codes() {
    let world = world().await;
    let channel = format!("/channels/{}", world.channel(0));
    for (path, code) in [
        ("/channels/1".to_owned(), 10003),
        ("/guilds/1".to_owned(), 10004),
        ("/users/1".to_owned(), 10013),
        (format!("{channel}/messages/1"), 10008),
        (format!("/guilds/{}/members/1", world.guild()), 10007),
        (format!("/guilds/{}/roles/1", world.guild()), 10011),
        (format!("/applications/{}/commands/1", world.bot_id()), 10063),
        ("/applications/1/commands".to_owned(), 10002),
        ("/nowhere".to_owned(), 0),
    ] {
        world.api_refused("GET", &path, Value::Null, code).await;
    }
    let (status, body) = world.api("PATCH", "/gateway/bot", Value::Null).await;
    assert_eq!((status, body["message"].as_str()), (405, Some("405: Method Not Allowed")));
    let snowflake = world.api_refused("GET", "/channels/abc", Value::Null, 50035).await;
    assert_eq!(snowflake["errors"]["channel_id"]["_errors"][0]["code"], "NUMBER_TYPE_COERCE");
}

#[tokio::test]
async fn answers_are_exactly_json_and_of_every_version() {
    let world = world().await;
    for prefix in ["/api/v10", "/api/v9", "/api"] {
        let url = format!("{}{prefix}/gateway", world.running.base_url());
        let answer = world.http.get(url).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["url"], format!("ws://{}/", world.running.address()));
    }
}

#[tokio::test]
async fn messages_are_checked_as_discord_checks_them() {
    let world = world().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    world.api_refused("POST", &path, json!({"content": "  \n "}), 50006).await;
    world.api_refused("POST", &path, json!({}), 50006).await;
    let long = world.api_refused("POST", &path, json!({"content": "あ".repeat(2001)}), 50035).await;
    assert_eq!(
        long,
        json!({
            "message": "Invalid Form Body",
            "code": 50035,
            "errors": {"content": {"_errors": [{
                "code": "BASE_TYPE_MAX_LENGTH",
                "message": "Must be 2000 or fewer in length.",
            }]}},
        })
    );
    let sent = world.api_ok("POST", &path, json!({"content": "あ".repeat(2000)})).await;
    assert_eq!(sent["content"].as_str().unwrap().chars().count(), 2000);
    let trimmed = world.api_ok("POST", &path, json!({"content": "\n はい \n"})).await;
    assert_eq!(trimmed["content"], "はい");
    let embeds = json!([{"title": "x".repeat(257)}, {"fields": [{"name": "", "value": "v"}]}]);
    let bad = world.api_refused("POST", &path, json!({"embeds": embeds}), 50035).await;
    let embeds = &bad["errors"]["embeds"];
    assert_eq!(embeds["0"]["title"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH");
    assert_eq!(embeds["1"]["fields"]["0"]["name"]["_errors"][0]["code"], "BASE_TYPE_REQUIRED");
    let many: Vec<Value> = (0..2).map(|_| json!({"description": "x".repeat(3001)})).collect();
    let bad = world.api_refused("POST", &path, json!({"embeds": many}), 50035).await;
    assert_eq!(bad["errors"]["embeds"]["_errors"][0]["code"], "MAX_EMBED_SIZE_EXCEEDED");
    let url = format!("{}/api/v10{path}", world.running.base_url());
    let broken = world.http.post(url).header("authorization", format!("Bot {}", world.token()));
    let broken = broken.header("content-type", "application/json").body("{");
    let broken: Value = broken.send().await.unwrap().json().await.unwrap();
    assert_eq!(broken["code"], 50109);
}

#[tokio::test]
async fn replies_find_their_message_or_say_that_it_is_gone() {
    let world = world().await;
    let channel = world.channel(0);
    let path = format!("/channels/{channel}/messages");
    let asked = id(&world.say("hana", channel, "質問").await);
    let number: u64 = asked.parse().unwrap();
    let reply = json!({"content": "答え", "message_reference": {"message_id": number}});
    let sent = world.api_ok("POST", &path, reply).await;
    assert_eq!(sent["type"], 19);
    assert_eq!(sent["referenced_message"]["id"], asked);
    assert_eq!(sent["mentions"][0]["id"], world.user("hana"));
    world.control("DELETE", &format!("channels/{channel}/messages/{asked}"), json!({})).await;
    let got = world.api_ok("GET", &format!("{path}/{}", id(&sent)), Value::Null).await;
    assert!(got.as_object().unwrap().contains_key("referenced_message"));
    assert_eq!(got["referenced_message"], Value::Null);
    let late = json!({"content": "遅い", "message_reference": {"message_id": asked}});
    let refused = world.api_refused("POST", &path, late, 50035).await;
    let error = &refused["errors"]["message_reference"]["_errors"][0];
    assert_eq!(error["code"], "REPLIES_UNKNOWN_MESSAGE");
    let reference = json!({"message_id": asked, "fail_if_not_exists": false});
    let sent = world
        .api_ok("POST", &path, json!({"content": "遅い", "message_reference": reference}))
        .await;
    assert_eq!(sent["type"], 0);
}

#[tokio::test]
async fn mentions_ping_only_whom_they_may() {
    let world = world().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let (hana, sora) = (world.user("hana"), world.user("sora"));
    let content = format!("<@{hana}> <@{sora}> @everyone");
    let pinged = |message: &Value| -> Vec<String> {
        message["mentions"].as_array().unwrap().iter().map(id).collect()
    };
    let sent = world.api_ok("POST", &path, json!({"content": content})).await;
    assert_eq!(
        (pinged(&sent), &sent["mention_everyone"]),
        (vec![hana.into(), sora.into()], &json!(true))
    );
    let none = json!({"content": content, "allowed_mentions": {"parse": []}});
    let sent = world.api_ok("POST", &path, none.clone()).await;
    assert_eq!((pinged(&sent), &sent["mention_everyone"]), (vec![], &json!(false)));
    let one = json!({"content": content, "allowed_mentions": {"users": [sora]}});
    assert_eq!(pinged(&world.api_ok("POST", &path, one).await), [sora]);
    let one = format!("{path}/{}", id(&sent));
    assert_eq!(pinged(&world.api_ok("PATCH", &one, none).await), [""; 0]);
    // An edit that does not say so pings by default again.
    assert_eq!(pinged(&world.api_ok("PATCH", &one, json!({"content": content})).await).len(), 2);
    let both = json!({"content": "x", "allowed_mentions": {"parse": ["users"], "users": [sora]}});
    world.api_refused("POST", &path, both, 50035).await;
}

#[tokio::test]
async fn a_nonce_is_echoed_once_and_enforced_within_its_window() {
    let world = world().await;
    world.control("POST", "limits", json!({"nonce_window_ms": 60_000})).await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let body = json!({"content": "一度だけ", "nonce": "abc", "enforce_nonce": true});
    let first = world.api_ok("POST", &path, body.clone()).await;
    assert_eq!(first["nonce"], "abc");
    let second = world
        .api_ok("POST", &path, json!({"content": "別", "nonce": "abc", "enforce_nonce": true}))
        .await;
    assert_eq!((id(&second), &second["content"]), (id(&first), &json!("一度だけ")));
    let got = world.api_ok("GET", &format!("{path}/{}", id(&first)), Value::Null).await;
    assert_eq!(got.get("nonce"), None);
    let free = world.api_ok("POST", &path, json!({"content": "二度目", "nonce": "abc"})).await;
    assert_ne!(id(&free), id(&first));
    world.control("POST", "limits", json!({"nonce_window_ms": 0})).await;
    let later = world.api_ok("POST", &path, body.clone()).await;
    assert_ne!(id(&later), id(&first));
    world.control("POST", "limits", json!({"nonce_window_ms": 60_000})).await;
    let kept = world
        .api_ok("POST", &path, json!({"content": "x", "nonce": 7, "enforce_nonce": true}))
        .await;
    world.api_ok("DELETE", &format!("{path}/{}", id(&kept)), Value::Null).await;
    let gone = json!({"content": "x", "nonce": "7", "enforce_nonce": true});
    world.api_refused("POST", &path, gone, 10008).await;
    let long = json!({"content": "x", "nonce": "x".repeat(26)});
    world.api_refused("POST", &path, long, 50035).await;
}

#[tokio::test]
async fn only_the_author_edits_and_moderators_delete() {
    let world = world().await;
    let channel = world.channel(0);
    let path = format!("/channels/{channel}/messages");
    let asked = format!("{path}/{}", id(&world.say("hana", channel, "私の").await));
    world.api_refused("PATCH", &asked, json!({"content": "x"}), 50005).await;
    world.api_ok("PATCH", &asked, json!({"flags": 4})).await;
    world.api_ok("DELETE", &asked, Value::Null).await;
    let other = format!("{path}/{}", id(&world.say("hana", channel, "私の").await));
    let deny = format!("guilds/{}/channels/{channel}/deny", world.guild());
    world.control("PUT", &deny, json!({"permissions": ["MANAGE_MESSAGES"]})).await;
    world.api_refused("DELETE", &other, Value::Null, 50013).await;
    let own = world.api_ok("POST", &path, json!({"content": "自分の"})).await;
    let own = format!("{path}/{}", id(&own));
    world.api_refused("PATCH", &own, json!({"content": ""}), 50006).await;
    let edited = world.api_ok("PATCH", &own, json!({"content": "直した"})).await;
    assert!(edited["edited_timestamp"].as_str().unwrap().ends_with("+00:00"));
    world.api_ok("DELETE", &own, Value::Null).await;
    world.api_refused("PATCH", &own, json!({"content": "x"}), 10008).await;
}

#[tokio::test]
async fn lists_page_before_after_and_around() {
    let world = world().await;
    let channel = world.channel(0);
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(id(&world.say("hana", channel, &format!("{number}")).await));
    }
    let list = async |query: &str| -> Vec<usize> {
        let found = world
            .api_ok("GET", &format!("/channels/{channel}/messages?{query}"), Value::Null)
            .await;
        let place = |message: &Value| ids.iter().position(|one| *one == id(message)).unwrap();
        found.as_array().unwrap().iter().map(place).collect()
    };
    assert_eq!(list("limit=2").await, [5, 4]);
    assert_eq!(list(&format!("before={}&limit=2", ids[3])).await, [2, 1]);
    assert_eq!(list(&format!("after={}&limit=2", ids[1])).await, [3, 2]);
    assert_eq!(list(&format!("around={}&limit=3", ids[2])).await, [3, 2, 1]);
    let path = format!("/channels/{channel}/messages?limit=101");
    world.api_refused("GET", &path, Value::Null, 50035).await;
}

#[tokio::test]
async fn bulk_deletion_takes_two_to_a_hundred_young_messages() {
    let world = world().await;
    let channel = world.channel(0);
    let path = format!("/channels/{channel}/messages");
    let one = world.say("hana", channel, "一").await;
    let two = world.say("hana", channel, "二").await;
    let bulk = format!("{path}/bulk-delete");
    world.api_refused("POST", &bulk, json!({"messages": [one["id"]]}), 50016).await;
    world.api_refused("POST", &bulk, json!({"messages": ["1", "2"]}), 50034).await;
    world.api_ok("POST", &bulk, json!({"messages": [one["id"], two["id"]]})).await;
    assert_eq!(world.api_ok("GET", &path, Value::Null).await, json!([]));
}

#[tokio::test]
async fn threads_have_their_own_rules() {
    let world = world().await;
    let channel = world.channel(0);
    let asked = id(&world.say("hana", channel, "長い話").await);
    let from = format!("/channels/{channel}/messages/{asked}/threads");
    let bad = json!({"name": "", "auto_archive_duration": 43200});
    let bad = world.api_refused("POST", &from, bad, 50035).await;
    assert_eq!(bad["errors"]["name"]["_errors"][0]["code"], "BASE_TYPE_BAD_LENGTH");
    assert_eq!(bad["errors"]["auto_archive_duration"]["_errors"][0]["code"], "BASE_TYPE_CHOICES");
    let thread = world.api_ok("POST", &from, json!({"name": "話"})).await;
    assert_eq!((id(&thread), thread["type"].as_u64()), (asked.clone(), Some(11)));
    world.api_refused("POST", &from, json!({"name": "話"}), 160_004).await;
    let starter = world.api_ok("GET", &format!("/channels/{asked}/messages"), Value::Null).await;
    assert_eq!(
        (&starter[0]["type"], &starter[0]["referenced_message"]["id"]),
        (&json!(21), &json!(asked))
    );
    let parent =
        world.api_ok("GET", &format!("/channels/{channel}/messages/{asked}"), Value::Null).await;
    assert_eq!(parent["thread"]["id"], asked);
    let messages = format!("/channels/{asked}/messages");
    let sent = world.api_ok("POST", &messages, json!({"content": "中で"})).await;
    let edit = format!("{messages}/{}", id(&sent));
    world.api_ok("PATCH", &format!("/channels/{asked}"), json!({"archived": true})).await;
    world.api_refused("PATCH", &edit, json!({"content": "x"}), 50083).await;
    world.api_ok("POST", &messages, json!({"content": "起こす"})).await;
    let woken = world.api_ok("GET", &format!("/channels/{asked}"), Value::Null).await;
    assert_eq!(woken["thread_metadata"]["archived"], false);
    let deny = format!("guilds/{}/channels/{channel}/deny", world.guild());
    world.control("PUT", &deny, json!({"permissions": ["MANAGE_THREADS"]})).await;
    world
        .control(
            "PATCH",
            &format!("channels/{asked}/thread"),
            json!({"archived": true, "locked": true}),
        )
        .await;
    world.api_refused("POST", &messages, json!({"content": "x"}), 160_005).await;
    world
        .control(
            "PATCH",
            &format!("channels/{asked}/thread"),
            json!({"archived": false, "locked": false}),
        )
        .await;
    world.control("PUT", &deny, json!({"permissions": ["SEND_MESSAGES"]})).await;
    world.api_ok("POST", &messages, json!({"content": "スレッドなら話せる"})).await;
    world.control("PUT", &deny, json!({"permissions": ["SEND_MESSAGES_IN_THREADS"]})).await;
    world.api_refused("POST", &messages, json!({"content": "x"}), 50013).await;
}

#[tokio::test]
async fn permissions_are_what_the_channel_says() {
    let world = world().await;
    let channel = world.channel(0);
    let path = format!("/channels/{channel}/messages");
    let asked = id(&world.say("hana", channel, "こんにちは").await);
    let deny = format!("guilds/{}/channels/{channel}/deny", world.guild());
    let denied =
        async |names: &[&str]| world.control("PUT", &deny, json!({"permissions": names})).await;
    denied(&["READ_MESSAGE_HISTORY"]).await;
    assert_eq!(world.api_ok("GET", &path, Value::Null).await, json!([]));
    world.api_refused("GET", &format!("{path}/{asked}"), Value::Null, 50013).await;
    let reply = json!({"content": "x", "message_reference": {"message_id": asked}});
    world.api_refused("POST", &path, reply, 160_002).await;
    denied(&["ADD_REACTIONS"]).await;
    let react = format!("{path}/{asked}/reactions/%F0%9F%91%8D/@me");
    world.api_refused("PUT", &react, Value::Null, 50013).await;
    let thumb = json!({"author_id": world.user("sora"), "emoji": "👍"});
    world.control("POST", &format!("channels/{channel}/messages/{asked}/reactions"), thumb).await;
    world.api_ok("PUT", &react, Value::Null).await;
    denied(&["SEND_MESSAGES"]).await;
    world.api_refused("POST", &path, json!({"content": "x"}), 50013).await;
    world.api_refused("POST", &format!("/channels/{channel}/typing"), Value::Null, 50013).await;
    denied(&["VIEW_CHANNEL"]).await;
    world.api_refused("POST", &path, json!({"content": "x"}), 50001).await;
    let seen =
        world.api_ok("GET", &format!("/guilds/{}/channels", world.guild()), Value::Null).await;
    assert!(seen.as_array().unwrap().iter().all(|one| one["id"] != channel));
    denied(&[]).await;
    world.api_ok("POST", &path, json!({"content": "また話せる"})).await;
    let (status, refusal) = world.try_control("PUT", &deny, json!({"permissions": ["FLY"]})).await;
    assert_eq!(status, 400);
    assert!(refusal["error"].as_str().unwrap().contains("FLY"));
}

#[tokio::test]
async fn what_is_not_simulated_is_refused_rather_than_lost() {
    let world = world().await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let asked = id(&world.say("hana", world.channel(0), "質問").await);
    for (body, field) in [
        (json!({"content": "x", "components": [{"type": 1}]}), "components"),
        (json!({"content": "x", "poll": {"question": {"text": "?"}}}), "poll"),
    ] {
        let refused = world.api_refused("POST", &path, body, 50035).await;
        assert_eq!(refused["errors"][field]["_errors"][0]["code"], "NOT_SIMULATED");
    }
    let forward = json!({"message_reference": {"type": 1, "message_id": asked}, "content": "x"});
    world.api_refused("POST", &path, forward, 50035).await;
    world.api_ok("POST", &path, json!({"content": "x", "components": []})).await;
}

#[tokio::test]
async fn a_stranger_gets_no_direct_message() {
    let world = world().await;
    let stranger = world.control("POST", "users", json!({"name": "stranger"})).await;
    let channel = json!({"recipient_id": stranger["id"]});
    let channel = id(&world.api_ok("POST", "/users/@me/channels", channel).await);
    let path = format!("/channels/{channel}/messages");
    world.api_refused("POST", &path, json!({"content": "x"}), 50007).await;
    let own = world
        .api_ok("POST", "/users/@me/channels", json!({"recipient_id": world.user("hana")}))
        .await;
    world
        .api_ok("POST", &format!("/channels/{}/messages", id(&own)), json!({"content": "x"}))
        .await;
}

#[tokio::test]
async fn commands_are_replaced_at_once_and_capped() {
    let world = world().await;
    let path = format!("/applications/{}/commands", world.bot_id());
    let command = |name: &str| json!({"name": name, "description": "d"});
    let first = world.api_ok("PUT", &path, json!([command("a"), command("b")])).await;
    let second = world.api_ok("PUT", &path, json!([command("b")])).await;
    let kept = first.as_array().unwrap().iter().find(|one| one["name"] == "b").unwrap();
    assert_eq!(kept["id"], second[0]["id"]);
    let many: Vec<Value> = (0..101).map(|number| command(&format!("c{number}"))).collect();
    world.api_refused("PUT", &path, json!(many), 30032).await;
    assert_eq!(world.api_ok("GET", &path, Value::Null).await.as_array().unwrap().len(), 1);
    let menus: Vec<Value> =
        (0..16).map(|number| json!({"name": format!("m{number}"), "type": 3})).collect();
    world.api_refused("PUT", &path, json!(menus), 30032).await;
    let bad =
        world.api_refused("PUT", &path, json!([command("ok"), command("Bad Name")]), 50035).await;
    assert_eq!(
        bad["errors"]["1"]["name"]["_errors"][0]["code"],
        "APPLICATION_COMMAND_INVALID_NAME"
    );
    let bad = world.api_refused("POST", &path, json!({"name": "x"}), 50035).await;
    assert_eq!(bad["errors"]["description"]["_errors"][0]["code"], "BASE_TYPE_REQUIRED");
}
