//! Verifications of real copies: whole ones, and each with one thing wrong.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use objects::{Envelope, Location, Settings, Target};
use replica::disk::Disk;
use replica::tree::{FULLS, Header, Manifest, SHIPPED, Timelines, Tree, TreeError};
use rusqlite::Connection;
use snapshots::{Class, Depth, Folder, Image, Kind, Label, Place, Repository, Stream};

use super::{
    Copies, Database, Elsewhere, Fetched, How, Report, Snapshots, Tier, Which, fetch, run,
};

const PAGE: u32 = 4096;
const HOUR_MS: i64 = 3_600_000;

/// A database, its history with a transaction an hour, and snapshots of the first and the last.
struct House {
    folder: tempfile::TempDir,
    timelines: Timelines,
    tree: Tree,
    images: Repository,
    files: Option<Repository>,
    began_ms: i64,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let began_ms = Timestamp::now().as_millisecond() - 5 * HOUR_MS;
        let live = Connection::open(folder.path().join("live.db")).unwrap();
        live.execute_batch(&format!(
            "PRAGMA page_size = {PAGE};
             CREATE TABLE inbox (id INTEGER PRIMARY KEY, text TEXT, received_unix_ms INTEGER);
             CREATE TABLE replies (
                 id INTEGER PRIMARY KEY, inbox_id INTEGER REFERENCES inbox (id), text TEXT
             );
             CREATE TABLE sentinel (beats, written_unix_ms, kept, removed_before, removed);
             INSERT INTO sentinel VALUES (0, 0, 0, 0, 0);"
        ))
        .unwrap();
        drop(live);
        let timelines = Timelines::new(&folder.path().join("history"), Disk::default());
        let began = Timestamp::from_millisecond(began_ms - 1).unwrap();
        let manifest = Manifest::new(PAGE, began, "a test");
        let root = folder.path().join("history/timeline-0001");
        let tree = Tree::create(&root, manifest, Disk::default()).unwrap();
        let place = Place::Folder(folder.path().join("images"));
        let images = Repository::create(&place, Kind::Images, &"secret".into()).unwrap();
        let house = Self { folder, timelines, tree, images, files: None, began_ms };
        house.put(1, true);
        house.snapshot(1);
        for txid in 2..=5 {
            house.says(txid);
            house.put(txid, false);
        }
        house.snapshot(5);
        house
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join("live.db")
    }

    fn time_ms(&self, txid: u64) -> i64 {
        self.began_ms + i64::try_from(txid).unwrap() * HOUR_MS - HOUR_MS
    }

    /// Somebody says something, and the sign of life is written with it.
    fn says(&self, txid: u64) {
        let live = Connection::open(self.live()).unwrap();
        let time = self.time_ms(txid) - 1000;
        let mut text = String::new();
        text.extend(std::iter::repeat_n("言の葉", 500));
        live.execute("INSERT INTO inbox (text, received_unix_ms) VALUES (?1, ?2)", (text, time))
            .unwrap();
        let kept = "(SELECT count(*) FROM inbox) + (SELECT count(*) FROM replies)";
        live.execute(
            &format!("UPDATE sentinel SET beats = beats + 1, written_unix_ms = ?1, kept = {kept}"),
            [time],
        )
        .unwrap();
    }

    /// Every page of the database as it is now, as one file of the history.
    fn put(&self, txid: u64, full: bool) {
        let bytes = fs::read(self.live()).unwrap();
        let header = Header {
            page_size: PAGE,
            commit: u32::try_from(bytes.len()).unwrap() / PAGE,
            min_txid: txid,
            max_txid: txid,
            timestamp_ms: self.time_ms(txid),
            wal_offset: 0,
            wal_size: 0,
            wal_salts: [0; 2],
        };
        let level = if full { FULLS } else { SHIPPED };
        self.tree
            .put::<TreeError>(level, &header, |file| {
                for (number, page) in (1..).zip(bytes.chunks(PAGE as usize)) {
                    file.page(number, page).unwrap();
                }
                Ok(())
            })
            .unwrap();
    }

    fn snapshot(&self, txid: u64) {
        let bytes = fs::read(self.live()).unwrap();
        self.snapshot_of(txid, bytes);
    }

    fn snapshot_of(&self, txid: u64, bytes: Vec<u8>) {
        let label = Label {
            class: Class::Conversations,
            name: "talk.db".to_owned(),
            time: Timestamp::from_millisecond(self.time_ms(txid)).unwrap(),
            txid: Some(txid),
            host: "kotonoha".to_owned(),
        };
        let length = bytes.len() as u64;
        let image = Image { bytes: length, reader: Box::new(std::io::Cursor::new(bytes)) };
        self.images.take_stream(Stream { label, image }).unwrap();
    }

    /// Takes snapshots of a folder as it is on three days.
    fn keeps_a_folder(&mut self, fill: impl Fn(&Path, u64)) {
        let place = Place::Folder(self.folder.path().join("files"));
        let files = Repository::create(&place, Kind::Files, &"secret".into()).unwrap();
        let root = self.folder.path().join("notes");
        fs::create_dir_all(&root).unwrap();
        for day in 1..=3 {
            fill(&root, day);
            let label = Label {
                class: Class::Volume,
                name: "notes".to_owned(),
                time: Timestamp::from_millisecond(self.time_ms(day)).unwrap(),
                txid: None,
                host: "kotonoha".to_owned(),
            };
            let images = |path: &Path| {
                let bytes = fs::read(path)?;
                let (bytes, reader) = (bytes.len() as u64, Box::new(std::io::Cursor::new(bytes)));
                Ok(Image { bytes, reader })
            };
            let folder = Folder {
                label,
                root: root.clone(),
                exclude: Vec::new(),
                held: Vec::new(),
                images: Some(std::sync::Arc::new(images)),
            };
            files.take_folder(&folder).unwrap();
        }
        self.files = Some(files);
    }

    fn verify(&self) -> Report {
        self.verify_with(&[], &|| false)
    }

    fn verify_with(&self, elsewhere: &[&super::Fetch<'_>], stop: &dyn Fn() -> bool) -> Report {
        let live = self.live();
        let database = Database {
            name: "talk",
            live: Some(&live),
            timelines: &self.timelines,
            image: "talk.db",
        };
        let whole =
            |repository| Snapshots { tier: Tier::Snapshots, repository, depth: Depth::Everything };
        let elsewhere =
            elsewhere.iter().map(|fetch| Elsewhere { name: "usb", fetch: *fetch }).collect();
        let copies = Copies {
            databases: vec![database],
            images: vec![whole(&self.images)],
            folders: self.files.iter().map(whole).collect(),
            elsewhere,
        };
        let scratch = self.folder.path().join("scratch");
        let how = How {
            scratch: scratch.clone(),
            rpo: SignedDuration::from_hours(1),
            dice: &|sides| sides / 2,
            stop,
            say: &|_| {},
        };
        let report = run(&copies, &how).unwrap();
        assert!(!scratch.exists(), "nothing that came back stays");
        report
    }
}

