//! Ids, subjects and nonces: what is written can be read, and nothing else can.

use contracts::event::{EventMeta, PlaceKind, Reason, event_id};
use contracts::id::{ChannelId, CommandId, GuildId, MessageId, Purpose, TurnId, UserId};
use contracts::nonce::{Nonce, NoncePurpose};
use contracts::subject::{self, EventSubject, Scope};
use proptest::prelude::*;

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![
        Just(Purpose::Thread),
        Just(Purpose::Open),
        Just(Purpose::Finish),
        Just(Purpose::Notice),
        Just(Purpose::React),
    ]
}

fn command_id() -> impl Strategy<Value = CommandId> {
    (1..u64::MAX, any::<u32>(), any::<u16>(), purpose()).prop_map(
        |(turn, generation, part, purpose)| CommandId {
            turn: TurnId(turn),
            generation,
            part,
            purpose,
        },
    )
}

proptest! {
    #[test]
    fn a_command_id_survives_being_written_and_read(id in command_id()) {
        prop_assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
    }

    #[test]
    fn no_text_makes_a_command_id_panic(text in ".{0,60}") {
        if let Ok(id) = text.parse::<CommandId>() {
            prop_assert_eq!(id.to_string().parse::<CommandId>(), Ok(id));
        }
    }

    #[test]
    fn an_event_subject_survives_being_written_and_read(
        kind in "[A-Z_]{1,30}",
        guild in proptest::option::of(1..u64::MAX),
        channel in proptest::option::of(1..u64::MAX),
    ) {
        let subject = EventSubject {
            kind,
            scope: guild.map_or(Scope::Direct, |guild| Scope::Guild(GuildId(guild))),
            channel: channel.map(ChannelId),
        };
        prop_assert_eq!(subject.to_string().parse::<EventSubject>(), Ok(subject));
    }

    #[test]
    fn no_event_type_can_break_out_of_its_token(kind in ".{1,40}") {
        let subject = EventSubject { kind, scope: Scope::Direct, channel: None }.to_string();
        prop_assert_eq!(subject.split('.').count(), 5);
        prop_assert!(!subject.contains([' ', '*', '>']));
    }

    #[test]
    fn no_provider_name_can_break_out_of_its_token(provider in ".{0,40}") {
        let subject = subject::usage(&provider);
        prop_assert_eq!(subject.split('.').count(), 3);
        prop_assert!(!subject.contains([' ', '*', '>']));
        prop_assert!(!subject.ends_with('.'));
    }

    #[test]
    fn a_nonce_fits_into_discords_limit_and_names_one_part(
        turn in 1..u64::MAX, part in any::<u16>(), other in any::<u16>(),
    ) {
        let nonce = Nonce::derive(TurnId(turn), part, NoncePurpose::Answer);
        prop_assert!(nonce.as_str().len() <= 25);
        prop_assert_eq!(&nonce, &Nonce::derive(TurnId(turn), part, NoncePurpose::Answer));
        prop_assert_ne!(&nonce, &Nonce::derive(TurnId(turn), part, NoncePurpose::Notice));
        if other != part {
            prop_assert_ne!(&nonce, &Nonce::derive(TurnId(turn), other, NoncePurpose::Answer));
        }
    }

    #[test]
    fn event_headers_survive_being_written_and_read(
        shard in any::<u32>(), sequence in proptest::option::of(any::<u64>()),
        received in any::<u64>(), bot in proptest::option::of(1..u64::MAX),
        locale in proptest::option::of("[a-z]{2}(-[A-Z]{2})?"),
    ) {
        let meta = EventMeta {
            shard, sequence, received_unix_ms: received,
            reason: Some(Reason::OwnThread), place: Some(PlaceKind::InPlace),
            bot: bot.map(UserId), locale,
        };
        let headers = meta.headers();
        let read = EventMeta::from_headers(|name| {
            headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
        });
        prop_assert_eq!(read, meta);
    }
}

#[test]
fn a_message_has_one_name_however_it_was_found() {
    let message = Some(MessageId(42));
    assert_eq!(event_id("MESSAGE_CREATE", message, "s1", 7), "create:42");
    assert_eq!(event_id("MESSAGE_CREATE", message, "s2", 9), "create:42");
    assert_eq!(event_id("MESSAGE_UPDATE", message, "s1", 8), "s1:8");
}

#[test]
fn a_snowflake_knows_when_it_was_made() {
    // The example of Discord's reference: 175928847299117063 is 2016-04-30 11:18:25.796 UTC.
    assert_eq!(MessageId(175_928_847_299_117_063).created_unix_ms(), 1_462_015_105_796);
    let lower = MessageId::at_unix_ms(1_462_015_105_796);
    assert!(lower <= MessageId(175_928_847_299_117_063));
    assert_eq!(lower.created_unix_ms(), 1_462_015_105_796);
}

#[test]
fn ids_are_read_from_strings_and_numbers_and_written_as_strings() {
    assert_eq!(serde_json::from_str::<MessageId>("\"42\"").unwrap(), MessageId(42));
    assert_eq!(serde_json::from_str::<MessageId>("42").unwrap(), MessageId(42));
    assert_eq!(serde_json::to_string(&MessageId(42)).unwrap(), "\"42\"");
    for wrong in ["\"\"", "\"-1\"", "\"0\"", "\"4a\"", "null", "\"99999999999999999999\""] {
        assert!(serde_json::from_str::<MessageId>(wrong).is_err(), "{wrong}");
    }
}
