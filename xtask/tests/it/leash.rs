//! A process on a leash does not outlive the one that holds it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{run, xtask};

/// Whether the process is there and not merely waiting to be buried.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

#[test]
fn a_leashed_process_dies_when_its_holder_is_killed() {
    let script = r#""$0" leash --holder $$ -- sleep 600 & echo $!; wait"#;
    let mut holder = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_xtask")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let pid = pid.trim();
    let until = Instant::now() + Duration::from_secs(20);
    let command = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    while !command().starts_with("sleep") {
        assert!(Instant::now() < until, "it never became the command: {:?}", command());
        std::thread::sleep(Duration::from_millis(5));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    while lives(pid) {
        assert!(Instant::now() < until, "process {pid} outlived its holder");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_leash_without_its_holder_starts_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("started");
    let (code, _, errors) = run(xtask().args(["leash", "--holder", "1", "--", "touch"]).arg(&mark));
    assert_eq!(code, Some(1));
    assert!(errors.contains("gone") && !mark.exists(), "{errors}");
}