/// A far side that has the history, wrapped where there is an envelope.
struct Far {
    _root: tempfile::TempDir,
    target: Target,
    runtime: tokio::runtime::Runtime,
}

impl Far {
    fn new(house: &House, envelope: Option<&Envelope>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("databases/talk/timeline-0001");
        let mut files = vec![Path::new("manifest.json").to_owned()];
        let catalogue = house.tree.list().unwrap();
        files.extend(catalogue.entries().iter().map(|entry| entry.path(Path::new(""))));
        for file in files {
            let (from, mut to) = (house.tree.root().join(&file), there.join(&file));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if let Some(envelope) = envelope {
                to.as_mut_os_string().push(".age");
                envelope.seal_file(&from, &to).unwrap();
            } else {
                fs::copy(&from, &to).unwrap();
            }
        }
        let location = Location::Folder(root.path().to_owned());
        let target = Target::open(&Settings::new("usb", location)).unwrap();
        Self { _root: root, target, runtime: tokio::runtime::Runtime::new().unwrap() }
    }
}

#[test]
fn a_wrapped_history_is_restored_with_its_key_and_left_alone_without() {
    let house = House::new();
    let (recipient, identity) = Envelope::generate();
    let with_key = Envelope::new(std::slice::from_ref(&recipient), &[identity]).unwrap();
    let without = Envelope::new(&[recipient], &[]).unwrap();
    let far = Far::new(&house, Some(&without));
    let usb = Tier::Elsewhere("usb".to_owned());
    for (envelope, points, notes) in [(&with_key, 3, 0), (&without, 0, 1)] {
        let fetch = |name: &str, into: &Path| {
            fetch(&far.target, Some(envelope), far.runtime.handle(), name, into)
        };
        let report = house.verify_with(&[&fetch], &|| false);
        assert!(report.is_proven(), "{report:?}");
        assert_eq!(report.points.iter().filter(|point| point.tier == usb).count(), points);
        assert_eq!(report.notes.len(), notes, "{report:?}");
    }
}

