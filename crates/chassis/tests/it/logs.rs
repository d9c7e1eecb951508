//! What a service's log looks like, and what never reaches it.

use rustix::process::Signal;
use serde_json::Value;

use crate::children::{Specimen, TOKEN};

fn json_lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn log_of(specimen: Specimen) -> String {
    let end = specimen.conduct("brief").output();
    assert_eq!(end.status.code(), Some(0), "{end:?}");
    String::from_utf8(end.stdout).unwrap()
}

#[test]
fn a_json_line_says_when_who_where_and_in_which_trace() {
    let lines = json_lines(&log_of(Specimen::new()));
    let greeting = lines.iter().find(|line| line["message"] == "こんにちは").unwrap();
    let time = greeting["time"].as_str().unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{time}");
    assert_eq!(greeting["level"], "info");
    assert_eq!(greeting["target"], "specimen");
    assert_eq!(greeting["service"], "chassis");
    assert_eq!(greeting["version"], env!("CARGO_PKG_VERSION"));
    assert!(greeting["pid"].as_u64().unwrap() > 1);
    assert!(!greeting["hostname"].as_str().unwrap().is_empty());
    assert_eq!(greeting["span"], "greeting");
    assert_eq!(greeting["turn.id"], 7);
    assert_eq!(greeting["usage.input_tokens"], 12, "a count of tokens is no secret");
    let trace = greeting["trace_id"].as_str().unwrap();
    assert_eq!((trace.len(), greeting["span_id"].as_str().unwrap().len()), (32, 16));
    let same = lines.iter().filter(|line| line["trace_id"] == *trace).count();
    assert_eq!(same, 5, "all lines within one span belong to one trace");
    let up = lines.iter().find(|line| line["service.address"].is_string()).unwrap();
    assert_eq!(up.get("trace_id"), None);
}

#[test]
fn a_fatal_event_is_a_level_of_its_own() {
    let lines = json_lines(&log_of(Specimen::new()));
    let worst = lines.iter().find(|line| line["message"] == "worst of six levels").unwrap();
    assert_eq!(worst["level"], "fatal");

    let only = json_lines(&log_of(Specimen::new().set("LOG_LEVEL", "fatal")));
    assert_eq!(only.len(), 1, "{only:?}");
    assert_eq!(only[0]["message"], "worst of six levels");
}

#[test]
fn grep_finds_errors_by_the_word_that_operators_search_for() {
    let log = log_of(Specimen::new());
    let found: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("worst of six levels"), "{found:?}");
}

