//! Redaction: no secret survives in any surroundings, and harmless text does.

use chassis::telemetry::redact_text;
use proptest::prelude::*;

/// Secrets by shape, each with the part of it that must never be seen.
fn secret() -> impl Strategy<Value = (String, String)> {
    let whole = |text: String| (text.clone(), text);
    prop_oneof![
        // A Discord bot token: base64 of the user id, a time, a signature.
        "[MNO][A-Za-z0-9_-]{23,27}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z][A-Za-z0-9_-]{26,37}"
            .prop_map(whole),
        "sk-(proj-|ant-api03-|)[A-Za-z0-9_]{16,60}".prop_map(whole),
        "AIza[A-Za-z0-9_-]{35}".prop_map(whole),
        "eyJ[A-Za-z0-9_-]{20,40}\\.eyJ[A-Za-z0-9_-]{20,60}\\.[A-Za-z][A-Za-z0-9_-]{30,50}"
            .prop_map(whole),
        "[A-Za-z0-9._~+/=-]{1,60}"
            .prop_map(|secret| (format!("Bearer {secret}"), format!("earer {secret}"))),
        "[A-Za-z0-9_-]{60,68}".prop_map(|secret| {
            (format!("https://discord.com/api/webhooks/1234567890123456789/{secret}"), secret)
        }),
        "[a-z0-9][a-z0-9._+-]{0,20}@[a-z0-9]{1,12}\\.(com|co\\.jp|example)".prop_map(whole),
        "[A-Za-z0-9]{8,20}".prop_map(|secret| (format!("nats://bot:{secret}@nats:4222"), secret)),
        (
            "(password|api_key|client_secret|TOKEN|x-api-key)",
            "(=|: |\": \"|: Some\\(\")",
            "[A-Za-z0-9]{8,30}"
        )
            .prop_map(|(key, between, secret)| (format!("{key}{between}{secret}"), secret)),
        ("(Basic|Bot|Bearer)", "[A-Za-z0-9+/]{12,30}")
            .prop_map(|(scheme, secret)| (format!("Authorization: {scheme} {secret}"), secret)),
    ]
}

/// Surroundings that do not themselves lengthen a secret at its edges.
fn surroundings() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~]{0,30}[ \"',;({\\[]",
        "[ぁ-んァ-ヶ一-龠 、。「」]{1,20}",
        "\\PC{0,30} ",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_secret_survives(
        before in surroundings(),
        (shown, hidden) in secret(),
        after in surroundings(),
    ) {
        let text = format!("{before}{shown} {after}");
        prop_assume!(!before.contains(&hidden) && !after.contains(&hidden));
        let redacted = redact_text(&text);
        prop_assert!(!redacted.contains(&hidden), "{redacted}");
        prop_assert!(redacted.contains("[redacted]"), "{redacted}");
    }

    #[test]
    fn any_text_is_taken_and_a_second_pass_changes_nothing(text in "\\PC{0,200}") {
        let once = redact_text(&text).into_owned();
        let twice = redact_text(&once);
        prop_assert_eq!(&once, &twice);
    }

    #[test]
    fn text_made_of_the_scanner_s_own_words_is_taken_too(
        words in prop::collection::vec(
            prop_oneof![
                Just("bearer"), Just("Bearer "), Just("@"), Just("."), Just("token"), Just("="),
                Just(": "), Just("\""), Just("Some("), Just("sk-"), Just("AIza"), Just("://"),
                Just("/webhooks/"), Just("1"), Just("/"), Just("日本"), Just("eyJaaaaaaaa"),
                Just("authorization"), Just("basic "), Just("\\"), Just("a@b.cd"), Just("[redacted]"),
            ],
            0..24,
        ),
    ) {
        let once = redact_text(&words.concat()).into_owned();
        let twice = redact_text(&once).into_owned();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn plain_words_are_left_alone(text in "([a-z]{1,9}|[0-9]{17,20}|[ぁ-ん]{1,9})( [a-z]{1,9}| <@[0-9]{17,20}>)*") {
        prop_assume!(!text.contains("bearer"));
        prop_assert_eq!(redact_text(&text), text.as_str());
    }
}

#[test]
fn what_operators_read_every_day_is_left_alone() {
    for text in [
        "subject discord.event.message_create.1234567890123456789.1234567890123456789",
        "input_tokens: 1200, output_tokens=300, max_tokens = 4096",
        "listening on http://0.0.0.0:8080/health",
        "thread 'main' at crates/chassis/src/lifecycle.rs:12:5",
        "nats://127.0.0.1:4222 is connected, server 2.15.1",
        "risk-assessment of task-sk-1 done in 0.25 s",
        "DISCORD_TOKEN is not set, nor is DISCORD_TOKEN_FILE",
        "mentioned <@1234567890123456789> and @everyone",
        "2026-11-22T15:00:00.123Z",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "トークンの数は 12 です",
    ] {
        assert_eq!(redact_text(text), text);
    }
}

#[test]
fn debug_output_of_headers_and_options_is_covered() {
    for (text, hidden) in [
        (r#"{"authorization": "Bot abc.def.ghi", "accept": "*/*"}"#, "abc.def.ghi"),
        (r#"Settings { api_key: Some("hunter2"), url: "x" }"#, "hunter2"),
        (r#"\"password\":\"hunter2\""#, "hunter2"),
        ("GET /v1?api_key=hunter2&x=1", "hunter2"),
        ("Authorization: Basic aHVudGVyMg==", "aHVudGVyMg"),
        ("connect wss://user:hunter2@host.example/path?x=1", "hunter2"),
        ("/api/v10/interactions/123/aW50ZXJhY3Rpb24/callback", "aW50ZXJhY3Rpb24"),
    ] {
        let redacted = redact_text(text);
        assert!(!redacted.contains(hidden), "{redacted}");
    }
    let kept = redact_text("GET /v1?api_key=hunter2&x=1").into_owned();
    assert_eq!(kept, "GET /v1?api_key=[redacted]&x=1");
}
