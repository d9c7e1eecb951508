//! Whole lives of a service: how it starts, how it refuses to, and how it ends.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::children::{PATIENCE, Specimen};

#[test]
fn sigterm_and_sigint_end_a_service_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let running = Specimen::new().start();
        running.wait_for("/hello", 200);
        running.signal(signal);
        let end = running.end();
        assert_eq!(end.code, Some(0), "{end:?}");
        assert_eq!(end.lines_with("\"message\":\"stopped\""), 1, "{end:?}");
        assert_eq!(end.stderr, "");
    }
}

#[test]
fn a_service_that_ends_by_itself_exits_0_and_takes_its_ready_file_along() {
    let specimen = Specimen::new().conduct("brief");
    let ready_file = specimen.ready_file();
    let output = specimen.set("LOG_FORMAT", "human").output();
    assert_eq!(output.status.code(), Some(0));
    assert!(!ready_file.exists());
}

#[test]
fn a_service_is_not_healthy_before_it_has_declared_its_checks() {
    let running = Specimen::new().conduct("slow").start();
    let (status, health) = running.get_json("/health");
    assert_eq!(status, 503);
    assert_eq!(health["checks"]["start"]["reason"], "starting");
    assert_eq!(running.get("/health/live").0, 200);
    let first = running.wait_for("/health", 200);
    assert!(first.starts_with("{\"status\":\"healthy\",\"database\":\"connected\","), "{first}");
    assert!(!first.contains("start\""), "{first}");
}

#[test]
fn work_beyond_the_grace_period_is_cut_off_with_exit_code_1() {
    let running = Specimen::new().conduct("stubborn").set("SHUTDOWN_GRACE_SECONDS", "0.2").start();
    running.wait_for("/hello", 200);
    running.signal(Signal::TERM);
    let end = running.end();
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_eq!(end.lines_with("SHUTDOWN_GRACE_SECONDS"), 1, "{end:?}");
}

#[test]
fn a_second_signal_ends_a_service_at_once() {
    let mut running =
        Specimen::new().conduct("stubborn").set("SHUTDOWN_GRACE_SECONDS", "3600").start();
    running.wait_for("/hello", 200);
    running.signal(Signal::TERM);
    running.line_with("\"message\":\"stopping\"");
    assert_eq!(running.get("/health").0, 200, "a drain can be watched");
    assert_eq!(running.get_json("/health/ready").1["status"], "draining");
    running.signal(Signal::TERM);
    let end = running.end();
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_eq!(end.lines_with("second time"), 1, "{end:?}");
}

