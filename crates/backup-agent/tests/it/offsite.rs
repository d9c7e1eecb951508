//! The queue of a target against far sides that are full, forgetful, liars or gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backup_agent::offsite::{Limits, Proven, Queue, Source, Standing, bring_back_newest};
use jiff::Timestamp;
use objects::{Envelope, FaultKind, Target};
use replica::disk::Disk;
use replica::tree::{At, Timelines, file_name};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dav::{Dav, Line, target};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A history here, and the queues that send it.
struct House {
    place: TempDir,
    root: PathBuf,
    proven: watch::Sender<Proven>,
}

impl House {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let timelines = Timelines::new(&place.path().join("chats"), Disk::default());
        let timeline = timelines.begin(4096, Timestamp::now(), "test").unwrap();
        let root = timeline.tree.root().to_path_buf();
        let (proven, _) = watch::channel(BTreeMap::new());
        Self { place, root, proven }
    }

    /// The queue looks at names, sizes and dates, so that any bytes will do.
    fn add(&self, level: u8, from: u64, to: u64, bytes: usize) -> PathBuf {
        let folder = self.root.join("ltx").join(level.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(file_name(from, to));
        std::fs::write(&file, vec![u8::try_from(to % 251).unwrap(); bytes]).unwrap();
        file
    }

    fn limits(&self) -> Limits {
        let staging = self.place.path().join("staging");
        Limits {
            wait_min: Duration::from_millis(20),
            wait_max: Duration::from_millis(100),
            ..Limits::new(Duration::from_millis(20), &staging)
        }
    }

    fn queue_with(&self, target: Target, envelope: Option<Envelope>, limits: Limits) -> Queue {
        let timelines = Timelines::new(&self.place.path().join("chats"), Disk::default());
        let sources = vec![Source { database: "chats".to_owned(), timelines }];
        Queue::new(target, envelope.map(Arc::new), sources, limits, self.proven.subscribe())
    }

    fn queue(&self, target: Target) -> Queue {
        self.queue_with(target, None, self.limits())
    }
}

/// The last parts of names: what levels and transactions they tell.
fn short(names: &[String]) -> Vec<String> {
    let tail = |name: &String| match name.split_once("/ltx/") {
        Some((_, rest)) => rest.replace("00000000000000", ""),
        None => name.rsplit_once('/').map_or(name.clone(), |(_, rest)| rest.to_owned()),
    };
    names.iter().map(tail).collect()
}

/// Runs a queue until its standing is as wished.
async fn until(queue: Queue, what: &str, wished: impl FnMut(&Standing) -> bool) -> Standing {
    let (stop, mut standing) = (CancellationToken::new(), queue.standing());
    let running = tokio::spawn(queue.run(stop.clone()));
    let found = tokio::time::timeout(PATIENCE, standing.wait_for(wished)).await;
    let found = found.unwrap_or_else(|_| panic!("never {what}")).unwrap().clone();
    stop.cancel();
    running.await.unwrap();
    found
}

fn done(standing: &Standing) -> bool {
    standing.complete.is_some() && standing.lag.is_some_and(|lag| lag.since.is_none())
}

#[tokio::test]
async fn the_newest_point_arrives_first_and_then_the_history() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 100);
    house.add(0, 11, 11, 10);
    house.add(9, 1, 11, 100);
    house.add(0, 12, 12, 10);
    let standing = until(house.queue(target("far", server.port())), "done", done).await;
    let order = short(&server.arrived());
    assert_eq!(
        order,
        ["manifest.json", "9/01-0b.ltx", "0/0c-0c.ltx", "0/0b-0b.ltx", "9/01-0a.ltx"]
    );
    assert_eq!((standing.sent_files, standing.misfits, standing.fault), (5, 0, None));
}

