//! Our lenient reading of Discord's events agrees with the gateway library's full model.

use contracts::discord::{Frame, Message, MessageDeleteBulk};
use serde_json::{Value, json};
use twilight_model::gateway::payload::incoming;

fn message() -> Value {
    json!({
        "id": "1001", "channel_id": "2", "guild_id": "1", "type": 19, "tts": false, "pinned": false,
        "author": {"id": "6", "username": "haru", "discriminator": "0", "avatar": null,
                   "global_name": "はる", "bot": false, "public_flags": 0},
        "member": {"nick": "はるさん", "roles": [], "joined_at": "2026-01-01T00:00:00.000000+00:00",
                   "deaf": false, "mute": false, "flags": 0},
        "content": "<@5> こんにちは", "timestamp": "2026-01-01T00:00:00.000000+00:00",
        "edited_timestamp": "2026-01-01T00:00:01.000000+00:00", "mention_everyone": false,
        "mentions": [{"id": "5", "username": "kotonoha", "discriminator": "0", "avatar": null,
                      "bot": true, "public_flags": 0,
                      "member": {"roles": [], "joined_at": null, "deaf": false, "mute": false,
                                 "flags": 0}}],
        "mention_roles": [], "attachments": [{"id": "9", "filename": "a.txt", "size": 4,
            "url": "https://example.com/a.txt", "proxy_url": "https://example.com/a.txt",
            "content_type": "text/plain"}],
        "embeds": [], "components": [], "flags": 0, "nonce": "k1",
        "message_reference": {"type": 0, "message_id": "1000", "channel_id": "2"},
        "referenced_message": null
    })
}

#[test]
fn a_message_reads_the_same() {
    let theirs: incoming::MessageCreate = serde_json::from_value(message()).expect("theirs");
    let frame = json!({"t": "MESSAGE_CREATE", "s": 3, "op": 0, "d": message()});
    let ours = serde_json::from_value::<Frame<Message>>(frame).expect("ours").d;
    assert_eq!(ours.id.0, theirs.id.get());
    assert_eq!(ours.channel_id.0, theirs.channel_id.get());
    assert_eq!(ours.guild_id.map(|id| id.0), theirs.guild_id.map(twilight_model::id::Id::get));
    assert_eq!(ours.author.id.0, theirs.author.id.get());
    assert_eq!(ours.author_name(), theirs.member.as_ref().unwrap().nick.as_deref().unwrap());
    assert_eq!(ours.content, theirs.content);
    assert_eq!(ours.mentions[0].id.0, theirs.mentions[0].id.get());
    assert_eq!(ours.attachments[0].filename, theirs.attachments[0].filename);
    assert_eq!(ours.kind, u8::from(theirs.kind));
    let reference = ours.message_reference.expect("a reply");
    let their_reference = theirs.reference.as_ref().expect("a reply");
    assert_eq!(
        reference.message_id.map(|id| id.0),
        their_reference.message_id.map(twilight_model::id::Id::get)
    );
}

#[test]
fn nulls_and_missing_fields_are_read_as_nothing() {
    let mut sparse = message();
    for field in ["content", "mentions", "attachments", "type", "member", "message_reference"] {
        sparse[field] = Value::Null;
    }
    let read: Message = serde_json::from_value(sparse).expect("nulls are fine");
    assert_eq!((read.content.as_str(), read.kind), ("", 0));
    assert_eq!(read.author_name(), "はる");
    let least = json!({"id": "1", "channel_id": "2", "author": {"id": "3"}});
    let read: Message = serde_json::from_value(least).expect("missing fields are fine");
    assert!(read.mentions.is_empty());
}

#[test]
fn a_bulk_deletion_reads_the_same() {
    let value = json!({"ids": ["1", "2"], "channel_id": "3", "guild_id": "4"});
    let theirs: incoming::MessageDeleteBulk = serde_json::from_value(value.clone()).unwrap();
    let ours: MessageDeleteBulk = serde_json::from_value(value).unwrap();
    let their_ids: Vec<u64> = theirs.ids.iter().map(|id| id.get()).collect();
    assert_eq!(ours.ids.iter().map(|id| id.0).collect::<Vec<_>>(), their_ids);
}
