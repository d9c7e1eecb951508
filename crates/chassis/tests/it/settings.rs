//! Settings: where values come from, and that nothing wrong goes unsaid.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chassis::settings::{Key, LogFormat, keys_of};
use chassis::{Common, ExposeSecret as _, Faults, OnFault, Reader, Source};
use proptest::prelude::*;

fn source(pairs: &[(&str, &str)]) -> Source {
    let map: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Source::new(move |key| map.get(key).cloned())
}

fn reader(pairs: &[(&str, &str)]) -> Reader {
    Reader::new(source(pairs))
}

/// The faults after `read`, which must find some.
fn faults_of<T>(mut reader: Reader, read: impl FnOnce(&mut Reader) -> T) -> Faults {
    drop(read(&mut reader));
    reader.finish(Some(())).unwrap_err()
}

#[test]
fn an_empty_environment_gives_the_defaults() {
    let mut reader = Reader::new(Source::empty());
    let common = Common::read(&mut reader);
    let common = reader.finish(Some(common)).unwrap();
    assert_eq!(common.health_listen, SocketAddr::from(([0, 0, 0, 0], 8080)));
    assert_eq!(common.log.format, LogFormat::Auto);
    assert_eq!((common.log.file_bytes_max, common.log.file_count), (10_485_760, 5));
    assert_eq!(common.nats.url, "nats://127.0.0.1:4222");
    assert_eq!(common.shutdown_grace, Duration::from_secs(20));
}

#[test]
fn common_settings_are_read_from_their_keys() {
    let mut reader = reader(&[
        ("HEALTH_LISTEN", "127.0.0.1:0"),
        ("READY_FILE", "/tmp/ready"),
        ("LOG_LEVEL", "info,bus=debug"),
        ("LOG_FORMAT", "JSON"),
        ("LOG_DIR", "/var/log/kotonoha"),
        ("NATS_URL", "nats://nats:4222"),
        ("NATS_USER", "bot"),
        ("NATS_PASSWORD", "hunter2"),
        ("SHUTDOWN_GRACE_SECONDS", "2.5"),
        ("KOTONOHA_ON_FAULT", "stay"),
    ]);
    let common = Common::read(&mut reader);
    let common = reader.finish(Some(common)).unwrap();
    assert_eq!(common.health_listen.port(), 0);
    assert_eq!(common.ready_file.as_deref(), Some(Path::new("/tmp/ready")));
    assert_eq!(common.log.level.to_string(), "info,bus=debug");
    assert_eq!(common.log.format, LogFormat::Json);
    assert_eq!(common.log.directory.as_deref(), Some(Path::new("/var/log/kotonoha")));
    assert_eq!(common.nats.password.as_ref().unwrap().expose_secret(), "hunter2");
    assert_eq!(common.shutdown_grace, Duration::from_millis(2500));
    assert_eq!(common.on_fault, OnFault::Stay);
    assert!(!format!("{common:?}").contains("hunter2"), "Debug keeps secrets");
}

#[test]
fn faulty_common_settings_fall_back_and_are_all_named() {
    let mut reader = reader(&[
        ("HEALTH_LISTEN", "8080"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FORMAT", "xml"),
        ("LOG_FILE_COUNT", "0"),
        ("NATS_USER", "bot"),
        ("SHUTDOWN_GRACE_SECONDS", "-1"),
        ("KOTONOHA_ON_FAULT", "panic"),
    ]);
    let common = Common::read(&mut reader);
    assert_eq!(common.health_listen, Common::default().health_listen);
    let faults = reader.finish(Some(common)).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "HEALTH_LISTEN",
            "LOG_LEVEL",
            "LOG_FORMAT",
            "LOG_FILE_COUNT",
            "NATS_USER",
            "SHUTDOWN_GRACE_SECONDS",
            "KOTONOHA_ON_FAULT",
        ]
    );
    assert!(faults.one_line().contains("ADDRESS:PORT"), "{faults}");
    assert!(!faults.one_line().contains('\n'));
}

