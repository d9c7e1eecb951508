//! Every route's answer, held against Discord's own description of its API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use simulator::rest::route::ROUTES;

use crate::harness::{World, from_environment};

/// The description of Discord's API, or nothing where it is not at hand.
fn description() -> Option<Value> {
    let beside =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/discord-openapi.json");
    let path = from_environment("KOTONOHA_DISCORD_OPENAPI").unwrap_or(beside);
    let text = std::fs::read_to_string(path).ok()?;
    let mut description: Value = serde_json::from_str(&text).expect("the description is JSON");
    // The description calls the codes of field errors integers; Discord's reference shows words.
    let inner = description.pointer_mut("/components/schemas/InnerErrors/properties/_errors/items");
    *inner.expect("the description has field errors") = json!({
        "type": "object",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["code", "message"],
    });
    Some(description)
}

/// The schema of one answer, with everything it may refer to.
fn schema(description: &Value, route: &str, status: u64) -> Result<Option<Value>, String> {
    let (method, path) = route.split_once(' ').unwrap_or_default();
    let operation = &description["paths"][path][method.to_lowercase()];
    if operation.is_null() {
        return Err(format!("{route} is not in the description"));
    }
    let responses = &operation["responses"];
    let class = format!("{}XX", status / 100);
    let exact = &responses[status.to_string()];
    let response = if exact.is_null() { &responses[&class] } else { exact };
    if response.is_null() {
        return Err(format!("{route} never answers {status}"));
    }
    let response = match response["$ref"].as_str() {
        Some(reference) => {
            description.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null)
        }
        None => response,
    };
    let schema = &response["content"]["application/json"]["schema"];
    if schema.is_null() {
        return Ok(None);
    }
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    Ok(Some(whole))
}

/// Checks every REST entry of the ledger and returns what was wrong.
fn check(description: &Value, entries: &[Value]) -> Vec<String> {
    let mut validators: BTreeMap<(String, u64), Option<jsonschema::Validator>> = BTreeMap::new();
    let mut faults = Vec::new();
    for entry in entries {
        let Some(route) = entry["route"].as_str() else { continue };
        let status = entry["status"].as_u64().unwrap_or_default();
        let key = (route.to_owned(), status);
        let validator = match validators.entry(key) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                match schema(description, route, status) {
                    Ok(schema) => new.insert(schema.map(|schema| {
                        jsonschema::draft202012::new(&schema)
                            .expect("the description's schemas are valid")
                    })),
                    Err(fault) => {
                        faults.push(fault);
                        continue;
                    }
                }
            }
        };
        let answer = &entry["response"];
        match validator {
            None if answer.is_null() => {}
            None => faults.push(format!("{route} answers {status} with a body")),
            Some(validator) => {
                for error in validator.iter_errors(answer).take(3) {
                    let place = error.instance_path().to_string();
                    faults.push(format!("{route} {status} at {place}: {error}\n  in {answer}"));
                }
            }
        }
    }
    faults
}

/// A world in which every route has something to answer.
struct Everything {
    world: World,
    channel: String,
    user: String,
}

impl Everything {
    async fn start() -> Self {
        let world = World::start().await.without_limits().await;
        let guild = world.guild().to_owned();
        // With all permissions, so that every route can succeed.
        world.running.state().with(|core| {
            for guild in core.world.guilds.values_mut() {
                for role in guild.roles.values_mut().filter(|role| role.bot_id.is_some()) {
                    role.permissions = simulator::world::permissions::ALL;
                    role.position = 10;
                }
            }
        });
        assert!(!guild.is_empty());
        let channel = world.channel(0).to_owned();
        let user = world.user("sora").to_owned();
        Self { world, channel, user }
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        self.world.api_ok(method, path, body).await
    }

    async fn application_and_users(&self) {
        let (app, guild) = (self.world.bot_id(), self.world.guild());
        for path in ["/gateway", "/gateway/bot", "/oauth2/applications/@me", "/applications/@me"] {
            self.ok("GET", path, Value::Null).await;
        }
        self.ok("PATCH", "/applications/@me", json!({"description": "x"})).await;
        for base in [format!("/applications/{app}"), format!("/applications/{app}/guilds/{guild}")]
        {
            let options = json!([{
                "type": 3, "name": "question", "description": "質問", "required": true,
                "choices": [{"name": "a", "value": "b"}],
            }]);
            let command = json!({"name": "ask", "description": "聞く", "options": options});
            let made = self.ok("POST", &format!("{base}/commands"), command.clone()).await;
            self.ok("POST", &format!("{base}/commands"), command.clone()).await;
            let one = format!("{base}/commands/{}", made["id"].as_str().expect("an id"));
            self.ok("GET", &one, Value::Null).await;
            self.ok("PATCH", &one, json!({"description": "質問する"})).await;
            self.ok("GET", &format!("{base}/commands"), Value::Null).await;
            let message = json!({"type": 3, "name": "Why this?"});
            self.ok("PUT", &format!("{base}/commands"), json!([command, message])).await;
            self.ok("DELETE", &one, Value::Null).await;
        }
        self.ok("GET", "/users/@me", Value::Null).await;
        self.ok("PATCH", "/users/@me", json!({"username": "kotonoha"})).await;
        self.ok("GET", "/users/@me/guilds?with_counts=true", Value::Null).await;
        self.ok("GET", &format!("/users/@me/guilds/{guild}/member"), Value::Null).await;
        self.ok("POST", "/users/@me/channels", json!({"recipient_id": self.user})).await;
        self.ok("GET", &format!("/users/{}", self.user), Value::Null).await;
    }

