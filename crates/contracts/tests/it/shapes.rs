//! The bodies on the wire, one snapshot each.

use contracts::command::{
    Action, Command, CommandResult, FailureClass, Outcome, Place, ThreadPlan,
};
use contracts::draft::Draft;
use contracts::envelope::{DecodeError, SCHEMA, decode, encode};
use contracts::heartbeat::{Heartbeat, Phase};
use contracts::id::{ChannelId, CommandId, GuildId, MessageId, Purpose, TurnId, UserId};
use contracts::status::{GatewayStatus, ShardState};
use contracts::stream::{BUCKETS, STREAMS};
use contracts::usage::{UsageOutcome, UsageRecorded};
use serde::Serialize;
use serde::de::DeserializeOwned;

const TURN: TurnId = TurnId(1001);

fn place() -> Place {
    Place {
        guild_id: Some(GuildId(1)),
        channel_id: ChannelId(2),
        question: MessageId(1001),
        thread: Some(ThreadPlan { name: "はじめまして".to_owned() }),
    }
}

fn command(action: Action) -> Command {
    let id = CommandId { turn: TURN, generation: 0, part: 0, purpose: action.purpose() };
    Command { id, place: place(), action }
}

/// The body's JSON, after showing that it is read back as it was written.
fn wire<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: &T) -> String {
    let bytes = encode(body);
    assert_eq!(&decode::<T>(&bytes).expect("what is written can be read"), body);
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[test]
fn commands_are_pinned() {
    let actions = [
        Action::OpenThread,
        Action::OpenReply { text: "こんにちは".to_owned() },
        Action::FinishReply { text: "こんにちは。".to_owned(), messages: vec![MessageId(3)] },
        Action::Notice { text: "少し待ってください".to_owned() },
        Action::React { emoji: "👀".to_owned() },
    ];
    let lines: Vec<String> = actions
        .into_iter()
        .map(|action| {
            let command = command(action);
            format!("{} {}", command.subject(), wire(&command))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn results_drafts_status_and_usage_are_pinned() {
    let id = CommandId { turn: TURN, generation: 1, part: 0, purpose: Purpose::Finish };
    let done = Outcome::Done { channel_id: ChannelId(1001), messages: vec![MessageId(3)] };
    let failed = Outcome::Failed {
        class: FailureClass::Forbidden,
        code: Some(50_013),
        reason: "Missing Permissions".to_owned(),
    };
    let lines = [
        wire(&CommandResult { command: id, outcome: done }),
        wire(&CommandResult { command: id, outcome: failed }),
        wire(&Draft {
            turn: TURN,
            generation: 0,
            revision: 4,
            place: place(),
            text: "こん".to_owned(),
        }),
        wire(&GatewayStatus {
            shard: 0,
            shards: 1,
            state: ShardState::Connected,
            latency_ms: Some(40),
            identifies_left: Some(999),
            bot: Some(UserId(5)),
            sender: true,
            at_unix_ms: 1_700_000_000_000,
        }),
        wire(&UsageRecorded {
            attempt: "1001.0.0".to_owned(),
            turn: TURN,
            user_id: UserId(6),
            guild_id: None,
            provider: "openai".to_owned(),
            model: "small".to_owned(),
            input_tokens: 100,
            output_tokens: 20,
            estimated: false,
            first_text_ms: Some(300),
            duration_ms: 900,
            outcome: UsageOutcome::Completed,
            error: None,
            cost_nano_usd: Some(1200),
            at_unix_ms: 1_700_000_000_000,
        }),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn heartbeats_are_pinned() {
    let begun = Heartbeat {
        service: "backup-agent".to_owned(),
        job: "backup-full".to_owned(),
        started_at_unix_ms: 1_700_000_000_000,
        at_unix_ms: 1_700_000_000_000,
        next_at_unix_ms: Some(1_700_086_400_000),
        phase: Phase::Started,
    };
    let failed = Heartbeat {
        at_unix_ms: 1_700_000_009_000,
        next_at_unix_ms: None,
        phase: Phase::Failed { error: "the disk is full".to_owned() },
        ..begun.clone()
    };
    let lines =
        [begun, failed].map(|beat| format!("{} {} {}", beat.subject(), beat.id(), wire(&beat)));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ops.heartbeat.backup-full backup-agent.backup-full.1700000000000.started {"schema":1,"service":"backup-agent","job":"backup-full","started_at_unix_ms":1700000000000,"at_unix_ms":1700000000000,"next_at_unix_ms":1700086400000,"phase":"started"}
    ops.heartbeat.backup-full backup-agent.backup-full.1700000000000.failed {"schema":1,"service":"backup-agent","job":"backup-full","started_at_unix_ms":1700000000000,"at_unix_ms":1700000009000,"phase":"failed","error":"the disk is full"}
    "#);
}

#[test]
fn streams_and_buckets_are_pinned() {
    insta::assert_debug_snapshot!((STREAMS, BUCKETS));
}

#[test]
fn a_body_of_a_newer_schema_is_refused_with_what_to_do() {
    let newer = SCHEMA + 1;
    let text = format!("{{\"schema\":{newer},\"command\":\"1.0.0.open\",\"future\":true}}");
    let error = decode::<CommandResult>(text.as_bytes()).expect_err("newer than we are");
    assert!(matches!(error, DecodeError::Schema { found } if found == newer), "{error}");
    assert!(error.to_string().contains("same release"), "{error}");
}

#[test]
fn unknown_fields_of_the_same_schema_are_no_fault() {
    let mut value: serde_json::Value =
        serde_json::from_slice(&encode(&command(Action::OpenThread))).unwrap();
    value["added_later"] = 1.into();
    value["place"]["added_later"] = 1.into();
    let read: Command = decode(&serde_json::to_vec(&value).unwrap()).unwrap();
    assert_eq!(read, command(Action::OpenThread));
}

#[test]
fn a_reply_goes_into_its_thread_and_else_into_its_channel() {
    assert_eq!(place().target(), ChannelId(1001));
    assert_eq!(Place { thread: None, ..place() }.target(), ChannelId(2));
}