fn faults(report: &Report) -> Vec<String> {
    assert!(!report.is_proven());
    report.all_faults().collect()
}

#[test]
fn whole_copies_are_proven_from_both_kinds_and_say_the_same() {
    let report = House::new().verify();
    assert_eq!(report.all_faults().collect::<Vec<_>>(), Vec::<String>::new());
    assert!(report.is_proven());
    let tried: Vec<_> =
        report.points.iter().map(|point| (point.tier.clone(), point.which, point.txid)).collect();
    let expected = [
        (Tier::Continuous, Which::Latest, Some(5)),
        (Tier::Continuous, Which::Random, Some(3)),
        (Tier::Continuous, Which::Oldest, Some(1)),
        (Tier::Snapshots, Which::Latest, Some(5)),
        (Tier::Snapshots, Which::Random, Some(5)),
        (Tier::Snapshots, Which::Oldest, Some(1)),
        (Tier::Continuous, Which::SameAsSnapshot, Some(5)),
    ];
    assert_eq!(tried, expected);
    assert_eq!(report.points[0].checksum, report.points[3].checksum);
    let kept = tempfile::tempdir().unwrap();
    assert_eq!(Report::load(kept.path()).unwrap(), None);
    report.save(kept.path()).unwrap();
    assert_eq!(Report::load(kept.path()).unwrap(), Some(report));
}

#[test]
fn one_flipped_bit_in_the_history_is_told() {
    let house = House::new();
    let newest = house.tree.list().unwrap().newest().copied().unwrap();
    let path = house.tree.path_of(&newest);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let report = house.verify();
    assert!(faults(&report)[0].contains("latest point from continuous"), "{report:?}");
    let fine = report.points.iter().filter(|point| point.faults.is_empty()).count();
    assert_eq!(fine, 5, "all but the two that need that file: {report:?}");
}

#[test]
fn one_flipped_bit_in_the_snapshots_is_told() {
    let house = House::new();
    let packs = house.folder.path().join("images/data");
    let pack = fs::read_dir(&packs)
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let told = faults(&house.verify());
    let name = pack.file_name().unwrap().to_string_lossy().into_owned();
    assert!(told.iter().any(|fault| fault.contains(&name)), "{told:?}");
}

#[test]
fn two_paths_that_disagree_are_told() {
    let house = House::new();
    house.says(6);
    house.put(6, false);
    let mut other = fs::read(house.live()).unwrap();
    // A byte of the text: SQLite finds nothing wrong with it.
    let word = other.windows(6).rposition(|bytes| bytes == "言の".as_bytes()).unwrap();
    other[word..word + 6].copy_from_slice("事の".as_bytes());
    house.snapshot_of(6, other);
    let told = faults(&house.verify());
    assert!(told.len() == 1 && told[0].contains("one of the two is wrong"), "{told:?}");
}

