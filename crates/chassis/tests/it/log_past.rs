//! What becomes of a log file's past: days, packing, the monthly archive, whatever the clock says.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chassis::telemetry::{FilePlan, LogFile};
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// The plan of a file `s.log` that keeps its past for a week and a year.
pub(crate) fn plan(folder: &Path, bytes_max: u64, count: u32) -> FilePlan {
    FilePlan {
        directory: folder.to_owned(),
        name: "s".to_owned(),
        bytes_max,
        count,
        days: 7,
        archive_months: 12,
        zone: TimeZone::UTC,
    }
}

/// Everything a log file holds, plain or packed; a packed one must be whole.
pub(crate) fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let mut file = File::open(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        file.read_to_string(&mut text).unwrap();
    }
    text
}

/// The files of `name` from the oldest to the current one, without the archive.
pub(crate) fn contents(folder: &Path, name: &str) -> Vec<String> {
    let mut rotated: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .filter_map(|path| {
            let file_name = path.file_name()?.to_str()?;
            let rest = file_name.strip_prefix(&format!("{name}.log."))?;
            Some((rest.strip_suffix(".gz").unwrap_or(rest).parse().ok()?, path.clone()))
        })
        .collect();
    rotated.sort();
    let mut contents: Vec<String> = rotated.iter().rev().map(|(_, path)| unpacked(path)).collect();
    contents.push(unpacked(&folder.join(format!("{name}.log"))));
    contents
}

/// The archive's files with what they hold, by name.
fn archive(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(folder.join("archive")) else { return Vec::new() };
    let mut files: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), unpacked(&path)))
        .collect();
    files.sort();
    files
}

/// A log file whose clock the test turns.
struct Turned {
    now: Arc<Mutex<Timestamp>>,
    file: LogFile,
    current: PathBuf,
}

impl Turned {
    fn open(plan: FilePlan, start: &str) -> Self {
        let now: Arc<Mutex<Timestamp>> = Arc::new(Mutex::new(start.parse().unwrap()));
        let clock = Arc::clone(&now);
        let current = plan.directory.join("s.log");
        let file = LogFile::open_at(plan, move || *clock.lock().unwrap()).unwrap();
        Self { now, file, current }
    }

    fn turn(&self, to: Timestamp) {
        *self.now.lock().unwrap() = to;
    }

    /// Writes a line, which the disk then dates by the same clock.
    fn write(&mut self, line: &str) {
        self.file.write_all(line.as_bytes()).unwrap();
        let now = *self.now.lock().unwrap();
        File::options().write(true).open(&self.current).unwrap().set_modified(now.into()).unwrap();
    }
}

#[test]
fn each_day_has_its_file_a_week_stays_and_the_months_go_into_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Turned::open(plan(folder.path(), 1000, 5), "2026-11-01T09:00:00Z");
    let mut all = String::new();
    for day in 0..45 {
        log.turn(
            "2026-11-01T09:00:00Z".parse::<Timestamp>().unwrap()
                + SignedDuration::from_hours(24 * day),
        );
        let line = format!("day {day}\n");
        log.write(&line);
        all += &line;
    }
    let kept = contents(folder.path(), "s");
    assert_eq!(kept.len(), 8, "today and the seven days before: {kept:?}");
    assert_eq!(kept.last().unwrap(), "day 44\n");
    let archive = archive(folder.path());
    let names: Vec<&str> = archive.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["s-2026-11.log.gz", "s-2026-12.log.gz"]);
    assert_eq!(archive[0].1.lines().count(), 30, "the whole of November");
    let archived: String = archive.into_iter().map(|(_, text)| text).collect();
    assert_eq!(archived + &kept.concat(), all, "every line once, in order");
}

#[test]
fn the_archive_goes_back_as_many_months_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for months in [2, 0] {
        let plan = FilePlan { archive_months: months, ..plan(folder.path(), 1000, 5) };
        let mut log = Turned::open(plan, "2026-01-01T09:00:00Z");
        for month in 1..=6 {
            log.turn(format!("2026-{month:02}-15T00:00:00Z").parse().unwrap());
            log.write("a line\n");
        }
        drop(log);
        let names: Vec<String> = archive(folder.path()).into_iter().map(|(name, _)| name).collect();
        let expected: &[&str] =
            if months == 2 { &["s-2026-04.log.gz", "s-2026-05.log.gz"] } else { &[] };
        assert_eq!(names, expected, "{months}");
        fs::remove_file(folder.path().join("s.log")).unwrap();
    }
}

#[test]
fn a_night_without_a_line_ends_the_day_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Turned::open(plan(folder.path(), 1000, 5), "2026-11-22T23:59:00Z");
    log.write("evening\n");
    log.turn("2026-11-23T00:30:00Z".parse().unwrap());
    log.file.flush().unwrap();
    assert_eq!(contents(folder.path(), "s"), ["evening\n", ""]);
    log.turn("2026-11-24T00:30:00Z".parse().unwrap());
    log.file.flush().unwrap();
    assert_eq!(contents(folder.path(), "s"), ["evening\n", ""], "nothing is not rotated");
}

