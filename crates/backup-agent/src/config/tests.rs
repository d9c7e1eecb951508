//! What settings become, and what is said of wrong ones.

use chassis::settings::keys_of;
use chassis::{Faults, Reader, Source};

use super::*;

fn read(pairs: &'static [(&str, &str)]) -> Result<Config, Faults> {
    let source = Source::new(move |key| {
        pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
    });
    let mut reader = Reader::new(source);
    let config = Config::read(&mut reader);
    reader.finish(config)
}

#[test]
fn only_the_password_is_needed() {
    let config = read(&[("BACKUP_REPOSITORY_PASSWORD", "correct horse")]).unwrap();
    assert_eq!(config.databases[0].to_string(), "conversations=data/conversation.db");
    assert_eq!(config.keep.conversations_days, 35);
    let times: Vec<String> =
        config.schedule.patterns.iter().map(|(job, pattern)| format!("{job} {pattern}")).collect();
    assert_eq!(
        times,
        [
            "full 0 2 * * *",
            "differential 0 */6 * * *",
            "audit 30 3 * * *",
            "verification 0 4 * * 0"
        ]
    );
    assert!(!format!("{config:?}").contains("correct horse"));
}

#[test]
fn every_fault_is_named_at_once() {
    let faults = read(&[
        ("BACKUP_DATABASES", "a=/x, a=/y"),
        ("BACKUP_FOLDERS", "config:secrets=/config"),
        ("BACKUP_FULL_AT", "at night"),
        ("BACKUP_KEEP_DAILY", "0"),
        ("TZ", "Mars/Olympus"),
    ])
    .unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "BACKUP_DATABASES",
        "BACKUP_FOLDERS",
        "BACKUP_REPOSITORY_PASSWORD",
        "BACKUP_FULL_AT",
        "TZ",
        "BACKUP_KEEP_DAILY",
    ];
    assert_eq!(keys, expected, "{}", faults.one_line());
}

#[test]
fn a_default_can_be_written_down_and_is_read_back_as_itself() {
    let keys = keys_of(Config::read);
    let default = |name: &str| {
        let key = keys.iter().find(|key| key.name == name).expect("a known setting");
        key.default.clone().unwrap_or_default()
    };
    let places: Places = default("BACKUP_DATABASES").parse().unwrap();
    assert_eq!(places.0.len(), 1);
    assert_eq!(default("BACKUP_FOLDERS").parse::<Places>().unwrap().0, []);
    assert!(default("BACKUP_FULL_AT").parse::<Pattern>().is_ok());
}

#[test]
fn words_of_people_are_kept_for_weeks_and_settings_for_years() {
    let config = read(&[
        ("BACKUP_REPOSITORY_PASSWORD", "p"),
        ("BACKUP_FOLDERS", "config:settings=/config, photos=/photos"),
        ("BACKUP_KEEP_CONVERSATIONS_DAYS", "10"),
    ])
    .unwrap();
    assert_eq!(config.folders[0].class, Some(Class::Settings));
    assert_eq!(config.folders[1].class, None);
    let conversations = config.keep.rules(Class::Conversations);
    assert_eq!((conversations.monthly, conversations.days_max), (0, Some(10)));
    assert_eq!(config.keep.rules(Class::Settings), Rules::of(Class::Settings));
    assert_eq!(config.keep.rules(Class::Volume).yearly, 5);
}