#[tokio::test]
async fn what_leaves_is_wrapped_and_its_size_is_known_again() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 200_000);
    let (recipient, identity) = Envelope::generate();
    let envelope = Envelope::new(std::slice::from_ref(&recipient), &[]).unwrap();
    let queue =
        house.queue_with(target("far", server.port()), Some(envelope.clone()), house.limits());
    until(queue, "done", done).await;
    assert_eq!(short(&server.arrived()), ["manifest.json.age", "9/01-0a.ltx.age"]);
    let opening = Envelope::new(&[], &[identity]).unwrap();
    server.change(|files| {
        let (_, sealed) = files.iter().find(|(name, _)| name.contains("/9/")).unwrap();
        let mut plain = Vec::new();
        opening.open(&sealed[..], &mut plain).unwrap();
        assert!(plain == vec![10; 200_000]);
    });
    // Another process lists anew and has nothing to send.
    let queue = house.queue_with(target("far", server.port()), Some(envelope), house.limits());
    let standing = until(queue, "done again", done).await;
    assert_eq!((standing.sent_files, standing.misfits), (0, 0));
    let left = std::fs::read_dir(house.limits().staging).map_or(0, Iterator::count);
    assert_eq!(left, 0, "something was left half wrapped");
}

#[tokio::test]
async fn a_line_that_is_cut_shows_nothing_half_and_goes_on_later() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 3_000_000);
    house.add(0, 11, 11, 10);
    let line = Line::to(server.port(), 1_500_000).await;
    let (stop, queue) = (CancellationToken::new(), house.queue(target("far", line.port())));
    let mut standing = queue.standing();
    let running = tokio::spawn(queue.run(stop.clone()));
    let met = standing.wait_for(|standing| standing.fault.is_some());
    let met = tokio::time::timeout(PATIENCE, met).await.unwrap().unwrap().clone();
    let fault = met.fault.unwrap();
    assert_eq!(fault.class, FaultKind::Unreachable.as_str(), "{fault:?}");
    assert!(
        met.lag.unwrap().since.is_some() && met.lag.unwrap().bytes == 3_000_010,
        "{:?}",
        met.lag
    );
    assert_eq!(short(&server.arrived()), ["manifest.json"]);
    line.allow(usize::MAX);
    let well = standing.wait_for(|standing| done(standing) && standing.fault.is_none());
    tokio::time::timeout(PATIENCE, well).await.unwrap().unwrap();
    assert_eq!(short(&server.arrived()), ["9/01-0a.ltx", "0/0b-0b.ltx"]);
    stop.cancel();
    running.await.unwrap();
    let names = server.names();
    assert!(names.iter().all(|name| !name.ends_with("-part")), "{names:?}");
}

#[tokio::test]
async fn a_far_side_that_is_full_is_named_and_what_may_go_goes_first() {
    let (house, server) = (House::new(), Dav::start().await);
    let old = house.add(9, 1, 10, 400_000);
    house.add(9, 1, 20, 400_000);
    until(house.queue(target("far", server.port())), "done", done).await;
    server.mood(|mood| mood.room = Some(900_000));
    house.add(9, 1, 30, 400_000);
    let full = |standing: &Standing| {
        standing.fault.as_ref().is_some_and(|fault| fault.class == FaultKind::NoRoom.as_str())
    };
    let standing = until(house.queue(target("far", server.port())), "full", full).await;
    assert_eq!(standing.removed_files, 0, "everything there is still kept here");
    assert!(standing.fault.unwrap().text.contains("free or buy space"));
    // Forgotten here, and not needed there for its own newest point: it makes room.
    std::fs::remove_file(old).unwrap();
    let standing = until(house.queue(target("far", server.port())), "done in the end", done).await;
    assert_eq!(standing.removed_files, 1);
    let names = short(&server.names());
    assert!(
        names.contains(&"9/01-1e.ltx".to_owned()) && !names.contains(&"9/01-0a.ltx".to_owned())
    );
}

#[tokio::test]
async fn a_far_side_that_lies_about_sizes_gets_nothing_its_name() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 1000);
    server.mood(|mood| mood.boasts = 1);
    let met = |standing: &Standing| standing.fault.as_ref().is_some_and(|fault| fault.times > 2);
    let standing = until(house.queue(target("far", server.port())), "caught", met).await;
    let fault = standing.fault.unwrap();
    assert_eq!(fault.class, FaultKind::Changed.as_str(), "{fault:?}");
    assert_eq!(server.arrived(), [""; 0]);
    assert_eq!(standing.complete, None);
}

