//! What a service sees of the machine it starts on, on real file systems.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use chassis::check::{Finding, Need, filesystem};
use serde_json::Value;

use crate::children::Specimen;
use crate::disks::{Disk, skipped};

/// A user that owns nothing here.
const STRANGER: u32 = 1234;

fn database_in(folder: &std::path::Path) -> Vec<Finding> {
    let path = folder.join("kept/conversation.db");
    Need::Database { key: "DATABASE_PATH".to_owned(), path }.look()
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped::<()>("only root can act as another user");
    }
    root
}

#[test]
fn a_disk_of_the_machine_holds_a_database_and_its_name_is_known() {
    let Some(disk) = Disk::ext4() else { return };
    let seen = filesystem::of(disk.path()).unwrap();
    assert_eq!((seen.magic, seen.name.as_deref()), (0xef53, Some("ext4")));
    assert_eq!(database_in(disk.path()), []);
    let kept: Vec<_> = fs::read_dir(disk.path().join("kept")).unwrap().collect();
    assert!(kept.is_empty(), "the probe is taken away again: {kept:?}");
}

#[test]
fn memory_is_no_place_for_what_is_to_last() {
    let Some(disk) = Disk::memory("size=1m") else { return };
    let findings = database_in(disk.path());
    let [Finding::Warning(fault)] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(fault.problem.contains("tmpfs") && fault.problem.contains("保存されません"));
}

#[test]
fn a_real_fuse_mount_is_refused_by_its_name() {
    let Some(disk) = Disk::fuse("fuse.mergerfs") else { return };
    let seen = filesystem::of(disk.path()).unwrap();
    assert_eq!((seen.magic, seen.name.as_deref()), (0x6573_5546, Some("fuse.mergerfs")));
    let found = filesystem::look("DATABASE_PATH", &disk.path().join("kept"), false);
    let Some(Finding::Fault(fault)) = found else { panic!("{found:?}") };
    assert!(fault.problem.contains("mergerfs (FUSE)"), "{fault}");
    assert!(fault.remedy.contains("/volume1/docker/"), "{fault}");
}

#[test]
fn a_disk_that_is_read_only_is_told_as_such() {
    let Some(disk) = Disk::memory("size=1m,ro") else { return };
    let need = Need::Folder { key: "LOG_DIR".to_owned(), path: disk.path().to_owned() };
    let findings = need.look();
    let [Finding::Fault(fault)] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(fault.problem.contains("read-only") && fault.remedy.contains(":ro"), "{fault}");
}

#[test]
fn a_full_disk_is_no_fault_of_the_start() {
    let Some(disk) = Disk::memory("size=1m,nr_inodes=3") else { return };
    for name in ["a", "b", "c", "d"] {
        drop(fs::write(disk.path().join(name), ""));
    }
    assert!(fs::write(disk.path().join("e"), "").is_err(), "the disk is full");
    let need = Need::Folder { key: "LOG_DIR".to_owned(), path: disk.path().to_owned() };
    assert_eq!(need.look(), []);
}

#[test]
fn a_folder_of_somebody_else_is_told_with_both_users_and_what_to_click() {
    if !is_root() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    chown(data.path(), Some(1026), Some(100)).unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let running = Specimen::new()
        .user(STRANGER)
        .set("SPECIMEN_DATABASE", data.path().join("specimen.db"))
        .unset("SPECIMEN_TOKEN")
        .set("KOTONOHA_ON_FAULT", "stay")
        .start();
    let health: Value = serde_json::from_str(&running.wait_for("/health", 503)).unwrap();
    let check = &health["checks"]["settings.SPECIMEN_DATABASE"];
    let said = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    for part in ["uid 1234 gid 1234", "uid 1026 gid 100", "mode 755"] {
        assert!(said("reason").contains(part), "{part} is missing in {check}");
    }
    assert!(said("reason_ja").contains("uid 1026 gid 100"), "{check}");
    assert!(said("remedy").contains("Container Manager"), "{check}");
    assert!(said("remedy_ja").contains("構築") && said("remedy_ja").contains("prepare"), "{check}");
    let missing = &health["checks"]["settings.SPECIMEN_TOKEN"]["status"];
    assert_eq!(missing, "failing", "settings and surroundings are told together: {health}");
}

#[test]
fn on_a_terminal_the_surroundings_are_among_the_faults() {
    let Some(disk) = Disk::fuse("fuse.sshfs") else { return };
    let end = Specimen::new()
        .set("SPECIMEN_DATABASE", disk.path().join("specimen.db"))
        .unset("SPECIMEN_TOKEN")
        .set("LANG", "ja_JP.UTF-8")
        .output();
    assert_eq!(end.status.code(), Some(64));
    let text = String::from_utf8(end.stderr).unwrap();
    assert!(text.contains("問題があります") && text.contains("sshfs (FUSE)"), "{text}");
    assert!(text.contains("SPECIMEN_TOKEN") && text.contains("対処:"), "{text}");
    assert!(!text.contains("remedy"), "one language, the reader's: {text}");
}

#[test]
fn what_is_only_doubtful_is_shown_and_keeps_nobody_from_work() {
    let Some(disk) = Disk::memory("size=1m,mode=777") else { return };
    let mut running = Specimen::new().set("SPECIMEN_DATABASE", disk.path().join("s.db")).start();
    let line = running.line_with("tmpfs");
    assert!(line.contains("\"level\":\"warn\"") && line.contains("保存されません"), "{line}");
    let health: Value = serde_json::from_str(&running.wait_for("/health", 200)).unwrap();
    assert_eq!(health["checks"]["settings.SPECIMEN_DATABASE"]["status"], "degraded", "{health}");
}