#[test]
fn an_open_request_does_not_keep_a_service_from_ending() {
    let running = Specimen::new().start();
    running.wait_for("/hello", 200);
    let mut held = TcpStream::connect(running.address).unwrap();
    held.write_all(b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut half = TcpStream::connect(running.address).unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nHo").unwrap();
    running.signal(Signal::TERM);
    let begun = Instant::now();
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(begun.elapsed() < PATIENCE / 2, "took {:?}", begun.elapsed());
    drop((held, half));
}

#[test]
fn an_error_of_the_work_is_logged_once_and_ends_with_exit_code_1() {
    let end = Specimen::new().conduct("failing").output();
    assert_eq!(end.status.code(), Some(1));
    let log = String::from_utf8(end.stdout).unwrap();
    assert_eq!(log.matches("failed to open the history: no such table").count(), 1, "{log}");
    assert!(
        log.lines().any(|line| line.contains("\"level\":\"fatal\"")
            && line.contains("failed to open the history"))
    );
}

#[test]
fn a_panic_of_the_work_is_a_fatal_line_and_exit_code_1() {
    let end = Specimen::new().conduct("panicking").output();
    assert_eq!(end.status.code(), Some(1));
    let log = String::from_utf8(end.stdout).unwrap();
    let line = log.lines().find(|line| line.contains("a broken invariant")).unwrap();
    assert!(line.contains("\"level\":\"fatal\""), "{line}");
    assert!(line.contains("specimen.rs"), "{line}");
    assert_eq!(String::from_utf8(end.stderr).unwrap(), "");
}

#[test]
fn a_panic_of_a_task_is_logged_and_counted() {
    let mut running = Specimen::new().conduct("wounded").start();
    running.line_with("a task broke");
    let metrics = running.wait_for("/metrics", 200);
    assert!(metrics.lines().any(|line| line == "panics_total 1"), "{metrics}");
}

#[test]
fn every_fault_is_printed_with_its_remedy_and_exit_code_64() {
    let end = Specimen::new()
        .unset("SPECIMEN_TOKEN")
        .set("SPECIMEN_CONDUCT", "odd")
        .set("LOG_LEVEL", "loud")
        .set("HEALTH_LISTEN", "nowhere")
        .output();
    assert_eq!(end.status.code(), Some(64));
    assert_eq!(String::from_utf8(end.stdout).unwrap(), "");
    let text = String::from_utf8(end.stderr).unwrap();
    assert!(text.contains("4 configuration faults:"), "{text}");
    for part in [
        "1. HEALTH_LISTEN is \"nowhere\"",
        "0.0.0.0:8080",
        "2. LOG_LEVEL is \"loud\"",
        "fatal",
        "3. SPECIMEN_CONDUCT is \"odd\"",
        "4. SPECIMEN_TOKEN is not set, nor is SPECIMEN_TOKEN_FILE",
        "remedy: set it to anything",
        "対処: 何か値を設定してください",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn where_an_exit_would_restart_without_end_a_fault_stays_up_and_is_named() {
    let mut running = Specimen::new()
        .unset("SPECIMEN_TOKEN")
        .set("LOG_LEVEL", "loud")
        .set("KOTONOHA_ON_FAULT", "stay")
        .start();
    let line = running.line_with("configuration is at fault");
    assert!(line.contains("SPECIMEN_TOKEN") && line.contains("LOG_LEVEL"), "{line}");
    assert!(line.contains("何か値を設定してください"), "{line}");
    let (status, health) = running.get_json("/health");
    assert_eq!((status, &health["status"]), (503, &"unhealthy".into()));
    let check = &health["checks"]["settings.SPECIMEN_TOKEN"];
    assert_eq!(check["status"], "failing");
    assert!(check["remedy"].as_str().unwrap().contains("set it to anything"), "{check}");
    assert_eq!(health["checks"]["settings.LOG_LEVEL"]["status"], "failing");
    assert_eq!(running.get("/health/live"), (200, "{\"status\":\"ok\"}".to_owned()));
    assert_eq!(running.get("/health/ready").0, 503);
    running.signal(Signal::TERM);
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.lines_with("configuration is at fault"), 1, "{end:?}");
}

#[test]
fn a_fault_found_late_is_treated_like_one_found_early() {
    let end = Specimen::new().conduct("refused").output();
    assert_eq!(end.status.code(), Some(64));
    let text = String::from_utf8(end.stderr).unwrap();
    assert!(text.contains("401") && text.contains("copy the token again"), "{text}");

    let running = Specimen::new().conduct("refused").set("KOTONOHA_ON_FAULT", "stay").start();
    running.wait_for_text("/health", "copy the token again");
    assert_eq!(running.get("/health").0, 503);
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let end = Specimen::new().set("HEALTH_LISTEN", address.to_string()).output();
    assert_eq!(end.status.code(), Some(64));
    let text = String::from_utf8(end.stderr).unwrap();
    assert!(text.contains(&format!("port {} is already taken", address.port())), "{text}");
    assert!(text.contains("ss -ltnp") && text.contains("ポート"), "{text}");
}

#[test]
fn a_service_that_is_to_stay_up_waits_for_a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let specimen =
        Specimen::new().set("HEALTH_LISTEN", address.to_string()).set("KOTONOHA_ON_FAULT", "stay");
    let mut starting = specimen.launch();
    starting.line_with("already taken");
    drop(taken);
    let running = starting.wait_until_ready();
    assert_eq!(running.address, address);
    assert_eq!(running.get("/health/live").0, 200);
}

#[test]
fn an_address_of_another_machine_is_named_with_what_to_do() {
    let end = Specimen::new().set("HEALTH_LISTEN", "203.0.113.1:8080").output();
    assert_eq!(end.status.code(), Some(64));
    let text = String::from_utf8(end.stderr).unwrap();
    assert!(text.contains("not an address of this machine"), "{text}");
}

#[test]
fn files_that_cannot_be_written_are_named_with_what_to_do() {
    let plain = tempfile::NamedTempFile::new().unwrap();
    let beneath = plain.path().join("logs");
    for key in ["LOG_DIR", "READY_FILE"] {
        let end = Specimen::new().set(key, &beneath).output();
        assert_eq!(end.status.code(), Some(64), "{key}");
        let text = String::from_utf8(end.stderr).unwrap();
        assert!(text.contains(&format!("1. {key} ")), "{text}");
        assert!(text.contains(beneath.to_str().unwrap()) && text.contains("書き込める"), "{text}");
    }
}

#[test]
fn a_log_folder_without_permission_does_not_keep_a_container_from_telling_so() {
    let plain = tempfile::NamedTempFile::new().unwrap();
    let running = Specimen::new()
        .set("LOG_DIR", plain.path().join("logs"))
        .set("KOTONOHA_ON_FAULT", "stay")
        .start();
    running.wait_for_text("/health", "settings.LOG_DIR");
    assert_eq!(running.get("/health").0, 503);
}

#[test]
fn the_ready_file_of_an_earlier_run_is_not_believed() {
    let specimen = Specimen::new().unset("SPECIMEN_TOKEN").set("KOTONOHA_ON_FAULT", "stay");
    std::fs::write(specimen.ready_file(), "127.0.0.1:1").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Specimen::new()
        .set("READY_FILE", specimen.ready_file())
        .set("HEALTH_LISTEN", taken.local_addr().unwrap().to_string())
        .output();
    assert_eq!(output.status.code(), Some(64));
    assert!(!specimen.ready_file().exists());
}

#[test]
fn healthcheck_tells_a_living_service_from_a_dead_one() {
    let running = Specimen::new().start();
    let ask = |path: Option<&str>| {
        let asking = Specimen::new()
            .set("READY_FILE", running.folder.path().join("ready"))
            .argument("healthcheck");
        match path {
            Some(path) => asking.argument(path).output(),
            None => asking.output(),
        }
    };
    let alive = ask(None);
    assert_eq!(alive.status.code(), Some(0));
    assert_eq!(String::from_utf8(alive.stdout).unwrap(), "{\"status\":\"ok\"}\n");
    let missing = ask(Some("/nothing"));
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stdout).unwrap().contains("answered 404"));

    let by_port = Specimen::new()
        .set("HEALTH_LISTEN", format!("0.0.0.0:{}", running.address.port()))
        .argument("healthcheck")
        .output();
    assert_eq!(by_port.status.code(), Some(0), "an unspecified address is asked on loopback");

    let address = running.address;
    running.signal(Signal::TERM);
    running.end();
    let dead =
        Specimen::new().set("HEALTH_LISTEN", address.to_string()).argument("healthcheck").output();
    assert_eq!(dead.status.code(), Some(1));
    assert!(String::from_utf8(dead.stdout).unwrap().contains("cannot be asked"));
}