#[tokio::test]
async fn what_was_cut_short_there_is_found_by_its_size_and_sent_again() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 1000);
    house.add(0, 11, 11, 10);
    until(house.queue(target("far", server.port())), "done", done).await;
    server.change(|files| {
        let (_, body) = files.iter_mut().find(|(name, _)| name.contains("/0/")).unwrap();
        body.truncate(5);
    });
    server.arrived();
    let mut misfits = 0;
    let standing = until(house.queue(target("far", server.port())), "mended", |standing| {
        misfits = misfits.max(standing.misfits);
        done(standing) && standing.sent_files == 1 && standing.misfits == 0
    });
    standing.await;
    assert_eq!((misfits, short(&server.arrived())), (1, vec!["0/0b-0b.ltx".to_owned()]));
}

#[tokio::test]
async fn a_far_side_that_refuses_to_forget_is_named_and_still_gets_everything() {
    let (house, server) = (House::new(), Dav::start().await);
    let old = house.add(9, 1, 10, 1000);
    until(house.queue(target("far", server.port())), "done", done).await;
    server.mood(|mood| mood.keeps = true);
    house.add(9, 1, 20, 1000);
    std::fs::remove_file(old).unwrap();
    let standing = until(house.queue(target("far", server.port())), "told", |standing| {
        done(standing) && standing.removal_fault.is_some()
    });
    let standing = standing.await;
    assert_eq!(standing.fault, None);
    assert!(short(&server.names()).contains(&"9/01-14.ltx".to_owned()));
    server.mood(|mood| mood.keeps = false);
    let forgot = |standing: &Standing| standing.removed_files == 1;
    until(house.queue(target("far", server.port())), "forgotten", forgot).await;
    assert!(!short(&server.names()).contains(&"9/01-0a.ltx".to_owned()));
}

#[tokio::test]
async fn what_was_verified_there_outlives_what_is_kept_here() {
    let (house, server) = (House::new(), Dav::start().await);
    let old = house.add(9, 1, 10, 1000);
    until(house.queue(target("far", server.port())), "done", done).await;
    house.proven.send_replace(BTreeMap::from([("chats".to_owned(), (1, 10))]));
    house.add(9, 1, 20, 1000);
    std::fs::remove_file(old).unwrap();
    let sent = |standing: &Standing| done(standing) && standing.sent_files == 1;
    let standing = until(house.queue(target("far", server.port())), "sent", sent).await;
    assert_eq!(standing.removed_files, 0);
    house.proven.send_replace(BTreeMap::from([("chats".to_owned(), (1, 20))]));
    let forgot = |standing: &Standing| standing.removed_files == 1;
    until(house.queue(target("far", server.port())), "forgotten", forgot).await;
}

#[tokio::test]
async fn a_house_that_is_built_anew_writes_over_nothing_of_the_one_that_was_lost() {
    let server = Dav::start().await;
    let lost = House::new();
    lost.add(9, 1, 10, 1000);
    until(lost.queue(target("far", server.port())), "done", done).await;
    let before = server.names();
    let anew = House::new();
    anew.add(9, 1, 10, 500);
    until(anew.queue(target("far", server.port())), "done", done).await;
    let after = server.names();
    assert_eq!(after.len(), before.len() * 2);
    assert!(before.iter().all(|name| after.contains(name)));
}

