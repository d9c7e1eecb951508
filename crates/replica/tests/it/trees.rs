//! Trees on disk: what is put, listed, merged, forgotten, examined and carried elsewhere.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};
use proptest::sample::Index;
use replica::disk::{Disk, Step};
use replica::tree::{
    At, Catalogue, DIFFERENTIALS, FULLS, Gap, MINUTES, Pin, PlanError, Reason, Rules, SHIPPED,
    Timelines, Tree, TreeError,
};

use crate::history::{BEGIN_MS, History, manifest};

#[test]
fn what_is_put_is_listed_dated_and_whole() {
    let mut history = History::begin(512);
    let entry = history.write(3);
    let catalogue = history.tree.list().unwrap();
    assert_eq!(catalogue.newest(), Some(&entry));
    assert_eq!(history.tree.newest_txid().unwrap(), Some(2));
    let path = history.tree.path_of(&entry);
    assert!(path.ends_with("ltx/0/0000000000000002-0000000000000002.ltx"));
    let date = std::fs::metadata(&path).unwrap().modified().unwrap();
    let since = Duration::from_millis(history.now_ms.cast_unsigned());
    assert_eq!(date, UNIX_EPOCH + since);
    assert!(catalogue.examine().is_fine());
    assert_eq!(catalogue.bytes(), catalogue.examine().bytes);
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let mut history = History::begin(512);
    let entry = history.write(1);
    let before = std::fs::read(history.tree.path_of(&entry)).unwrap();
    let header = history.tree.examine(&entry).unwrap();
    let refused = history.tree.put::<TreeError>(SHIPPED, &header, |_| Ok(())).unwrap_err();
    assert!(matches!(refused, TreeError::Occupied { .. }), "{refused}");
    assert_eq!(std::fs::read(history.tree.path_of(&entry)).unwrap(), before);
    let again = Tree::create(history.tree.root(), manifest(512), Disk::default()).unwrap_err();
    assert!(matches!(again, TreeError::Occupied { .. }), "{again}");
    let larger = ltx::Header { page_size: 1024, max_txid: 9, ..header };
    let refused = history.tree.put::<TreeError>(SHIPPED, &larger, |_| Ok(())).unwrap_err();
    assert!(refused.to_string().contains("begin a new timeline"), "{refused}");
    let partial = history.tree.put::<TreeError>(FULLS, &header, |_| Ok(())).unwrap_err();
    assert!(matches!(partial, TreeError::NoFull { .. }), "{partial}");
}

#[test]
fn what_is_half_written_or_foreign_is_named_and_does_no_harm() {
    let mut history = History::begin(512);
    history.write(1);
    let folder = history.tree.root().join("ltx/0");
    std::fs::write(folder.join("0000000000000003-0000000000000003.ltx.tmp"), "half").unwrap();
    std::fs::write(folder.join("README"), "somebody's").unwrap();
    std::fs::create_dir(folder.join("0000000000000004-0000000000000004.ltx")).unwrap();
    let catalogue = history.tree.list().unwrap();
    assert_eq!(catalogue.newest().unwrap().max_txid, 2);
    let half: Vec<bool> = catalogue.oddities().iter().map(|oddity| oddity.half_written).collect();
    assert_eq!(half, [true, false, false]);
    assert_eq!(history.tree.sweep().unwrap(), 1);
    assert_eq!(history.tree.list().unwrap().oddities().len(), 2);
}