#[test]
fn healthcheck_does_not_wait_without_end_for_a_service_that_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let hung = Specimen::new()
        .set("HEALTH_LISTEN", silent.local_addr().unwrap().to_string())
        .argument("healthcheck")
        .output();
    assert_eq!(hung.status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(10), "Docker would have given up first");
    assert!(String::from_utf8(hung.stdout).unwrap().contains("did not answer within"));
}

#[test]
fn help_version_and_wrong_arguments_are_answered_without_any_setting() {
    let help = Specimen::new().unset("SPECIMEN_TOKEN").argument("--help").output();
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for key in ["KOTONOHA_CONFIG", "HEALTH_LISTEN", "NATS_PASSWORD", "SPECIMEN_TOKEN"] {
        assert!(text.contains(key), "{key} is missing in {text}");
    }
    let version = Specimen::new().argument("--version").output();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("chassis {}\n", env!("CARGO_PKG_VERSION"))
    );
    let wrong = Specimen::new().argument("--fast").output();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("argument --fast is not known"));
}

#[test]
fn settings_come_from_a_toml_file_too_and_its_secrets_are_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kotonoha.toml");
    std::fs::write(&file, "[specimen]\ntoken = 'from-file'\nconduct = 'brief'\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = Specimen::new().unset("SPECIMEN_TOKEN").set("KOTONOHA_CONFIG", &file).output();
    assert_eq!(open.status.code(), Some(0));
    let log = String::from_utf8(open.stdout).unwrap();
    assert!(
        log.lines().any(|line| line.contains("\"level\":\"warn\"") && line.contains("chmod 600")),
        "{log}"
    );

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let guarded = Specimen::new().unset("SPECIMEN_TOKEN").set("KOTONOHA_CONFIG", &file).output();
    let log = String::from_utf8(guarded.stdout).unwrap();
    assert!(!log.contains("chmod 600"), "{log}");
}