#[test]
fn a_file_of_yesterday_is_put_away_at_the_first_line_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Turned::open(plan(folder.path(), 1000, 5), "2026-11-22T12:00:00Z");
    log.write("yesterday\n");
    drop(log);
    let mut log = Turned::open(plan(folder.path(), 1000, 5), "2026-11-23T12:00:00Z");
    log.write("today\n");
    assert_eq!(contents(folder.path(), "s"), ["yesterday\n", "today\n"]);
}

#[test]
fn what_a_second_process_left_is_archived_by_the_one_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let first = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
    let mut second = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
    second.write_all(b"during the update\n").unwrap();
    drop((first, second));
    let left = folder.path().join("s-2.log");
    let long_ago: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
    File::options().write(true).open(&left).unwrap().set_modified(long_ago.into()).unwrap();
    let now = || "2026-11-22T00:00:00Z".parse().unwrap();
    let mut third = LogFile::open_at(plan(folder.path(), 1000, 5), now).unwrap();
    third.write_all(b"afterwards\n").unwrap();
    assert!(!left.exists());
    let expected = ("s-2-2026-10.log.gz".to_owned(), "during the update\n".to_owned());
    assert_eq!(archive(folder.path()), [expected]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Clocks of NAS boxes begin in 1970, jump to today, and sometimes far beyond and back.
    #[test]
    fn no_jump_of_the_clock_costs_a_line_or_fills_the_folder(
        jumps in prop::collection::vec(
            prop_oneof![
                Just(0_i64), Just(7), Just(1_800_000_000), Just(4_000_000_000),
                1_795_000_000_i64..1_797_000_000,
            ],
            1..60,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let plan = FilePlan { archive_months: 100, ..plan(folder.path(), 1000, 5) };
        let mut log = Turned::open(plan, "2026-11-22T00:00:00Z");
        let mut all = Vec::new();
        for (number, second) in jumps.iter().enumerate() {
            log.turn(Timestamp::from_second(*second).unwrap());
            let line = format!("line {number}\n");
            log.write(&line);
            all.push(line);
        }
        let mut kept: Vec<String> = contents(folder.path(), "s")
            .into_iter()
            .chain(archive(folder.path()).into_iter().map(|(_, text)| text))
            .flat_map(|text| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        kept.sort();
        all.sort();
        prop_assert_eq!(kept, all);
    }

    /// Every state a killed process can leave between two of its steps ends in every line once.
    #[test]
    fn whatever_a_killed_process_left_half_done_is_finished(
        gap in 1_u32..6,
        half_packed in any::<bool>(),
        packed_beside_plain in any::<bool>(),
        appended in prop::option::of(0_usize..200),
        torn in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("archive")).unwrap();
        let gzip = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        // The row with a gap in it: a shift that died half way.
        for number in (1..=5_u32).filter(|number| *number != gap) {
            let text = format!("row {}\n", 9 - number);
            if number == 1 {
                fs::write(at("s.log.1"), &text).unwrap();
                if half_packed {
                    fs::write(at("s.log.1.gz.tmp"), &gzip(&text)[..7]).unwrap();
                }
                if packed_beside_plain {
                    fs::write(at("s.log.1.gz"), gzip(&text)).unwrap();
                }
            } else {
                fs::write(at(&format!("s.log.{number}.gz")), gzip(&text)).unwrap();
            }
        }
        // An archive to which a further file was about to be appended, or was, in part.
        let before = gzip("archived before\n");
        let pending = gzip("archived now\n");
        let mut grown = before.clone();
        if let Some(bytes) = appended {
            grown.extend(&pending[..bytes.min(pending.len())]);
            let name = format!("archive/.s-2026-10.log.gz.pending-{}", before.len());
            fs::write(at(&name), &pending).unwrap();
        }
        fs::write(at("archive/s-2026-10.log.gz"), grown).unwrap();
        fs::write(at("s.log"), if torn { "whole\nto" } else { "whole\n" }).unwrap();

        let mut log = LogFile::open(plan(folder.path(), 20, 5)).unwrap();
        log.write_all(b"after the crash\n").unwrap();
        drop(log);

        let row: Vec<String> = (1..=5_u32)
            .rev()
            .filter(|number| *number != gap)
            .map(|number| format!("row {}\n", 9 - number))
            .collect();
        let torn = if torn { "whole\nto\n" } else { "whole\n" };
        let expected = format!("{}{torn}after the crash\n", row.concat());
        prop_assert_eq!(contents(folder.path(), "s").concat(), expected);
        let archived = if appended.is_some() { "archived before\narchived now\n" }
            else { "archived before\n" };
        let expected = ("s-2026-10.log.gz".to_owned(), archived.to_owned());
        prop_assert_eq!(archive(folder.path()), vec![expected]);
        prop_assert!(!at("s.log.1.gz.tmp").exists());
    }
}