#[test]
fn a_full_disk_leaves_the_tree_as_it_was_at_every_step() {
    let mut history = History::begin(512);
    let entry = history.write(1);
    let header = ltx::Header { min_txid: 3, max_txid: 3, ..history.tree.examine(&entry).unwrap() };
    for failing in [Step::Create, Step::Write, Step::Sync, Step::Rename] {
        let disk = Disk::rehearsing(move |step, _| {
            if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let tree = Tree::open(history.tree.root(), disk).unwrap();
        let refused = tree
            .put::<TreeError>(SHIPPED, &header, |writer| {
                for page in 1..=header.commit {
                    writer.page(page, &[7; 512]).unwrap();
                }
                Ok(())
            })
            .unwrap_err();
        assert!(
            matches!(&refused, TreeError::Io { source, .. } | TreeError::Ltx { source: ltx::Error::Io(source), .. }
                if source.kind() == io::ErrorKind::StorageFull),
            "{failing:?}: {refused}"
        );
        assert_eq!(history.tree.newest_txid().unwrap(), Some(2), "{failing:?}");
        assert!(history.tree.list().unwrap().oddities().is_empty(), "{failing:?}");
    }
    history.tree.put::<TreeError>(SHIPPED, &header, |_| Ok(())).unwrap();
}

#[test]
fn a_manifest_of_another_kind_is_refused() {
    let history = History::begin(512);
    let path = history.tree.root().join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [("\"version\": 3", "\"version\": 4"), ("\"ltx\"", "\"xtl\""), ("512", "513")]
    {
        assert!(text.contains(from));
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let refused = Tree::open(history.tree.root(), Disk::default()).unwrap_err();
        assert!(matches!(refused, TreeError::Manifest { .. }), "{refused}");
    }
    for broken in ["", "{", &text[..40]] {
        std::fs::write(&path, broken).unwrap();
        assert!(Tree::open(history.tree.root(), Disk::default()).is_err());
    }
    std::fs::remove_file(&path).unwrap();
    let refused = Tree::open(history.tree.root(), Disk::default()).unwrap_err().to_string();
    assert!(refused.contains("there is no history here"), "{refused}");
}

#[test]
fn a_plan_takes_a_full_and_as_few_files_as_can_be() {
    let mut history = History::begin(512);
    for _ in 0..120 {
        history.write(1);
    }
    let merged = history.tree.compact(history.now_ms).unwrap();
    assert_eq!(merged.iter().map(|entry| entry.level).collect::<Vec<_>>(), [MINUTES; 2]);
    let differential = history.tree.differential().unwrap().unwrap();
    assert_eq!((differential.level, differential.min_txid, differential.max_txid), (2, 2, 121));
    assert_eq!(history.tree.differential().unwrap(), None);
    history.write(1);
    let plan = history.tree.list().unwrap().plan(At::Latest).unwrap();
    let levels: Vec<u8> = plan.entries.iter().map(|entry| entry.level).collect();
    assert_eq!((levels, plan.txid), (vec![FULLS, DIFFERENTIALS, SHIPPED], 122));
    let full = history.tree.full_from_tree().unwrap().unwrap();
    assert_eq!((full.level, full.min_txid, full.max_txid), (FULLS, 1, 122));
    let plan = history.tree.list().unwrap().plan(At::Latest).unwrap();
    assert_eq!(plan.entries, [full]);
    assert!(history.tree.list().unwrap().examine().is_fine());
    assert_eq!(history.tree.compact(history.now_ms).unwrap(), []);
}

#[test]
fn more_files_than_may_be_open_are_merged_too() {
    let mut history = History::begin(512);
    for _ in 0..130 {
        history.write(1);
    }
    let full = history.tree.full_from_tree().unwrap().unwrap();
    assert_eq!((full.max_txid, full.bytes > 0), (131, true));
    assert!(history.tree.list().unwrap().oddities().is_empty());
    assert_eq!(std::fs::read_dir(history.tree.root()).unwrap().count(), 2);
    // One of the same transactions is there already, whichever file is planned with.
    let mut other = History::begin(512);
    other.write(1);
    let made = other.tree.differential().unwrap().unwrap();
    std::fs::create_dir_all(other.tree.root().join("ltx/3")).unwrap();
    let higher =
        other.tree.root().join("ltx/3").join(other.tree.path_of(&made).file_name().unwrap());
    std::fs::copy(other.tree.path_of(&made), higher).unwrap();
    assert_eq!(other.tree.differential().unwrap(), None);
}

#[test]
fn points_that_cannot_be_reached_are_named_with_those_that_can() {
    let mut history = History::begin(512);
    let second: Vec<_> = (0..9).map(|_| history.write(1)).collect();
    let catalogue = history.tree.list().unwrap();
    let time = |ms| At::Time(Timestamp::from_millisecond(ms).unwrap());
    assert_eq!(catalogue.plan(time(BEGIN_MS + 4999)).unwrap().txid, 4);
    assert_eq!(catalogue.plan(time(BEGIN_MS + 5000)).unwrap().txid, 5);
    assert_eq!(catalogue.plan(time(BEGIN_MS * 2)).unwrap().txid, 10);
    let early = catalogue.plan(time(BEGIN_MS)).unwrap_err();
    assert!(matches!(early, PlanError::TooOld { oldest: 1, .. }), "{early}");
    let new = catalogue.plan(At::Txid(11)).unwrap_err();
    assert_eq!(new, PlanError::TooNew { wished: 11, newest: 10 });
    let holed = catalogue.clone().without(&second[2]).without(&second[5]).without(&second[6]);
    let gaps = vec![Gap { from: 4, to: 4 }, Gap { from: 7, to: 8 }];
    let refused = holed.plan(At::Latest).unwrap_err();
    assert_eq!(refused, PlanError::Gaps { gaps, reachable: 3 });
    assert!(refused.to_string().contains("4, 7 to 8; 3 can still be reached"), "{refused}");
    assert_eq!(holed.plan(At::Txid(3)).unwrap().txid, 3);
    history.tree.differential().unwrap().unwrap();
    let merged = history.tree.list().unwrap().without(&second[3]).without(&second[4]);
    let refused = merged.plan(At::Txid(6)).unwrap_err();
    assert!(matches!(refused, PlanError::Gaps { .. } | PlanError::Merged { .. }), "{refused}");
    let only = Catalogue::new(merged.root(), merged.fulls().chain(merged.of_level(2)).copied());
    let refused = only.plan(At::Txid(6)).unwrap_err();
    assert_eq!(refused, PlanError::Merged { wished: 6, before: 1, after: 10 });
    let bare = Catalogue::new(merged.root(), merged.of_level(0).copied());
    assert!(matches!(bare.plan(At::Latest).unwrap_err(), PlanError::NoFull(_)));
    let none = Catalogue::new(merged.root(), []);
    assert!(matches!(none.plan(At::Latest).unwrap_err(), PlanError::Empty(_)));
}

#[test]
fn a_damaged_full_is_planned_around() {
    let mut history = History::begin(512);
    history.write(1);
    let newer = history.full();
    history.write(1);
    let catalogue = history.tree.list().unwrap();
    assert_eq!(catalogue.plan(At::Latest).unwrap().entries[0], newer);
    let around = catalogue.without(&newer).plan(At::Latest).unwrap();
    assert_eq!((around.entries.len(), around.txid), (3, 3));
}

#[test]
fn one_flipped_bit_in_any_file_is_found_and_named() {
    let mut history = History::begin(512);
    for _ in 0..3 {
        history.write(1);
    }
    history.tree.differential().unwrap();
    let catalogue = history.tree.list().unwrap();
    for entry in catalogue.entries() {
        let path = history.tree.path_of(entry);
        let whole = std::fs::read(&path).unwrap();
        let date = std::fs::metadata(&path).unwrap().modified().unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        for content in [&damaged[..], &whole[..middle], &[]] {
            std::fs::write(&path, content).unwrap();
            let found = catalogue.examine();
            assert!(found.faults.iter().any(|fault| fault.path == path), "{}", path.display());
        }
        std::fs::write(&path, &whole).unwrap();
        std::fs::File::open(&path).unwrap().set_modified(date).unwrap();
    }
    assert!(catalogue.examine().is_fine());
    // A file under another's name is whole and still not what it should be.
    let [one, two] = [catalogue.entries()[0], catalogue.entries()[1]];
    std::fs::copy(history.tree.path_of(&one), history.tree.path_of(&two)).unwrap();
    let faults = catalogue.examine().faults;
    assert!(faults.iter().any(|fault| matches!(fault.error, TreeError::Misnamed { .. })));
}

#[test]
fn a_damaged_file_is_not_merged_and_nothing_is_left_behind() {
    let mut history = History::begin(512);
    let entry = history.write(1);
    let path = history.tree.path_of(&entry);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = history.tree.differential().unwrap_err();
    assert!(matches!(refused, TreeError::Ltx { .. }), "{refused}");
    assert_eq!(history.tree.list().unwrap().of_level(DIFFERENTIALS).count(), 0);
    assert!(history.tree.list().unwrap().oddities().is_empty());
}

#[test]
fn lost_dates_are_told_and_can_be_set_again() {
    let mut history = History::begin(512);
    let entry = history.write(1);
    let path = history.tree.path_of(&entry);
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    let faults = history.tree.list().unwrap().examine().faults;
    assert!(matches!(&faults[..], [fault] if matches!(fault.error, TreeError::Undated { .. })));
    assert_eq!(history.tree.list().unwrap().mend_dates().unwrap(), 1);
    assert!(history.tree.list().unwrap().examine().is_fine());
}

#[test]
fn retention_removes_what_it_said_and_a_restore_keeps_what_it_needs() {
    let mut history = History::begin(512);
    for _ in 0..3 {
        history.write(1);
    }
    let plan = history.tree.list().unwrap().plan(At::Latest).unwrap();
    history.tree.differential().unwrap().unwrap();
    history.tree.full_from_tree().unwrap().unwrap();
    let rules = Rules { fulls: 1, ..Rules::default() };
    let later = history.now_ms + 40 * 24 * 3_600_000;
    let pin = Pin::set(&plan).unwrap();
    let told = history.tree.judge(&rules, later).unwrap();
    let in_use = told.iter().filter(|verdict| verdict.reason == Reason::InUse).count();
    assert_eq!(in_use, plan.entries.len());
    history.tree.forget(&rules, later).unwrap();
    assert!(plan.files().all(|(_, path)| path.exists()));
    assert_eq!(history.tree.list().unwrap().of_level(DIFFERENTIALS).count(), 0);
    drop(pin);
    history.tree.forget(&rules, later).unwrap();
    let left = history.tree.list().unwrap();
    assert_eq!(left.entries().len(), 1);
    assert_eq!(left.plan(At::Latest).unwrap().txid, 4);
    // What the plan needs is gone: that is said before anything is read.
    assert!(Pin::set(&plan).is_err());
}

#[test]
fn a_pin_that_nobody_holds_is_a_left_over() {
    let mut history = History::begin(512);
    history.write(1);
    let pins = history.tree.root().join("pins");
    std::fs::create_dir(&pins).unwrap();
    std::fs::write(pins.join("1-0.pin"), "9 0000000000000001-0000000000000001.ltx\n").unwrap();
    let told = history.tree.judge(&Rules::default(), history.now_ms).unwrap();
    assert!(told.iter().all(|verdict| verdict.reason != Reason::InUse));
    assert_eq!(std::fs::read_dir(&pins).unwrap().count(), 0);
    let plan = history.tree.list().unwrap().plan(At::Latest).unwrap();
    let two = [Pin::set(&plan).unwrap(), Pin::set(&plan).unwrap()];
    assert_eq!((two[0].is_set(), std::fs::read_dir(&pins).unwrap().count()), (true, 2));
    drop(two);
    // Nothing of ours is left in a tree that may be somebody else's.
    assert!(!pins.exists());
}

#[test]
fn a_new_timeline_begins_with_what_brought_its_database_back() {
    let history = History::begin(512);
    let folder = history.path("timelines");
    let timelines = Timelines::new(&folder, Disk::default());
    assert!(timelines.current().unwrap().is_none());
    let began = |seconds: i64| Timestamp::from_millisecond(BEGIN_MS + seconds * 1000).unwrap();
    assert_eq!(timelines.begin(512, began(0), "0.0.0").unwrap().number, 1);
    let mut history = history;
    history.tree = timelines.current().unwrap().unwrap().tree;
    history.txid = 0;
    history.full_again();
    for _ in 0..4 {
        history.write(1);
    }
    let plan = timelines.plan(At::Txid(3)).unwrap();
    // A left-over of an attempt that was cut off is no timeline and does not stand in the way.
    std::fs::create_dir_all(folder.join("timeline-0002.new/ltx/0")).unwrap();
    let second = timelines.branch(&plan, began(60), "0.0.0").unwrap();
    assert_eq!(second.number, 2);
    let parent = second.tree.manifest().parent.unwrap();
    assert_eq!((parent.timeline, parent.txid), (1, 3));
    assert!(second.tree.list().unwrap().examine().is_fine());
    assert_eq!(timelines.plan(At::Latest).unwrap().txid, 3);
    assert_eq!(timelines.plan(At::Latest).unwrap().root, second.tree.root());
    // What came after the point is still there, by the time at which it was so.
    let before = timelines.plan(At::Time(began(30))).unwrap();
    assert_eq!((before.txid, before.root.ends_with("timeline-0001")), (5, true));
    let after = timelines.plan(At::Time(began(61))).unwrap();
    assert_eq!((after.txid, after.root.ends_with("timeline-0002")), (3, true));
    assert!(timelines.plan(At::Time(began(-60))).is_err());
}

#[test]
fn a_timeline_that_was_left_goes_when_it_is_older_than_anything_is_kept() {
    let mut history = History::begin(512);
    let timelines = Timelines::new(&history.path("timelines"), Disk::default());
    let began = Timestamp::from_millisecond(BEGIN_MS).unwrap();
    history.tree = timelines.begin(512, began, "0.0.0").unwrap().tree;
    history.full_again();
    history.write(1);
    let plan = timelines.plan(At::Latest).unwrap();
    let second = timelines.branch(&plan, began, "0.0.0").unwrap();
    let rules = Rules { age_max: Some(Duration::from_hours(24)), ..Rules::default() };
    let later = history.now_ms + 25 * 3_600_000;
    let numbers = |timelines: &Timelines| -> Vec<u32> {
        timelines.list().unwrap().iter().map(|timeline| timeline.number).collect()
    };
    timelines.forget(&rules, history.now_ms + 3_600_000).unwrap();
    assert_eq!(numbers(&timelines), [1, 2]);
    // A restore from it is under way.
    let pin = Pin::set(&plan).unwrap();
    timelines.forget(&rules, later).unwrap();
    assert_eq!(numbers(&timelines), [1, 2]);
    drop(pin);
    let told = timelines.judge(&rules, later).unwrap();
    assert_eq!(told.iter().map(|one| one.goes_whole).collect::<Vec<_>>(), [true, false]);
    timelines.forget(&rules, later).unwrap();
    assert_eq!(numbers(&timelines), [2]);
    // What they shared is still there, and the newest full never goes.
    assert!(second.tree.list().unwrap().examine().is_fine());
    assert_eq!(timelines.plan(At::Latest).unwrap().txid, plan.txid);
    assert_eq!(std::fs::read_dir(history.path("timelines")).unwrap().count(), 1);
    // The next one is not taken for it.
    assert_eq!(timelines.begin(512, began, "0.0.0").unwrap().number, 3);
}

proptest! {
    #[test]
    fn any_bytes_are_a_manifest_or_are_refused(
        bytes in vec(any::<u8>(), 0..300),
        at in any::<Index>(),
        change in 1..=u8::MAX,
    ) {
        let folder = tempfile::tempdir().unwrap();
        Tree::create(folder.path(), manifest(512), Disk::default()).unwrap();
        let path = folder.path().join("manifest.json");
        let mut text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(Tree::open(folder.path(), Disk::default()).is_err());
        let at = at.index(text.len());
        text[at] ^= change;
        std::fs::write(&path, &text).unwrap();
        if let Ok(found) = Tree::open(folder.path(), Disk::default()) {
            // What decides how files are read is what it was, or something that can be.
            prop_assert!(found.manifest().page_size.is_power_of_two());
        }
    }
}

#[test]
fn an_export_is_a_tree_of_its_own() {
    let mut history = History::begin(512);
    let damaged = history.write(1);
    history.write(1);
    let catalogue = history.tree.list().unwrap();
    let to = history.path("export");
    catalogue.export(catalogue.entries(), &to, &Disk::default()).unwrap();
    let exported = Catalogue::of_foreign(&to).unwrap();
    assert_eq!(exported.entries(), catalogue.entries());
    assert!(exported.examine().is_fine());
    let refused = catalogue.export(catalogue.entries(), &to, &Disk::default()).unwrap_err();
    assert!(matches!(refused, TreeError::Occupied { .. }));
    let path = history.tree.path_of(&damaged);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let other = history.path("other");
    assert!(catalogue.export(catalogue.entries(), &other, &Disk::default()).is_err());
    assert!(!damaged.path(&other).exists());
    assert!(Catalogue::of_foreign(&history.path("nowhere")).is_err());
}