    async fn channels(&self) {
        let path = format!("/channels/{}", self.channel);
        self.ok("GET", &path, Value::Null).await;
        self.ok("PATCH", &path, json!({"topic": "新しい話題"})).await;
        self.ok("POST", &format!("{path}/typing"), Value::Null).await;
        let overwrite = format!("{path}/permissions/{}", self.user);
        self.ok("PUT", &overwrite, json!({"type": 1, "deny": "2048"})).await;
        self.ok("GET", &path, Value::Null).await;
        self.ok("DELETE", &overwrite, Value::Null).await;
        let guild = format!("/guilds/{}", self.world.guild());
        self.ok("GET", &format!("{guild}/channels"), Value::Null).await;
        let news = json!({"name": "news", "type": 5});
        let news = self.ok("POST", &format!("{guild}/channels"), news).await;
        let news = format!("/channels/{}", news["id"].as_str().expect("an id"));
        let said = self.ok("POST", &format!("{news}/messages"), json!({"content": "号外"})).await;
        let said = said["id"].as_str().expect("an id").to_owned();
        self.ok("POST", &format!("{news}/messages/{said}/crosspost"), Value::Null).await;
        self.ok("DELETE", &news, Value::Null).await;
    }

    async fn messages(&self) {
        let path = format!("/channels/{}/messages", self.channel);
        let asked = self.world.say("hana", &self.channel, "質問です").await;
        let asked = asked["id"].as_str().expect("an id").to_owned();
        let embed = json!({
            "title": "題", "description": "本文", "url": "https://example.com", "color": 255,
            "fields": [{"name": "名", "value": "値"}], "footer": {"text": "下"},
            "author": {"name": "人"}, "image": {"url": "https://example.com/a.png"},
            "timestamp": "2026-01-01T00:00:00Z",
        });
        let reply = json!({
            "content": "答え", "embeds": [embed], "nonce": "n1", "enforce_nonce": true,
            "message_reference": {"message_id": asked},
        });
        let sent = self.ok("POST", &path, reply.clone()).await;
        let again = self.ok("POST", &path, reply).await;
        assert_eq!(sent["id"], again["id"]);
        self.upload().await;
        let one = format!("{path}/{}", sent["id"].as_str().expect("an id"));
        self.ok("PATCH", &one, json!({"content": "直した答え"})).await;
        self.ok("GET", &one, Value::Null).await;
        self.pins_and_reactions(&asked).await;
        self.ok("GET", &path, Value::Null).await;
        self.ok("DELETE", &one, Value::Null).await;
        let one = self.ok("POST", &path, json!({"content": "一"})).await;
        let two = self.ok("POST", &path, json!({"content": "二"})).await;
        self.ok(
            "POST",
            &format!("{path}/bulk-delete"),
            json!({"messages": [one["id"], two["id"]]}),
        )
        .await;
    }

    async fn upload(&self) {
        let url =
            format!("{}/api/v10/channels/{}/messages", self.world.running.base_url(), self.channel);
        let about = json!({"content": "添付", "attachments": [{"id": 0, "description": "絵"}]});
        let form = format!(
            "--cut\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{about}\r\n\
             --cut\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a b.png\"\r\n\
             Content-Type: image/png\r\n\r\nimage\r\n--cut--\r\n"
        );
        let request = self.world.http.post(url).body(form);
        let request = request.header("content-type", "multipart/form-data; boundary=cut");
        let request = request.header("authorization", format!("Bot {}", self.world.token()));
        let sent: Value = request.send().await.expect("sent").json().await.expect("JSON");
        let attachment = &sent["attachments"][0];
        assert_eq!(attachment["filename"], "a_b.png");
        assert_eq!(attachment["description"], "絵");
        let file = self.world.http.get(attachment["url"].as_str().expect("a url")).send().await;
        let file = file.expect("served");
        assert_eq!(file.headers()["content-type"], "image/png");
        assert_eq!(file.bytes().await.expect("bytes"), "image");
    }

    async fn pins_and_reactions(&self, message: &str) {
        let channel = format!("/channels/{}", self.channel);
        for pins in [format!("{channel}/messages/pins"), format!("{channel}/pins")] {
            self.ok("PUT", &format!("{pins}/{message}"), Value::Null).await;
            self.ok("GET", &pins, Value::Null).await;
            self.ok("DELETE", &format!("{pins}/{message}"), Value::Null).await;
        }
        let all = format!("{channel}/messages/{message}/reactions");
        let thumb = format!("{all}/%F0%9F%91%8D");
        self.ok("PUT", &format!("{thumb}/@me"), Value::Null).await;
        self.ok("GET", &thumb, Value::Null).await;
        self.ok("GET", &format!("{channel}/messages/{message}"), Value::Null).await;
        self.ok("DELETE", &format!("{thumb}/@me"), Value::Null).await;
        self.ok("DELETE", &format!("{thumb}/{}", self.user), Value::Null).await;
        self.ok("DELETE", &thumb, Value::Null).await;
        self.ok("DELETE", &all, Value::Null).await;
    }