#[test]
fn tables_of_the_file_are_flattened_and_the_environment_wins() {
    let toml = "
        [discord]
        allowed-guilds = [1, 2]
        token = 'from the file'
        [model.price]
        input_usd_per_mtok = 0.5
        [turns]
        per_user_per_day = 40
    ";
    let source = source(&[("DISCORD_TOKEN", "from the environment")]).with_toml("k.toml", toml);
    let mut reader = Reader::new(source);
    let guilds: Vec<u64> = reader.list("DISCORD_ALLOWED_GUILDS");
    let token = reader.secret("DISCORD_TOKEN", "set it").unwrap();
    let price = reader.or("MODEL_PRICE_INPUT_USD_PER_MTOK", 0.0_f64);
    let turns = reader.or("TURNS_PER_USER_PER_DAY", 10_u32);
    reader.finish(Some(())).unwrap();
    assert_eq!(guilds, [1, 2]);
    assert_eq!(token.expose_secret(), "from the environment");
    assert_eq!((price.to_string().as_str(), turns), ("0.5", 40));
}

#[test]
fn a_key_the_file_misspells_is_a_fault_with_a_guess_and_another_service_s_is_none() {
    let toml = "[discord]\ntokn = 'x'\n[weather]\nforecast = true\n";
    let mut reader = Reader::new(Source::empty().with_toml("k.toml", toml));
    let token = reader.optional_secret("DISCORD_TOKEN");
    assert_eq!(reader.unused(), ["weather.forecast in k.toml"]);
    let faults = reader.finish(Some(token)).expect_err("a misspelt key");
    let text = faults.to_string();
    assert!(text.contains("discord.tokn in k.toml"), "{text}");
    assert!(text.contains("did you mean DISCORD_TOKEN?"), "{text}");
    assert_eq!(faults.len(), 1, "{text}");
}

#[test]
fn a_malformed_or_missing_or_ambiguous_file_is_a_fault() {
    let text = faults_of(Reader::new(Source::empty().with_toml("k.toml", "[discord")), |_| ());
    assert!(text.to_string().contains("k.toml is not valid TOML"), "{text}");
    let text = faults_of(reader(&[("KOTONOHA_CONFIG", "/nowhere/k.toml")]), |_| ());
    assert!(text.to_string().contains("/nowhere/k.toml, which cannot be read"), "{text}");
    let twice = "a_b = 1\n[a]\nb = 2\n";
    let text = faults_of(Reader::new(Source::empty().with_toml("k.toml", twice)), |reader| {
        reader.or("A_B", 0)
    });
    assert!(text.to_string().contains("both mean A_B"), "{text}");
    let nested = "[[a]]\nb = 2\n";
    let text = faults_of(Reader::new(Source::empty().with_toml("k.toml", nested)), |_| ());
    assert!(text.to_string().contains("list of tables"), "{text}");
}

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "hunter2\r\n").unwrap();
    let mut reader = reader(&[("DISCORD_TOKEN_FILE", path.to_str().unwrap())]);
    let token = reader.secret("DISCORD_TOKEN", "set it").unwrap();
    reader.finish(Some(())).unwrap();
    assert_eq!(token.expose_secret(), "hunter2");
}

#[test]
fn a_secret_that_cannot_be_had_is_named_but_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let huge = folder.path().join("huge");
    fs::write(&huge, vec![b'x'; 100_000]).unwrap();
    let missing = folder.path().join("missing");
    for (path, part) in
        [(&empty, "is empty"), (&huge, "100000 bytes"), (&missing, "cannot be read")]
    {
        let path = path.to_str().unwrap();
        let faults =
            faults_of(reader(&[("TOKEN_FILE", path)]), |reader| reader.secret("TOKEN", "set it"));
        assert_eq!(faults.len(), 1);
        let text = faults.to_string();
        assert!(text.contains(part) && text.contains(path) && text.contains("remedy:"), "{text}");
    }
    let both = reader(&[("TOKEN", "hunter2"), ("TOKEN_FILE", empty.to_str().unwrap())]);
    let text = faults_of(both, |reader| reader.secret("TOKEN", "set it")).to_string();
    assert!(text.contains("both set") && !text.contains("hunter2"), "{text}");
    let absent = faults_of(reader(&[]), |reader| reader.secret("TOKEN", ("set it", "設定する")));
    let text = absent.to_string();
    assert!(text.contains("remedy: set it") && text.contains("対処: 設定する"), "{text}");
}

#[test]
fn a_value_that_cannot_be_read_says_what_was_expected() {
    let pairs = [("PORT", "eighty"), ("RATIO", "half"), ("FLAG", "maybe"), ("GUILDS", "1,x,3")];
    let faults = faults_of(reader(&pairs), |reader| {
        reader.or("PORT", 1_u16);
        reader.optional::<f64>("RATIO");
        reader.or("FLAG", true);
        assert_eq!(reader.list::<u64>("GUILDS"), [1, 3]);
    });
    let text = faults.to_string();
    for part in
        ["\"eighty\"", "whole number", "\"half\"", "0.5", "\"maybe\"", "true or false", "\"x\""]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert_eq!(faults.len(), 4);
}