#[test]
fn lines_are_counted_by_level() {
    let running = Specimen::new().set("LOG_LEVEL", "debug").start();
    running.wait_for("/hello", 200);
    let metrics = running.get("/metrics").1;
    let counted = |level: &str| {
        let name = format!("log_lines_total{{level=\"{level}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
    };
    assert_eq!(counted("fatal"), Some(1), "{metrics}");
    assert!(counted("info").unwrap() > 3 && counted("debug").unwrap() > 0, "{metrics}");
}

#[test]
fn the_level_follows_the_settings_file_while_the_service_runs() {
    let specimen = Specimen::new();
    let file = specimen.folder.path().join("settings.toml");
    std::fs::write(&file, "[log]\nlevel = 'warn'\n").unwrap();
    let mut running = specimen.set("KOTONOHA_CONFIG", &file).start();
    running.wait_for("/hello", 200);
    std::fs::write(&file, "[log]\nlevel = 'info,specimen=debug'\n").unwrap();
    running.line_with("the log's level has changed");
    assert_eq!(running.seen_with("somebody said hello"), 0);
    running.wait_for("/hello", 200);
    running.line_with("somebody said hello");

    std::fs::write(&file, "[log]\nlevel = 'deafening'\n").unwrap();
    let line = running.line_with("LOG_LEVEL stays as it is");
    assert!(line.contains("deafening"), "{line}");
    assert_eq!(running.get("/health").0, 200);
}

#[test]
fn what_is_below_info_goes_to_the_file_only_when_asked_for() {
    for (level, expected) in [(None, false), (Some("debug"), true)] {
        let specimen = Specimen::new().set("LOG_LEVEL", "debug").conduct("brief");
        let logs = specimen.folder.path().join("logs");
        let specimen = specimen.set("LOG_DIR", &logs);
        let specimen = match level {
            Some(level) => specimen.set("LOG_FILE_LEVEL", level),
            None => specimen,
        };
        let (end, _folder) = specimen.output_and_keep();
        assert!(String::from_utf8(end.stdout).unwrap().contains("seen at debug only"));
        let file = std::fs::read_to_string(logs.join("chassis.log")).unwrap();
        assert!(file.contains("こんにちは"), "{file}");
        assert_eq!(file.contains("seen at debug only"), expected, "{file}");
    }
}

#[test]
fn the_level_can_be_chosen_by_target() {
    let debug = log_of(Specimen::new().set("LOG_LEVEL", "warn,specimen=debug"));
    assert!(debug.contains("seen at debug only"));
    assert!(!debug.contains("is up"), "other targets stay at warn");
    assert!(!log_of(Specimen::new()).contains("seen at debug only"));
    assert_eq!(log_of(Specimen::new().set("LOG_LEVEL", "off")), "");
}

#[test]
fn trace_ids_are_there_even_when_spans_are_below_the_level() {
    let lines = json_lines(&log_of(Specimen::new().set("LOG_LEVEL", "error")));
    let worst = lines.iter().find(|line| line["level"] == "fatal").unwrap();
    assert_eq!(worst["trace_id"].as_str().map(str::len), Some(32));
}

#[test]
fn secrets_and_addresses_reach_no_output_in_no_format() {
    for format in ["json", "human"] {
        let specimen = Specimen::new().set("LOG_FORMAT", format);
        let logs = specimen.folder.path().join("logs");
        let specimen = specimen.set("LOG_DIR", &logs).conduct("brief");
        let end = specimen.output_and_keep();
        let file = std::fs::read_to_string(logs.join("chassis.log")).unwrap();
        let stdout = String::from_utf8(end.0.stdout).unwrap();
        for text in [&stdout, &file] {
            assert!(!text.contains(TOKEN), "{text}");
            assert!(!text.contains("someone@example.com"), "{text}");
            assert_eq!(text.matches("[redacted]").count(), 4, "{text}");
        }
    }
}

#[test]
fn nothing_logged_can_forge_a_line_or_a_colour() {
    let human = log_of(Specimen::new().set("LOG_FORMAT", "human"));
    let line = human.lines().find(|line| line.contains("こんにちは")).unwrap();
    assert!(line.contains(r#"forged="line\n\u{1b}[31mred""#), "{line}");
    assert!(!human.contains('\u{1b}'), "no colours where there is no terminal");
    let json = json_lines(&log_of(Specimen::new()));
    assert!(json.iter().any(|line| line["forged"] == "line\n\u{1b}[31mred"));
}

#[test]
fn the_file_holds_every_line_to_the_last() {
    let specimen = Specimen::new();
    let logs = specimen.folder.path().join("logs");
    let running = specimen
        .set("LOG_DIR", &logs)
        .set("LOG_TIME_ZONE", "local")
        .set("TZ", "Asia/Tokyo")
        .start();
    running.wait_for("/hello", 200);
    running.signal(Signal::TERM);
    let (end, _folder) = running.end_and_keep();
    let file = std::fs::read_to_string(logs.join("chassis.log")).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(lines, end.lines, "JSON on standard output and in the file are the same lines");
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["message"], "stopped");
    assert!(last["time"].as_str().unwrap().ends_with("+09:00"), "{last}");
}

#[test]
fn a_disk_that_is_full_from_the_start_keeps_no_service_from_its_work() {
    let specimen = Specimen::new();
    let logs = specimen.folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    std::os::unix::fs::symlink("/dev/full", logs.join("chassis.log")).unwrap();
    let mut running = specimen.set("LOG_DIR", &logs).start();
    running.line_with("log file cannot be written");
    assert_eq!(running.get("/hello").0, 200);
    let metrics = running.get("/metrics").1;
    assert!(metrics.contains("log_lines_lost_total{output=\"file\"}"), "{metrics}");
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(0));
}