    async fn threads(&self) {
        let channel = format!("/channels/{}", self.channel);
        let asked = self.world.say("hana", &self.channel, "長い話").await;
        let asked = asked["id"].as_str().expect("an id").to_owned();
        let from = format!("{channel}/messages/{asked}/threads");
        self.ok("POST", &from, json!({"name": "話"})).await;
        self.world.api_refused("POST", &from, json!({"name": "話"}), 160_004).await;
        let private = self.ok("POST", &format!("{channel}/threads"), json!({"name": "内緒"})).await;
        let private = format!("/channels/{}", private["id"].as_str().expect("an id"));
        self.ok("POST", &format!("{channel}/threads"), json!({"name": "公開", "type": 11})).await;
        let thread = format!("/channels/{asked}");
        let members = format!("{thread}/thread-members");
        self.ok("PUT", &format!("{members}/{}", self.user), Value::Null).await;
        self.ok("GET", &members, Value::Null).await;
        self.ok("GET", &format!("{members}/{}?with_member=true", self.user), Value::Null).await;
        self.ok("DELETE", &format!("{members}/{}", self.user), Value::Null).await;
        self.ok("DELETE", &format!("{members}/@me"), Value::Null).await;
        self.ok("PUT", &format!("{members}/@me"), Value::Null).await;
        let active = format!("/guilds/{}/threads/active", self.world.guild());
        self.ok("GET", &active, Value::Null).await;
        self.ok("GET", &format!("{thread}/messages"), Value::Null).await;
        self.ok("PATCH", &thread, json!({"archived": true})).await;
        self.ok("PATCH", &private, json!({"archived": true, "locked": true})).await;
        self.ok("GET", &format!("{channel}/threads/archived/public"), Value::Null).await;
        self.ok("GET", &format!("{channel}/threads/archived/private"), Value::Null).await;
        let joined = format!("{channel}/users/@me/threads/archived/private");
        self.ok("GET", &joined, Value::Null).await;
        self.ok("GET", &format!("{channel}/messages"), Value::Null).await;
    }

    async fn guild(&self) {
        let guild = format!("/guilds/{}", self.world.guild());
        self.ok("GET", &format!("{guild}?with_counts=true"), Value::Null).await;
        let role = json!({"name": "係", "permissions": "1024", "color": 255});
        let role = self.ok("POST", &format!("{guild}/roles"), role).await;
        let role = role["id"].as_str().expect("an id").to_owned();
        self.ok("GET", &format!("{guild}/roles"), Value::Null).await;
        self.ok("GET", &format!("{guild}/roles/{role}"), Value::Null).await;
        self.ok("PATCH", &format!("{guild}/roles/{role}"), json!({"hoist": true})).await;
        let member = format!("{guild}/members/{}", self.user);
        self.ok("PUT", &format!("{member}/roles/{role}"), Value::Null).await;
        self.ok("DELETE", &format!("{member}/roles/{role}"), Value::Null).await;
        self.ok("DELETE", &format!("{guild}/roles/{role}"), Value::Null).await;
        self.ok("GET", &format!("{guild}/members?limit=10"), Value::Null).await;
        self.ok("GET", &format!("{guild}/members/search?query=so"), Value::Null).await;
        self.ok("GET", &member, Value::Null).await;
        self.ok("PATCH", &member, json!({"nick": "空"})).await;
        self.ok("PATCH", &format!("{guild}/members/@me"), json!({"nick": "ことのは"})).await;
        self.ok("DELETE", &member, Value::Null).await;
        self.ok("DELETE", &format!("/users/@me{guild}"), Value::Null).await;
    }
}

#[tokio::test]
async fn every_answer_is_what_discord_describes() {
    let Some(description) = description() else {
        println!("skipped: no Discord API description");
        return;
    };
    let everything = Everything::start().await;
    everything.application_and_users().await;
    everything.channels().await;
    everything.messages().await;
    everything.threads().await;
    everything.guild().await;
    for path in ["/channels/1", "/users/1", "/guilds/1", "/channels/x"] {
        assert!(everything.world.api("GET", path, Value::Null).await.0 >= 400);
    }
    let entries = everything.world.ledger("rest").await;
    let answered: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| entry["status"].as_u64().is_some_and(|status| status < 300))
        .filter_map(|entry| entry["route"].as_str())
        .collect();
    let missing: Vec<&str> =
        ROUTES.iter().map(|route| route.name).filter(|name| !answered.contains(name)).collect();
    assert_eq!(missing, [""; 0], "routes that this test never saw succeed");
    let faults = check(&description, &entries);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