#[tokio::test]
async fn a_bad_target_delays_no_other() {
    let (house, bad, good) = (House::new(), Dav::start().await, Dav::start().await);
    house.add(9, 1, 10, 1000);
    bad.mood(|mood| mood.refuses = true);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    let silent_port = silent.local_addr().unwrap().port();
    let others = [("refusing", bad.port()), ("silent", silent_port)]
        .map(|(name, port)| tokio::spawn(house.queue(target(name, port)).run(stop.clone())));
    let limits = Limits { staging: house.place.path().join("other"), ..house.limits() };
    let queue = house.queue_with(target("good", good.port()), None, limits);
    let since = Instant::now();
    until(queue, "done", done).await;
    // Each newly shipped file is there soon as well, whatever the others do.
    house.add(0, 11, 11, 10);
    let limits = Limits { staging: house.place.path().join("other"), ..house.limits() };
    let queue = house.queue_with(target("good", good.port()), None, limits);
    let standing = until(queue, "done", done).await;
    assert_eq!(standing.sent_files, 1);
    assert!(since.elapsed() < PATIENCE);
    stop.cancel();
    for other in others {
        other.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_forgotten_while_it_is_sent_is_no_fault() {
    let (house, server) = (House::new(), Dav::start().await);
    house.add(9, 1, 10, 1000);
    let gone = house.add(0, 5, 5, 1000);
    let mut queue = house.queue(target("far", server.port()));
    queue.round().await.unwrap();
    assert_eq!(server.arrived().len(), 3);
    let next = house.add(0, 11, 11, 10);
    std::fs::remove_file(gone).unwrap();
    queue.round().await.unwrap();
    assert_eq!(short(&server.arrived()), ["0/0b-0b.ltx"]);
    drop(next);
}

#[tokio::test]
async fn a_real_history_comes_back_from_elsewhere_with_the_paper_key_alone() {
    let (place, server) = (tempfile::tempdir().unwrap(), Dav::start().await);
    let database = place.path().join("live.db");
    let writer = rusqlite::Connection::open(&database).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.execute_batch("CREATE TABLE words (word TEXT)").unwrap();
    let history = place.path().join("chats");
    let config = replica::FollowConfig::new(database.clone(), history.clone());
    let mut follower = replica::Follower::open(config).unwrap();
    follower.look().unwrap();
    follower.scan().unwrap().full().unwrap();
    for number in 0..20 {
        writer.execute("INSERT INTO words VALUES (?1)", [format!("word {number}")]).unwrap();
        follower.look().unwrap();
    }
    let (recipient, paper) = Envelope::generate();
    let sealing = Envelope::new(&[recipient], &[]).unwrap();
    let sources = vec![Source {
        database: "chats".to_owned(),
        timelines: Timelines::new(&history, Disk::default()),
    }];
    let limits = Limits::new(Duration::from_millis(20), &place.path().join("staging"));
    let (_proven, proven) = watch::channel(Proven::new());
    let far = target("far", server.port());
    let queue = Queue::new(far.clone(), Some(Arc::new(sealing.clone())), sources, limits, proven);
    until(queue, "done", done).await;

    // The machine is gone; what is left is the far side and the key on paper.
    let empty = tempfile::tempdir().unwrap();
    let locked = bring_back_newest(&far, Some(&sealing), "chats", &empty.path().join("no")).await;
    assert!(locked.unwrap_err().to_string().contains("none of the keys here opens this"));
    let opening = Envelope::new(&[], &[paper]).unwrap();
    let to = empty.path().join("tree");
    let tree = bring_back_newest(&far, Some(&opening), "chats", &to).await.unwrap();
    let plan = tree.list().unwrap().plan(At::Latest).unwrap();
    let restored = empty.path().join("restored.db");
    let options = replica::restore::Options::default();
    let unheard = |_| std::ops::ControlFlow::Continue(());
    replica::restore::to_file(&plan, &restored, &options, &unheard).unwrap();
    let reader = rusqlite::Connection::open(&restored).unwrap();
    let count = |sql: &str| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM words"), 20);

    // One flipped bit on the far side is noticed on the way back.
    server.change(|files| {
        let (_, body) = files.iter_mut().find(|(name, _)| name.contains("/9/")).unwrap();
        let mut bytes = body.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        *body = bytes.into();
    });
    let again = empty.path().join("again");
    let error = bring_back_newest(&far, Some(&opening), "chats", &again).await.unwrap_err();
    assert!(error.to_string().contains("damaged or cut off"), "{error}");
}

/// The time of a file goes with it; a queue of tests writes junk, so that it is looked at here.
#[tokio::test]
async fn the_time_of_a_wrapped_file_is_that_of_the_plain_one() {
    let place = tempfile::tempdir().unwrap();
    let (recipient, _) = Envelope::generate();
    let envelope = Envelope::new(&[recipient], &[]).unwrap();
    let (plain, sealed) = (place.path().join("a"), place.path().join("b"));
    std::fs::write(&plain, b"x").unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(&plain).unwrap().set_modified(time).unwrap();
    envelope.seal_file(&plain, &sealed).unwrap();
    assert_eq!(modified(&sealed), time);
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}
