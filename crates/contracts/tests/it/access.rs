//! Who may do what on the bus: the table is pinned, and what must never be possible is said here
//! in words of its own.

use contracts::access::{self, ADMIN, CONVERSATION_WORKER, GATEWAY, OPERATOR, ROLES, Role, covers};
use contracts::stream::STREAMS;

fn users_who_may_publish(subject: &str) -> Vec<&'static str> {
    let may = |role: &&Role| role.rights().may_publish(subject);
    ROLES.iter().filter(may).map(|role| role.user).collect()
}

fn users_who_may_hear(subject: &str) -> Vec<&'static str> {
    let may = |role: &&Role| role.rights().may_subscribe(subject);
    ROLES.iter().filter(may).map(|role| role.user).collect()
}

#[test]
fn the_rights_of_every_user_are_pinned() {
    let text: Vec<String> = ROLES
        .iter()
        .map(|role| {
            let rights = role.rights();
            let list = |title: &str, subjects: &[String]| {
                let lines: Vec<String> =
                    subjects.iter().map(|subject| format!("  {title} {subject}\n")).collect();
                lines.concat()
            };
            format!(
                "{}\n{}{}{}",
                role.user,
                list("publish", &rights.publish),
                list("never publish", &rights.publish_not),
                list("subscribe", &rights.subscribe)
            )
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn each_message_has_one_service_that_may_send_it() {
    assert_eq!(users_who_may_publish("discord.event.MESSAGE_CREATE.1.2"), ["gateway", "operator"]);
    assert_eq!(users_who_may_publish("discord.command.open.2"), ["conversation-worker"]);
    assert_eq!(users_who_may_publish("discord.draft.9"), ["conversation-worker"]);
    assert_eq!(users_who_may_publish("discord.result.9.0.0.open"), ["gateway"]);
    assert_eq!(users_who_may_publish("gateway.status.0"), ["gateway"]);
    assert_eq!(users_who_may_publish("conversation.usage.openai"), ["conversation-worker"]);
    assert_eq!(users_who_may_publish("dead.gateway.oversize"), ["gateway"]);
    assert_eq!(users_who_may_publish("$KV.settings.thread.1"), ["gateway"]);
    assert_eq!(users_who_may_publish("$KV.leases.sender"), [""; 0]);
}

#[test]
fn people_s_words_are_read_by_those_who_answer_and_by_their_owner() {
    for words in ["discord.event.MESSAGE_CREATE.1.2", "discord.command.open.2"] {
        assert_eq!(users_who_may_hear(words), ["operator"]);
    }
    assert_eq!(users_who_may_hear("discord.draft.9"), ["gateway", "operator"]);
    for stream in STREAMS {
        let get = format!("$JS.API.STREAM.MSG.GET.{}", stream.name);
        assert_eq!(users_who_may_publish(&get), ["operator"]);
    }
    let next = "$JS.API.CONSUMER.MSG.NEXT.DISCORD_EVENTS.conversation-worker";
    assert_eq!(users_who_may_publish(next), ["conversation-worker"]);
}

#[test]
fn nobody_empties_or_deletes_a_stream_and_only_admin_makes_one() {
    for stream in access::declared() {
        for verb in ["DELETE", "PURGE", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE"] {
            let subject = format!("$JS.API.STREAM.{verb}.{stream}");
            assert_eq!(users_who_may_publish(&subject), [""; 0], "{subject}");
        }
        for verb in ["CREATE", "UPDATE"] {
            let subject = format!("$JS.API.STREAM.{verb}.{stream}");
            assert_eq!(users_who_may_publish(&subject), [ADMIN.user], "{subject}");
        }
    }
    assert_eq!(users_who_may_publish("$JS.API.STREAM.CREATE.ANOTHER"), [""; 0]);
    for server in ["$SYS.REQ.SERVER.PING", "$JS.API.ACCOUNT.PURGE.x", "$JS.API.SERVER.REMOVE"] {
        assert_eq!((users_who_may_publish(server), users_who_may_hear(server)), (vec![], vec![]));
    }
}

#[test]
fn the_admin_reads_nothing_and_says_nothing() {
    let rights = ADMIN.rights();
    assert_eq!(rights.subscribe, ["_INBOX_admin.>"]);
    let harmless = ["$JS.API.INFO", "$JS.API.STREAM.*.*"];
    assert!(rights.publish.iter().all(|right| harmless.iter().any(|own| covers(own, right))));
}

#[test]
fn nobody_hears_another_s_inbox_and_nobody_hears_all() {
    for role in ROLES {
        for whole in [">", "*", "_INBOX.>", "_INBOX.x", "*.>", "$JS.>", "$KV.>", "$SYS.>"] {
            assert!(!role.rights().may_subscribe(whole), "{} hears {whole}", role.user);
            assert!(!role.rights().may_publish(whole), "{} publishes {whole}", role.user);
        }
        for other in ROLES {
            let heard = role.rights().may_subscribe(&format!("{}.x.y", other.inbox()));
            assert_eq!(heard, role.user == other.user, "{} hears {}", role.user, other.user);
            let written = role.rights().may_publish(&format!("{}.x", other.inbox()));
            assert!(!written, "{} writes into the inbox of {}", role.user, other.user);
        }
    }
}

#[test]
fn the_operator_s_consumers_are_any_but_the_services() {
    let rights = OPERATOR.rights();
    assert!(rights.may_publish("$JS.API.CONSUMER.CREATE.DISCORD_COMMANDS.replay.discord.>"));
    for role in ROLES {
        for durable in role.reads {
            for verb in ["CREATE", "DELETE", "MSG.NEXT"] {
                let subject =
                    format!("$JS.API.CONSUMER.{verb}.{}.{}", durable.stream, durable.name);
                assert!(!rights.may_publish(&subject), "{subject}");
            }
            let ack = format!("$JS.ACK.{}.{}.1.1.1.1.0", durable.stream, durable.name);
            assert!(!rights.may_publish(&ack), "{ack}");
        }
    }
}

#[test]
fn what_a_service_publishes_into_is_what_it_waits_for() {
    let gateway = ["DEAD_LETTERS", "DISCORD_COMMANDS", "DISCORD_EVENTS", "DISCORD_RESULTS"];
    assert_eq!(GATEWAY.streams(), gateway);
    let worker = ["DEAD_LETTERS", "DISCORD_COMMANDS", "DISCORD_EVENTS", "DISCORD_RESULTS", "USAGE"];
    assert_eq!(CONVERSATION_WORKER.streams(), worker);
}

#[test]
fn a_pattern_covers_what_it_means_and_no_more() {
    for (pattern, subject) in [
        ("a.>", "a.b"),
        ("a.>", "a.b.c"),
        ("a.*", "a.b"),
        ("a.*.c", "a.b.c"),
        (">", "a"),
        ("a.>", "a.*"),
    ] {
        assert!(covers(pattern, subject), "{pattern} covers {subject}");
    }
    for (pattern, subject) in [
        ("a.>", "a"),
        ("a.*", "a.b.c"),
        ("a.*", "a.>"),
        ("a.b", "a.*"),
        ("a", "a.b"),
        ("a.b", "a.c"),
    ] {
        assert!(!covers(pattern, subject), "{pattern} does not cover {subject}");
    }
}
