//! Folders and secrets, in folders of every kind.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use prepare::Owner;
use prepare::folders::{self, Ground};
use prepare::report::Report;

/// As the person who runs the tests: what root alone can do is tried apart.
fn prepared(root: &Path) -> Report {
    let owner = Owner {
        uid: rustix::process::getuid().as_raw().max(1),
        gid: rustix::process::getgid().as_raw().max(1),
    };
    folders::prepare(&Ground { root: root.to_owned(), owner })
}

/// As production does it.
fn prepared_by_root(root: &Path) -> Report {
    folders::prepare(&Ground { root: root.to_owned(), owner: Owner { uid: 1000, gid: 1000 } })
}

/// Whether root runs this; says by name what is skipped where not.
fn as_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say("skipped: not root");
    }
    root
}

#[expect(clippy::print_stdout, reason = "the test runner counts what is skipped")]
fn say(words: &str) {
    println!("{words}");
}

fn facts(path: &Path) -> (u32, u32, u32) {
    let metadata = std::fs::symlink_metadata(path).expect("it is there");
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("we may");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text")
}

#[test]
fn everything_is_made_once_and_left_alone_afterwards() {
    let root = tempfile::tempdir().unwrap();
    let first = prepared(root.path());
    assert!(first.faults.is_empty() && first.warnings.is_empty(), "{first}");
    for name in ["config/personas/ja.md", "data/nats", "data/secrets/nats/users.conf", "logs"] {
        assert!(root.path().join(name).exists(), "{name}");
    }
    let password = root.path().join("data/secrets/gateway/nats-password");
    let before = read(&password);
    assert_eq!(before.trim().len(), 48);
    let second = prepared(root.path());
    assert!(second.done.is_empty() && second.faults.is_empty(), "{second}");
    assert_eq!(read(&password), before);
}

#[test]
fn every_secret_is_another_and_only_its_owner_may_read_it() {
    let root = tempfile::tempdir().unwrap();
    prepared(root.path());
    let secrets = root.path().join("data/secrets");
    let mut seen = std::collections::HashSet::new();
    let users = read(&secrets.join("nats/users.conf"));
    for folder in
        ["init", "gateway", "conversation-worker", "backup-agent", "health-aggregator", "operator"]
    {
        let file = secrets.join(folder).join("nats-password");
        assert_eq!(facts(&file).2, 0o400, "{folder}");
        assert_eq!(facts(&secrets.join(folder)).2, 0o500, "{folder}");
        let password = read(&file).trim().to_owned();
        assert!(users.contains(&password), "{folder}");
        assert!(seen.insert(password), "{folder}");
    }
    assert_eq!(facts(&secrets.join("nats/users.conf")).2, 0o400);
    for file in ["owner/page-password", "backup-agent/repository-password"] {
        assert!(seen.insert(read(&secrets.join(file)).trim().to_owned()), "{file}");
    }
}

#[test]
fn the_backups_get_a_copy_of_env_that_follows_it_and_outlives_it() {
    let root = tempfile::tempdir().unwrap();
    let env = root.path().join(".env");
    let copy = root.path().join("data/secrets/backup-agent/settings.env");
    prepared(root.path());
    assert!(!copy.exists(), "without the one there is no other");
    std::fs::write(&env, "DISCORD_TOKEN=one\n").unwrap();
    set_mode(&env, 0o600);
    prepared(root.path());
    assert_eq!((read(&copy).as_str(), facts(&copy).2), ("DISCORD_TOKEN=one\n", 0o400));
    std::fs::write(&env, "DISCORD_TOKEN=two\n").unwrap();
    let report = prepared(root.path());
    assert!(report.to_string().contains("settings.env written"), "{report}");
    assert_eq!(read(&copy), "DISCORD_TOKEN=two\n");
    let again = prepared(root.path());
    assert!(again.done.is_empty(), "{again}");
    std::fs::write(&env, b"DISCORD_TOKEN=\xff\n").unwrap();
    let report = prepared(root.path());
    assert!(report.faults.is_empty() && report.to_string().contains("UTF-8"), "{report}");
    std::fs::remove_file(&env).unwrap();
    prepared(root.path());
    assert_eq!(read(&copy), "DISCORD_TOKEN=two\n");
}

