//! The rotating log file, on a real disk.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use chassis::telemetry::SizeRotatingWriter;
use proptest::prelude::*;

/// The files of `service` from the oldest to the current one.
fn files(folder: &Path, service: &str) -> Vec<String> {
    let mut rotated: Vec<u32> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_prefix(&format!("{service}.log."))?.parse().ok())
        .collect();
    rotated.sort_unstable_by(|left, right| right.cmp(left));
    let mut contents: Vec<String> = rotated
        .iter()
        .map(|number| fs::read_to_string(folder.join(format!("{service}.log.{number}"))).unwrap())
        .collect();
    contents.push(fs::read_to_string(folder.join(format!("{service}.log"))).unwrap());
    contents
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_newest_lines_are_kept_whole_in_order_and_within_bounds(
        lengths in prop::collection::vec(1_usize..80, 1..120),
        bytes_max in 40_u64..200,
        count in 1_u32..6,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SizeRotatingWriter::open(folder.path(), "s", bytes_max, count).unwrap();
        let mut all = String::new();
        for (number, length) in lengths.iter().enumerate() {
            let line = format!("{number:x>length$}\n");
            writer.write_all(line.as_bytes()).unwrap();
            all += &line;
        }
        let kept = files(folder.path(), "s");
        prop_assert!(kept.len() <= count as usize + 1);
        prop_assert!(all.ends_with(&kept.concat()));
        for file in &kept {
            prop_assert!(file.len() as u64 <= bytes_max || file.lines().count() == 1);
            prop_assert!(file.ends_with('\n'));
        }
        // Nothing is thrown away before the count is reached.
        prop_assert!(kept.len() == count as usize + 1 || kept.concat() == all);
    }
}

#[test]
fn a_restart_goes_on_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["first\n", "second\n"] {
        let mut writer = SizeRotatingWriter::open(folder.path(), "s", 1000, 5).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(files(folder.path(), "s"), ["first\nsecond\n"]);
}

#[test]
fn two_processes_in_one_folder_write_to_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = SizeRotatingWriter::open(folder.path(), "s", 1000, 5).unwrap();
    let mut second = SizeRotatingWriter::open(folder.path(), "s", 1000, 5).unwrap();
    first.write_all(b"one\n").unwrap();
    second.write_all(b"two\n").unwrap();
    assert_eq!(files(folder.path(), "s"), ["one\n"]);
    assert_eq!(files(folder.path(), "s-2"), ["two\n"]);
}

#[test]
fn a_file_moved_away_by_hand_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = SizeRotatingWriter::open(folder.path(), "s", 1000, 5).unwrap();
    writer.write_all(b"before\n").unwrap();
    writer.flush().unwrap();
    fs::rename(folder.path().join("s.log"), folder.path().join("moved")).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"after\n").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("moved")).unwrap(), "before\n");
    assert_eq!(files(folder.path(), "s"), ["after\n"]);
}

#[test]
fn a_rotation_that_fails_costs_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = SizeRotatingWriter::open(folder.path(), "s", 10, 1).unwrap();
    // A folder that is not empty stands where the rotated file should go.
    fs::create_dir_all(folder.path().join("s.log.1/in-the-way")).unwrap();
    for number in 0..10 {
        writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
    }
    let text = fs::read_to_string(folder.path().join("s.log")).unwrap();
    assert_eq!(text.lines().count(), 10);
    fs::remove_dir_all(folder.path().join("s.log.1")).unwrap();
    writer.write_all(b"and on\n").unwrap();
    assert_eq!(files(folder.path(), "s"), [text.as_str(), "and on\n"]);
}

#[test]
fn a_full_disk_leaves_no_torn_line_behind() {
    // A file size limit would need a signal handler; /dev/full fails every write as a full disk does.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("s.log")).unwrap();
    let mut writer = SizeRotatingWriter::open(folder.path(), "s", 1000, 1).unwrap();
    let error = writer.write_all(b"lost\n").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    fs::remove_file(folder.path().join("s.log")).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"kept\n").unwrap();
    assert_eq!(files(folder.path(), "s"), ["kept\n"]);
}
