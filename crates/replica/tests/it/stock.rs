//! Stock litestream 0.5.17 on our files, and we on its.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use replica::disk::Disk;
use replica::restore::{Check, Options, to_file};
use replica::tree::{At, Catalogue, Plan, Timelines};
use rusqlite::Connection;

use crate::history::{BEGIN_MS, History, rows};
use crate::restores::quietly;

const PATIENCE: Duration = Duration::from_mins(1);

#[expect(clippy::print_stdout, reason = "the test runner counts what is skipped")]
fn skipped(reason: &str) {
    println!("{reason}");
}

#[expect(clippy::disallowed_methods, reason = "where this machine keeps a program is no setting")]
fn named(variable: &str, skip: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        skipped(skip);
    }
    found
}

fn litestream() -> Option<PathBuf> {
    named("KOTONOHA_LITESTREAM", "skipped: no litestream")
}

fn address(root: &Path) -> String {
    format!("file://{}", root.display())
}

/// Has litestream restore a tree with its own full check.
fn restore(program: &Path, root: &Path, to: &Path, more: &[&str]) {
    let output = Command::new(program)
        .args(["restore", "-integrity-check", "full", "-o"])
        .arg(to)
        .args(more)
        .arg(address(root))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{more:?}: {said}");
}

/// The same database, whoever wrote the file: opening one marks its first page.
fn same(path: &Path, image: &[u8]) -> bool {
    std::fs::read(path).unwrap() == image
}

/// A history with everything in it that ours have.
fn eventful(page_size: u32) -> History {
    let mut history = History::begin(page_size);
    for number in 0..20 {
        history.write(1 + number * 9);
    }
    history.run("DELETE FROM words WHERE id % 3 > 0");
    history.run("VACUUM");
    for _ in 0..60 {
        history.write(7);
    }
    history.tree.compact(history.now_ms).unwrap();
    history.tree.differential().unwrap().unwrap();
    history.full();
    history.write(50);
    history.tree.compact(history.now_ms + 120_000).unwrap();
    history.write(5);
    history
}

#[test]
fn stock_litestream_restores_our_trees_at_the_newest_point_at_a_transaction_and_at_a_time() {
    let Some(program) = litestream() else { return };
    for page_size in [512, 4096, 65_536] {
        let history = eventful(page_size);
        let root = history.tree.root();
        let to = |name: &str| history.path(&format!("{page_size}-{name}.db"));
        restore(&program, root, &to("latest"), &[]);
        assert!(same(&to("latest"), &history.images[&history.txid]), "{page_size}");
        for txid in [1, 7, 22, 23, 40, history.txid - 1] {
            let number = format!("{txid:016x}");
            restore(&program, root, &to(&number), &["-txid", &number]);
            assert!(same(&to(&number), &history.images[&txid]), "{page_size}: {txid}");
        }
        // A transaction a second: half a second after the thirtieth.
        let time = Timestamp::from_millisecond(BEGIN_MS + 30_500).unwrap().to_string();
        restore(&program, root, &to("time"), &["-timestamp", &time]);
        assert!(same(&to("time"), &history.images[&30]), "{page_size}");
        let plan = history.tree.list().unwrap().plan(At::Time(time.parse().unwrap())).unwrap();
        assert_eq!(plan.txid, 30);
    }
}

#[test]
fn stock_litestream_restores_what_retention_left_and_what_was_exported() {
    let Some(program) = litestream() else { return };
    let mut history = eventful(4096);
    let rules = replica::tree::Rules { fulls: 1, ..replica::tree::Rules::default() };
    let later = history.now_ms + 100 * 24 * 3_600_000;
    let gone = history.tree.forget(&rules, later).unwrap();
    assert!(gone.iter().any(|verdict| !verdict.reason.stays()));
    history.write(1);
    let catalogue = history.tree.list().unwrap();
    let export = history.path("export");
    let plan = catalogue.plan(At::Latest).unwrap();
    catalogue.export(&plan.entries, &export, &Disk::default()).unwrap();
    for root in [history.tree.root(), &export] {
        let to = root.with_extension("db");
        restore(&program, root, &to, &[]);
        assert!(same(&to, &history.images[&history.txid]));
    }
}

#[test]
fn stock_litestream_restores_a_new_timeline() {
    let Some(program) = litestream() else { return };
    let history = eventful(4096);
    let plan = history.tree.list().unwrap().plan(At::Txid(30)).unwrap();
    let timelines = Timelines::new(&history.path("timelines"), Disk::default());
    let began = Timestamp::from_millisecond(history.now_ms).unwrap();
    let branch = timelines.branch(&plan, began, "0.0.0").unwrap();
    let to = history.path("branch.db");
    restore(&program, branch.tree.root(), &to, &[]);
    assert!(same(&to, &history.images[&30]));
}