#[test]
fn a_history_that_stopped_growing_is_told_by_the_sign_of_life() {
    let house = House::new();
    // The last three hours of words never reached the history; it is dated as if they had.
    for txid in 3..=5 {
        let entry =
            *house.tree.list().unwrap().entries().iter().find(|e| e.max_txid == txid).unwrap();
        fs::remove_file(house.tree.path_of(&entry)).unwrap();
    }
    let second = *house.tree.list().unwrap().entries().iter().find(|e| e.max_txid == 2).unwrap();
    let file = fs::File::options().write(true).open(house.tree.path_of(&second)).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    let told = faults(&house.verify());
    assert!(told.iter().any(|fault| fault.contains("s older than the newest write")), "{told:?}");
}

#[test]
fn rows_that_are_gone_without_a_trace_are_told() {
    let house = House::new();
    Connection::open(house.live()).unwrap().execute("DELETE FROM inbox WHERE id = 2", []).unwrap();
    house.put(6, false);
    let told = faults(&house.verify());
    assert!(told[0].contains("3 messages and replies are there, but 4 were counted"), "{told:?}");
}

#[test]
fn a_reference_to_nothing_is_told() {
    let house = House::new();
    let live = Connection::open(house.live()).unwrap();
    live.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO replies VALUES (1, 77, 'x')")
        .unwrap();
    drop(live);
    house.put(6, false);
    let told = faults(&house.verify());
    assert!(told[0].contains("foreign_key_check: row 1 of replies"), "{told:?}");
}

#[test]
fn a_far_side_is_restored_from_too_and_its_fault_hides_no_other() {
    let house = House::new();
    let far = Far::new(&house, None);
    let fetch =
        |name: &str, into: &Path| fetch(&far.target, None, far.runtime.handle(), name, into);
    let report = house.verify_with(&[&fetch], &|| false);
    assert!(report.is_proven(), "{report:?}");
    let far = Tier::Elsewhere("usb".to_owned());
    assert_eq!(report.points.iter().filter(|point| point.tier == far).count(), 3);

    let broken = |_: &str, _: &Path| -> anyhow::Result<Fetched> { anyhow::bail!("it is gone") };
    let report = house.verify_with(&[&broken], &|| false);
    assert_eq!(faults(&report), ["the history of talk from usb: it is gone"]);
    assert_eq!(report.points.len(), 7, "everything else was tried");
}

#[test]
fn folders_come_back_too_and_leave_nothing_behind_whatever_their_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut house = House::new();
    house.keeps_a_folder(|root, day| {
        let closed = root.join(format!("closed-{day}"));
        fs::create_dir_all(closed.join("deep")).unwrap();
        fs::write(closed.join("deep/note"), format!("day {day}")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    });
    let report = house.verify();
    assert!(report.is_proven(), "{report:?}");
    let tried: Vec<_> = report
        .points
        .iter()
        .filter(|point| point.name == "notes")
        .map(|point| (point.which, point.bytes))
        .collect();
    assert_eq!(tried, [(Which::Latest, 15), (Which::Random, 10), (Which::Oldest, 5)]);
}

#[test]
fn a_torn_database_in_a_folder_is_told() {
    let mut house = House::new();
    let live = fs::read(house.live()).unwrap();
    house.keeps_a_folder(|root, day| {
        let mut bytes = live.clone();
        if day == 3 {
            let last = bytes.len() - PAGE as usize;
            bytes[last..].fill(0x55);
        }
        fs::write(root.join("app.db"), bytes).unwrap();
    });
    let told = faults(&house.verify());
    assert!(
        told[0].contains("notes, latest point from snapshots: app.db: integrity_check"),
        "{told:?}"
    );
    assert!(told.iter().all(|fault| fault.contains("latest")), "{told:?}");
}

#[test]
fn a_lost_database_does_not_keep_its_copies_from_being_tried() {
    let house = House::new();
    fs::remove_file(house.live()).unwrap();
    let report = house.verify();
    let told = faults(&report);
    assert!(told.len() == 1 && told[0].contains("the database itself"), "{told:?}");
    assert_eq!(report.points.len(), 7);
}

#[test]
fn one_that_was_ended_early_proves_nothing() {
    let report = House::new().verify_with(&[], &|| true);
    assert!(report.points.is_empty() && !report.is_proven());
}