#[test]
fn an_empty_value_counts_as_absent() {
    let mut reader = reader(&[("PORT", ""), ("NAME", "  ")]);
    assert_eq!(reader.or("PORT", 7_u16), 7);
    assert_eq!(reader.optional::<String>("NAME"), None);
    reader.finish(Some(())).unwrap();
}

#[test]
fn giving_up_without_a_fault_is_itself_reported() {
    let faults = reader(&[]).finish::<()>(None).unwrap_err();
    assert!(faults.to_string().contains("report this as a bug"));
}

#[test]
fn every_key_asked_for_is_listed_once_with_default_and_secrecy() {
    let keys = keys_of(|reader| {
        reader.or("PORT", 5_u16);
        reader.or("PORT", 5_u16);
        reader.secret("TOKEN", "set it").map(drop)
    });
    let key = |name: &str| {
        let found: Vec<&Key> = keys.iter().filter(|key| key.name == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].clone()
    };
    assert_eq!(key("PORT").default.as_deref(), Some("5"));
    assert!(key("TOKEN").secret && key("TOKEN").required);
    assert!(key("NATS_PASSWORD").secret && !key("NATS_PASSWORD").required);
    assert_eq!(key("LOG_LEVEL").default.as_deref(), Some("info"));
    assert_eq!(key("KOTONOHA_CONFIG").default, None);
}

proptest! {
    #[test]
    fn a_value_in_the_file_reads_as_in_the_environment(
        text in "[a-zA-Z0-9 äぁ\"'\\\\#=\\[\\]-]{0,30}",
        number in any::<i64>(),
        flag in any::<bool>(),
    ) {
        let mut table = toml::Table::new();
        let mut inner = toml::Table::new();
        inner.insert("text".into(), text.clone().into());
        inner.insert("number".into(), number.into());
        inner.insert("flag".into(), flag.into());
        table.insert("a".into(), inner.into());
        let file = Source::empty().with_toml("k.toml", &table.to_string());
        let environment = source(&[
            ("A_TEXT", &text),
            ("A_NUMBER", &number.to_string()),
            ("A_FLAG", &flag.to_string()),
        ]);
        let read = |source: Source| {
            let mut reader = Reader::new(source);
            let values = (
                reader.optional::<String>("A_TEXT"),
                reader.optional::<i64>("A_NUMBER"),
                reader.optional::<bool>("A_FLAG"),
            );
            reader.finish(Some(values)).unwrap()
        };
        let from_file = read(file);
        prop_assert_eq!(from_file.1, Some(number));
        prop_assert_eq!(from_file, read(environment));
    }

    #[test]
    fn each_faulty_key_gives_exactly_one_fault(faulty in prop::collection::vec(any::<bool>(), 1..20)) {
        let pairs: BTreeMap<String, String> = faulty
            .iter()
            .enumerate()
            .map(|(index, faulty)| (format!("KEY_{index}"), if *faulty { "x" } else { "1" }.into()))
            .collect();
        let mut reader = Reader::new(Source::new(move |key| pairs.get(key).cloned()));
        for index in 0..faulty.len() {
            reader.or(&format!("KEY_{index}"), 0_u8);
        }
        let count = reader.finish(Some(())).map_or_else(|faults| faults.len(), |()| 0);
        prop_assert_eq!(count, faulty.iter().filter(|faulty| **faulty).count());
    }

    #[test]
    fn no_text_upsets_the_file_reader(text in "\\PC{0,200}|(\\[[a-z.]{0,8}\\]|[a-z.]{1,5} = [0-9\"\\[{]{0,4}|\n){0,20}") {
        let mut reader = Reader::new(Source::empty().with_toml("k.toml", &text));
        Common::read(&mut reader);
        drop(reader.finish(Some(())));
    }

    #[test]
    fn a_range_is_kept(value in any::<i32>(), low in -100_i32..0, high in 0_i32..100) {
        let text = value.to_string();
        let mut reader = reader(&[("N", &text)]);
        let read = reader.in_range("N", 0, low..=high);
        let within = (low..=high).contains(&value);
        prop_assert_eq!(read, if within { value } else { 0 });
        prop_assert_eq!(reader.finish(Some(())).is_ok(), within);
    }
}