#[test]
fn sqlite_queries_our_tree_in_place_with_stock_litestream() {
    let skip = "skipped: no litestream VFS";
    let Some(library) = named("KOTONOHA_LITESTREAM_VFS", skip) else { return };
    let history = eventful(4096);
    let script = format!(
        ".load {}\n.open file:any.db?vfs=litestream\nSELECT count(*) FROM words;\n",
        library.display()
    );
    let path = history.path("query.sql");
    std::fs::write(&path, script).unwrap();
    let queried = Command::new("sqlite3")
        .env("LITESTREAM_REPLICA_URL", address(history.tree.root()))
        .stdin(std::fs::File::open(&path).unwrap())
        .output();
    let Ok(queried) = queried else {
        skipped("skipped: no litestream VFS (there is no sqlite3 shell)");
        return;
    };
    let expected: i64 =
        history.connection.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap();
    let errors = String::from_utf8_lossy(&queried.stderr);
    assert_eq!(String::from_utf8_lossy(&queried.stdout).trim(), expected.to_string(), "{errors}");
}

/// Litestream at work, ended with the test.
struct Replicating(Child);

impl Drop for Replicating {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Writes while litestream replicates, until it has made files of several levels.
fn written_by_stock(program: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    let (database, root) = (folder.join("theirs.db"), folder.join("theirs"));
    let connection = Connection::open(&database).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch("CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    let config = folder.join("litestream.yml");
    let text = format!(
        "levels:\n  - interval: 1s\n  - interval: 2s\nsnapshot:\n  interval: 4s\n\
         dbs:\n  - path: {}\n    replica:\n      type: file\n      path: {}\n      \
         sync-interval: 100ms\n    monitor-interval: 100ms\n",
        database.display(),
        root.display()
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new(program)
        .args(["replicate", "-config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let replicating = Replicating(child);
    let deadline = Instant::now() + PATIENCE;
    let has = |catalogue: &Catalogue, level| catalogue.of_level(level).count() > 1;
    let mut number = 0;
    loop {
        let text = format!("{number} ").repeat(300);
        connection.execute("INSERT INTO words (text) VALUES (?)", [text]).unwrap();
        if number % 40 == 39 {
            connection.execute_batch("DELETE FROM words WHERE id % 5 = 0; VACUUM").unwrap();
        }
        number += 1;
        let found = Catalogue::of_foreign(&root).unwrap_or_default();
        if [0, 1, 2, 9].iter().all(|level| has(&found, *level)) {
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", found.entries());
        std::thread::park_timeout(Duration::from_millis(30));
    }
    // Its last files are written when it is asked to go.
    let id = rustix::process::Pid::from_raw(replicating.0.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut replicating = replicating;
    assert!(replicating.0.wait().unwrap().success());
    (database, root)
}

fn plans(catalogue: &Catalogue) -> Vec<Plan> {
    let points = catalogue.entries().iter().map(|entry| entry.max_txid);
    let oldest = catalogue.fulls().next().unwrap().max_txid;
    let mut points: Vec<u64> = points.filter(|txid| *txid >= oldest).collect();
    points.sort_unstable();
    points.dedup();
    let reachable = points.into_iter().filter_map(|txid| catalogue.plan(At::Txid(txid)).ok());
    reachable.collect()
}

#[test]
fn we_restore_what_stock_litestream_wrote_at_every_point_as_it_does_itself() {
    let Some(program) = litestream() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (database, root) = written_by_stock(&program, folder.path());
    let catalogue = Catalogue::of_foreign(&root).unwrap();
    let examination = catalogue.examine();
    assert!(examination.is_fine(), "{examination:?}");
    let plans = plans(&catalogue);
    assert!(plans.len() > 3, "{}", plans.len());
    let options = Options { check: Check::Full, ..Options::default() };
    // Each point takes litestream a while: a few on the way, and the last.
    let last = plans.len() - 1;
    for (number, plan) in plans.iter().enumerate() {
        let ours = folder.path().join(format!("ours-{number}.db"));
        to_file(plan, &ours, &options, &quietly).unwrap();
        if number % 5 == 0 || number == last {
            let theirs = folder.path().join(format!("theirs-{number}.db"));
            restore(&program, &root, &theirs, &["-txid", &format!("{:016x}", plan.txid)]);
            assert!(same(&theirs, &std::fs::read(&ours).unwrap()), "{}", plan.txid);
        }
    }
    let live = Connection::open(&database).unwrap();
    let count: i64 = live.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap();
    assert_eq!(rows(&folder.path().join(format!("ours-{last}.db"))), count);
}