#[test]
fn a_deleted_password_is_made_anew_and_nats_learns_it() {
    let root = tempfile::tempdir().unwrap();
    prepared(root.path());
    let secrets = root.path().join("data/secrets");
    let file = secrets.join("gateway/nats-password");
    let before = read(&file);
    set_mode(&secrets.join("gateway"), 0o700);
    std::fs::remove_file(&file).unwrap();
    let report = prepared(root.path());
    assert_ne!(read(&file), before);
    let users = read(&secrets.join("nats/users.conf"));
    assert!(users.contains(read(&file).trim()) && !users.contains(before.trim()));
    assert!(report.to_string().contains("nats-server must be restarted"), "{report}");
}

#[test]
fn a_secret_nobody_can_use_is_a_fault_and_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    prepared(root.path());
    let secrets = root.path().join("data/secrets");
    let file = secrets.join("gateway/nats-password");
    set_mode(&file, 0o600);
    let users = read(&secrets.join("nats/users.conf"));
    for unfit in ["", "\n", "two words"] {
        std::fs::write(&file, unfit).unwrap();
        let report = prepared(root.path());
        assert_eq!(report.faults.len(), 1, "{report}");
        assert!(report.to_string().contains("delete the file"), "{report}");
        assert_eq!(read(&file), unfit);
        set_mode(&file, 0o600);
    }
    assert_eq!(read(&secrets.join("nats/users.conf")), users);
}

#[test]
fn tls_is_switched_on_by_a_certificate_and_its_key_and_never_by_one_alone() {
    let root = tempfile::tempdir().unwrap();
    prepared(root.path());
    let folder = root.path().join("data/secrets/nats");
    let users = || read(&folder.join("users.conf"));
    assert!(!users().contains("tls {"));
    set_mode(&folder, 0o700);
    std::fs::write(folder.join("server.pem"), "certificate").unwrap();
    let report = prepared(root.path());
    assert_eq!(report.faults.len(), 1, "{report}");
    assert!(report.to_string().contains("server.key") && !users().contains("tls {"), "{report}");
    set_mode(&folder, 0o700);
    std::fs::write(folder.join("server.key"), "key").unwrap();
    let report = prepared(root.path());
    assert!(report.faults.is_empty() && users().contains("/run/secrets/server.key"), "{report}");
    assert_eq!(facts(&folder.join("server.key")).2, 0o400);
}

#[test]
fn what_a_person_has_written_in_config_is_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("config/personas")).unwrap();
    let persona = root.path().join("config/personas/ja.md");
    std::fs::write(&persona, "わたしの人格").unwrap();
    let report = prepared(root.path());
    assert!(report.faults.is_empty(), "{report}");
    assert_eq!(read(&persona), "わたしの人格");
    assert!(root.path().join("config/personas/en.md").exists());
    assert!(root.path().join("config/settings.toml").exists());
}

#[test]
fn an_env_that_others_can_read_is_a_warning_with_a_remedy_and_no_dead_end() {
    let root = tempfile::tempdir().unwrap();
    let env = root.path().join(".env");
    std::fs::write(&env, "DISCORD_TOKEN=x").unwrap();
    set_mode(&env, 0o644);
    let report = prepared(root.path());
    assert!(report.faults.is_empty(), "{report}");
    let text = report.to_string();
    assert!(text.contains("chmod 600") && text.contains("File Station"), "{text}");
    assert_eq!(facts(&env).2, 0o644, "it is the person's own");
    set_mode(&env, 0o600);
    assert!(prepared(root.path()).warnings.is_empty());
}

#[test]
fn a_link_in_place_of_a_folder_is_refused_and_its_target_untouched() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    set_mode(elsewhere.path(), 0o777);
    let before = facts(elsewhere.path());
    std::fs::create_dir(root.path().join("data")).unwrap();
    for name in ["logs", "config", "data/nats", "data/secrets"] {
        symlink(elsewhere.path(), root.path().join(name)).unwrap();
    }
    let report = prepared(root.path());
    assert_eq!(report.faults.len(), 4, "all at once: {report}");
    assert!(report.to_string().contains("リンク"), "{report}");
    assert_eq!(facts(elsewhere.path()), before);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_file_in_place_of_a_folder_and_every_other_fault_is_told_at_once() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("logs"), "").unwrap();
    std::fs::write(root.path().join("backups"), "").unwrap();
    let report = prepared(root.path());
    assert_eq!(report.faults.len(), 2, "{report}");
    assert!(root.path().join("data/secrets/nats/users.conf").exists(), "the rest is done");
}

