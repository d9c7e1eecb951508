//! The log file under faults: killed processes, full disks, folders that take no renames.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use chassis::telemetry::LogFile;
use rustix::process::Signal;
use serde_json::Value;

use crate::children::Specimen;
use crate::disks::{Disk, skipped};
use crate::log_past::{contents, plan};

/// A user that owns nothing here.
const STRANGER: u32 = 1234;

/// A small generator, so that a run that fails can be run again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn chatty(logs: &Path) -> Specimen {
    Specimen::new()
        .conduct("chatty")
        .set("LOG_DIR", logs)
        .set("LOG_FILE_BYTES_MAX", "65536")
        .set("LOG_FILE_COUNT", "100")
}

#[test]
fn processes_killed_in_the_middle_of_anything_leave_every_line_whole_and_once() {
    const KILLS: u64 = 10;
    let mut seeded = Seeded(0x5eed_1e55);
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    for _ in 0..KILLS {
        let mut running = chatty(&logs).start();
        running.line_with(&format!("\"number\":{}}}", 150 + seeded.below(450)));
        running.signal(Signal::KILL);
        running.end();
    }
    // One more start finishes what was left half done.
    let end = chatty(&logs).conduct("brief").output();
    assert_eq!(end.status.code(), Some(0));

    let mut torn = 0;
    let mut runs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let files = contents(&logs, "chassis");
    assert!(files.len() > 10, "{} files are no test of rotation", files.len());
    for line in files.concat().lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            torn += 1;
            continue;
        };
        if let Some(number) = line["number"].as_u64() {
            runs.entry(line["pid"].as_u64().unwrap()).or_default().push(number);
        }
    }
    assert!(torn <= KILLS, "{torn} lines are torn: more than one for each kill");
    assert_eq!(runs.len() as u64, KILLS);
    for (pid, numbers) in runs {
        let expected: Vec<u64> = (0..numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "the lines of process {pid}");
    }
    let left: Vec<_> = fs::read_dir(&logs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn two_releases_that_overlap_in_an_update_share_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut old = chatty(&logs).start();
    let mut new = chatty(&logs).start();
    old.line_with("\"number\":300}");
    new.line_with("\"number\":300}");
    old.signal(Signal::KILL);
    old.end();
    new.signal(Signal::TERM);
    assert_eq!(new.end().code, Some(0));
    for name in ["chassis", "chassis-2"] {
        let text = contents(&logs, name).concat();
        let mut pids: Vec<u64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["pid"].as_u64())
            .collect();
        pids.dedup();
        assert_eq!(pids.len(), 1, "{name} holds the lines of one process");
    }
}

#[test]
fn a_full_disk_costs_lines_but_never_half_a_line_or_what_was_packed() {
    let Some(disk) = Disk::memory("size=1m") else { return };
    let mut log = LogFile::open(plan(disk.path(), 20_000, 8)).unwrap();
    let line = |number: u32| format!("{number:>6} {}\n", "x".repeat(90));
    let mut kept = 0;
    for number in 0..1200 {
        match number {
            400 => disk.fill(),
            800 => disk.empty(),
            _ => {}
        }
        kept += u32::from(log.write_all(line(number).as_bytes()).is_ok());
        assert!(log.flush().is_ok(), "{number}");
    }
    assert!((800..1200).contains(&kept), "{kept} lines were kept");
    let files = contents(disk.path(), "s");
    let mut last = None;
    for text in files.concat().lines() {
        let number: u32 = text[..6].trim().parse().unwrap();
        assert_eq!(format!("{text}\n"), line(number), "a line is whole");
        assert!(last < Some(number), "{number} comes after {last:?}");
        last = Some(number);
    }
    assert_eq!(last, Some(1199), "it goes on by itself");
}

#[test]
fn a_folder_that_takes_no_renames_lets_the_file_grow_and_says_so_once() {
    if !rustix::process::geteuid().is_root() {
        skipped::<()>("only root can act as another user");
        return;
    }
    let logs = tempfile::tempdir().unwrap();
    for name in ["chassis.log", ".chassis.log.lock"] {
        let path = logs.path().join(name);
        fs::write(&path, "").unwrap();
        chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    fs::set_permissions(logs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut running = chatty(logs.path()).user(STRANGER).start();
    running.line_with("log file cannot be rotated and goes on growing");
    let then: u64 = 700;
    running.line_with(&format!("\"number\":{then}}}"));
    running.signal(Signal::TERM);
    let end = running.end();
    assert_eq!(end.code, Some(0));
    assert_eq!(end.lines_with("goes on growing"), 1);
    let text = fs::read_to_string(logs.path().join("chassis.log")).unwrap();
    assert!(text.len() > 65_536);
    assert_eq!(text.lines().count(), end.lines.len(), "not a line is lost");
}
