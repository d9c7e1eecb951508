//! The rotating log file, on a real disk.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use chassis::telemetry::LogFile;
use proptest::prelude::*;

use crate::log_past::{contents, plan};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_newest_lines_are_kept_whole_in_order_and_within_bounds(
        lengths in prop::collection::vec(1_usize..80, 1..120),
        bytes_max in 40_u64..200,
        count in 1_u32..6,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LogFile::open(plan(folder.path(), bytes_max, count)).unwrap();
        let mut all = String::new();
        for (number, length) in lengths.iter().enumerate() {
            let line = format!("{number:x>length$}\n");
            writer.write_all(line.as_bytes()).unwrap();
            all += &line;
        }
        drop(writer);
        let kept = contents(folder.path(), "s");
        let (current, older) = kept.split_last().unwrap();
        let older_bytes: usize = older.iter().map(String::len).sum();
        prop_assert!(older_bytes as u64 <= bytes_max * u64::from(count));
        prop_assert!(all.ends_with(&kept.concat()));
        for file in &kept {
            prop_assert!(file.len() as u64 <= bytes_max || file.lines().count() == 1);
            prop_assert!(file.is_empty() || file.ends_with('\n'));
        }
        prop_assert!(!current.is_empty());
        // Nothing is thrown away while there is room for the next file too.
        let room = bytes_max * u64::from(count) - older_bytes as u64;
        prop_assert!(kept.concat() == all || room < bytes_max.max(80));
        // All but the newest of what came before is packed.
        let numbered = |path: &std::path::Path| {
            path.extension().is_some_and(|extension| extension.to_str().unwrap().parse::<u32>().is_ok())
        };
        let plain = fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| numbered(&entry.as_ref().unwrap().path()));
        prop_assert!(plain.count() <= 1);
    }
}

#[test]
fn a_restart_goes_on_in_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["first\n", "second\n"] {
        let mut writer = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(contents(folder.path(), "s"), ["first\nsecond\n"]);
}

#[test]
fn two_processes_in_one_folder_write_to_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
    let mut second = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
    first.write_all(b"one\n").unwrap();
    second.write_all(b"two\n").unwrap();
    assert_eq!(contents(folder.path(), "s"), ["one\n"]);
    assert_eq!(contents(folder.path(), "s-2"), ["two\n"]);
}

#[test]
fn a_file_moved_away_by_hand_or_by_logrotate_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (current, moved) = (folder.path().join("s.log"), folder.path().join("moved"));
    let mut writer = LogFile::open(plan(folder.path(), 1000, 5)).unwrap();
    writer.write_all(b"before\n").unwrap();
    fs::rename(&current, &moved).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"after\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
    assert_eq!(contents(folder.path(), "s"), ["after\n"]);

    // logrotate's `create`: moved to the first number, and a new file made in its place.
    fs::rename(&current, folder.path().join("s.log.1")).unwrap();
    fs::write(&current, "").unwrap();
    fs::set_permissions(&current, fs::Permissions::from_mode(0o644)).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"and on\n").unwrap();
    assert_eq!(contents(folder.path(), "s"), ["after\n", "and on\n"]);
}

#[test]
fn a_file_cut_to_nothing_by_logrotate_is_gone_on_with_at_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let current = folder.path().join("s.log");
    let mut writer = LogFile::open(plan(folder.path(), 30, 5)).unwrap();
    writer.write_all(b"twenty bytes of text\n").unwrap();
    fs::File::options().write(true).open(&current).unwrap().set_len(0).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"twenty more of them\n").unwrap();
    // Neither a hole at the beginning nor a rotation for a size that is gone.
    assert_eq!(contents(folder.path(), "s"), ["twenty more of them\n"]);
}

#[test]
fn a_folder_taken_away_by_hand_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut writer = LogFile::open(plan(&logs, 1000, 5)).unwrap();
    writer.write_all(b"before\n").unwrap();
    fs::remove_dir_all(&logs).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"after\n").unwrap();
    assert_eq!(contents(&logs, "s"), ["after\n"]);
    let mut second = LogFile::open(plan(&logs, 1000, 5)).unwrap();
    second.write_all(b"two\n").unwrap();
    assert_eq!(contents(&logs, "s-2"), ["two\n"], "the name is still held");
}

#[test]
fn something_in_the_way_of_a_rotation_moves_up_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogFile::open(plan(folder.path(), 10, 5)).unwrap();
    fs::create_dir_all(folder.path().join("s.log.1/in-the-way")).unwrap();
    for number in 0..4 {
        writer.write_all(format!("line {number}\n").as_bytes()).unwrap();
    }
    assert_eq!(contents(folder.path(), "s").concat(), "line 0\nline 1\nline 2\nline 3\n");
}

#[test]
fn a_full_disk_leaves_no_torn_line_behind() {
    // A file size limit would need a signal handler; /dev/full fails every write as a full disk does.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("s.log")).unwrap();
    let mut writer = LogFile::open(plan(folder.path(), 1000, 1)).unwrap();
    let error = writer.write_all(b"lost\n").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    fs::remove_file(folder.path().join("s.log")).unwrap();
    writer.flush().unwrap();
    writer.write_all(b"kept\n").unwrap();
    assert_eq!(contents(folder.path(), "s"), ["kept\n"]);
}