#[test]
fn a_draft_that_a_killed_run_left_behind_is_in_nobody_s_way() {
    let root = tempfile::tempdir().unwrap();
    prepared(root.path());
    let folder = root.path().join("data/secrets/gateway");
    set_mode(&folder, 0o700);
    std::fs::remove_file(folder.join("nats-password")).unwrap();
    std::fs::write(folder.join(".nats-password.new"), "half").unwrap();
    let report = prepared(root.path());
    assert!(report.faults.is_empty(), "{report}");
    assert_eq!(read(&folder.join("nats-password")).trim().len(), 48);
    assert!(!folder.join(".nats-password.new").exists());
}

#[test]
fn folders_of_foreign_owners_and_modes_are_handed_over() {
    if !as_root() {
        return;
    }
    for (uid, gid, mode) in [(1026, 100, 0o755), (0, 0, 0o700), (1026, 100, 0o777), (0, 0, 0o000)] {
        let root = tempfile::tempdir().unwrap();
        for name in ["config", "data", "data/gateway", "logs", "backups"] {
            let path = root.path().join(name);
            std::fs::create_dir(&path).unwrap();
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
        let old = root.path().join("data/gateway/old");
        let log = root.path().join("logs/kotonoha.log");
        for file in [&old, &log] {
            std::fs::write(file, "old").unwrap();
            chown(file, Some(uid), Some(gid)).unwrap();
            set_mode(file, mode & 0o666);
        }
        for name in ["config", "data/gateway", "data", "logs", "backups"] {
            set_mode(&root.path().join(name), mode);
        }
        let report = prepared_by_root(root.path());
        assert!(report.faults.is_empty(), "{uid}:{gid} {mode:o}: {report}");
        for (name, bits) in [("data", 0o750), ("data/gateway", 0o750), ("logs", 0o755)] {
            assert_eq!(facts(&root.path().join(name)), (1000, 1000, bits), "{name} {mode:o}");
        }
        for file in [&old, &log] {
            let (owner, group, bits) = facts(file);
            assert_eq!((owner, group, bits & 0o602), (1000, 1000, 0o600), "{mode:o}");
        }
        // The folder that people edit stays theirs, and the services can read it.
        let config = root.path().join("config");
        assert_eq!(facts(&config).0, uid, "{mode:o}");
        assert!(readable_for_services(&config), "{:o}", facts(&config).2);
        assert!(prepared_by_root(root.path()).done.is_empty(), "and once is enough");
    }
}

/// Whether uid 1000 with gid 1000 may enter and list a folder, by its mode bits.
fn readable_for_services(path: &Path) -> bool {
    let (uid, gid, mode) = facts(path);
    let bits = match (uid, gid) {
        (1000, _) => mode >> 6,
        (_, 1000) => mode >> 3,
        _ => mode,
    };
    bits & 5 == 5
}

#[test]
fn links_and_second_names_do_not_carry_ownership_outside() {
    if !as_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("project");
    std::fs::create_dir_all(root.join("logs")).unwrap();
    let outside = place.path().join("passwd");
    std::fs::write(&outside, "root").unwrap();
    set_mode(&outside, 0o666);
    let before = facts(&outside);
    symlink(&outside, root.join("logs/link")).unwrap();
    symlink(place.path(), root.join("logs/up")).unwrap();
    std::fs::hard_link(&outside, root.join("logs/second-name")).unwrap();
    let report = prepared_by_root(&root);
    assert!(report.faults.is_empty(), "{report}");
    assert_eq!(facts(&outside), before);
    assert!(report.to_string().contains("hard link"), "{report}");
    assert_eq!(facts(place.path()).0, 0, "what the link points to");
}

#[test]
fn access_lists_do_not_open_what_was_made_private() {
    if !as_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // A default list that would give user 1026 everything made below it (linux, posix_acl_xattr.h:
    // version 2, then tag, bits and id of each entry).
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in [
        (0x01_u16, 7_u16, u32::MAX),
        (0x02, 7, 1026),
        (0x04, 7, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 7, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&data, "system.posix_acl_default", &list, flags).is_err() {
        say("skipped: no access lists on this file system");
        return;
    }
    let report = prepared_by_root(root.path());
    assert!(report.faults.is_empty(), "{report}");
    for name in ["data/secrets/gateway/nats-password", "data/secrets/nats/users.conf"] {
        let path = root.path().join(name);
        // Where a list is, the group's bits are its mask: nothing in it opens more than they do.
        assert_eq!(facts(&path), (1000, 1000, 0o400), "{name}");
        assert!(mask_of(&path).is_none_or(|mask| mask == 0), "{name}");
    }
    assert!(prepared_by_root(root.path()).done.is_empty());
}

/// The mask of a file's access list, where it has one.
fn mask_of(path: &Path) -> Option<u16> {
    let mut list = [0_u8; 256];
    let size = rustix::fs::getxattr(path, "system.posix_acl_access", &mut list).ok()?;
    list[4..size]
        .chunks(8)
        .find(|entry| u16::from_le_bytes([entry[0], entry[1]]) == 0x10)
        .map(|entry| u16::from_le_bytes([entry[2], entry[3]]))
}

/// A small file system of its own in memory, unmounted when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(path: &'a Path, options: &str) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .status()
            .is_ok_and(|status| status.success());
        if !done {
            say("skipped: no right to mount a small disk");
        }
        done.then_some(Self(path))
    }

    fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_is_named_and_the_next_run_completes() {
    if !as_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let Some(disk) = Small::mount(place.path(), "size=256k") else { return };
    let ballast = place.path().join("ballast");
    let filled = std::fs::write(&ballast, vec![0_u8; 512 * 1024]);
    assert!(filled.is_err(), "the disk is full");
    let report = prepared_by_root(place.path());
    assert!(!report.faults.is_empty());
    let text = report.to_string();
    assert!(text.contains("no space left") && text.contains("空き"), "{text}");
    std::fs::remove_file(&ballast).unwrap();
    let report = prepared_by_root(place.path());
    assert!(report.faults.is_empty(), "{report}");
    let password = place.path().join("data/secrets/gateway/nats-password");
    assert_eq!(read(&password).trim().len(), 48, "nothing half-written was kept");
    drop(disk);
}

#[test]
fn a_read_only_config_is_a_warning_and_read_only_data_a_fault() {
    if !as_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("config");
    let backups = root.path().join("backups");
    std::fs::create_dir(&config).unwrap();
    std::fs::create_dir(&backups).unwrap();
    let Some(first) = Small::mount(&config, "size=256k,mode=755") else { return };
    let Some(second) = Small::mount(&backups, "size=256k,mode=755") else { return };
    first.remount("ro");
    second.remount("ro");
    let report = prepared_by_root(root.path());
    assert!(report.warnings.iter().any(|warning| warning.place.contains("config")), "{report}");
    assert_eq!(report.faults.len(), 1, "{report}");
    assert!(report.faults[0].place.ends_with("backups"), "{report}");
    assert!(report.to_string().contains("読み取り専用"), "{report}");
}

#[test]
fn another_disk_mounted_inside_is_left_alone() {
    if !as_root() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let foreign = root.path().join("backups/usb");
    std::fs::create_dir_all(&foreign).unwrap();
    let Some(_disk) = Small::mount(&foreign, "size=256k,mode=700") else { return };
    std::fs::write(foreign.join("photo"), "").unwrap();
    let report = prepared_by_root(root.path());
    assert!(report.faults.is_empty(), "{report}");
    assert_eq!(facts(&foreign.join("photo")).0, 0);
    assert_eq!(facts(&foreign).0, 0);
    assert!(report.to_string().contains("another disk"), "{report}");
}

#[test]
fn two_runs_at_once_make_each_secret_once() {
    let root = tempfile::tempdir().unwrap();
    let runs: Vec<_> = (0..4)
        .map(|_run| {
            let root = root.path().to_owned();
            std::thread::spawn(move || prepared(&root))
        })
        .collect();
    let reports: Vec<Report> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    let generated: Vec<&String> = reports
        .iter()
        .flat_map(|report| &report.done)
        .filter(|line| line.ends_with("gateway/nats-password generated"))
        .collect();
    assert_eq!(generated.len(), 1);
    assert!(reports.iter().all(|report| report.faults.is_empty()));
}
