//! A live database with a writer, and what it was at every transaction.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ltx::wal::{Chain, Delta, Frame, HEADER_BYTES};
use replica::disk::Disk;
use replica::follow::FollowError;
use replica::pages::{PageMap, print};
use replica::restore::{self, Options};
use replica::tree::At;
use replica::{FollowConfig, Follower};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

pub(crate) struct Live {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) disk: Disk,
    pub(crate) writer: Connection,
    /// By timeline and transaction.
    pub(crate) images: BTreeMap<(u32, u64), Vec<u8>>,
    written: usize,
}

impl Live {
    pub(crate) fn new(page_size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("live.db")).unwrap();
        writer.pragma_update(None, "page_size", page_size).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.pragma_update(None, "synchronous", "normal").unwrap();
        let tables = "CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
            CREATE INDEX words_text ON words (text);
            CREATE TABLE notes (text TEXT);
            INSERT INTO notes VALUES ('back.');
            CREATE TABLE words_of_use (id INTEGER PRIMARY KEY);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
            INSERT INTO words_of_use SELECT i FROM n";
        writer.execute_batch(tables).unwrap();
        Self { folder, disk: Disk::default(), writer, images: BTreeMap::new(), written: 0 }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("live.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("live.db-wal")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.folder.path().join("history")
    }

    pub(crate) fn config(&self) -> FollowConfig {
        let mut config = FollowConfig::new(self.database(), self.history());
        config.disk = self.disk.clone();
        "first agent".clone_into(&mut config.holder);
        config
    }

    pub(crate) fn try_follow(&self) -> Result<Follower, FollowError> {
        Follower::open(self.config())
    }

    pub(crate) fn follow(&self) -> Follower {
        self.try_follow().unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        let connection = Connection::open(self.database()).unwrap();
        connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        connection
    }

    pub(crate) fn write(&mut self, rows: usize) {
        let change = self.writer.transaction().unwrap();
        for row in 0..rows {
            self.written += 1;
            let text = format!("{} {row} ", self.written).repeat(3 + row % 40);
            change.execute("INSERT INTO words (text) VALUES (?)", [text]).unwrap();
        }
        change.commit().unwrap();
    }

    pub(crate) fn run(&self, sql: &str) {
        self.writer.execute_batch(sql).unwrap();
    }

    /// A checkpoint by somebody else, who does not wait for others.
    pub(crate) fn checkpoint(&self, mode: &str) {
        let other = self.connect();
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        other.query_row(&sql, [], |_| Ok(())).unwrap();
    }

    /// Lets the follower look, and remembers what the database was then.
    pub(crate) fn settle(&mut self, follower: &mut Follower) {
        follower.look().unwrap();
        self.remember(follower);
    }

    pub(crate) fn remember(&mut self, follower: &Follower) {
        let point = (follower.status().timeline, follower.status().txid);
        self.images.insert(point, image(&self.writer));
    }

    /// Restores every transaction of the current timeline that is remembered.
    pub(crate) fn check_all(&self, follower: &Follower) {
        let timeline = follower.status().timeline;
        let points = self.images.iter().filter(|((number, _), _)| *number == timeline);
        let tree = follower.tree().unwrap();
        let page_size = tree.manifest().page_size;
        let mut checked = 0;
        for ((_, txid), image) in points {
            let plan = tree.list().unwrap().plan(At::Txid(*txid)).unwrap();
            let mut expected = PageMap::new(page_size);
            for (pgno, page) in (1..).zip(image.chunks(page_size as usize)) {
                expected.set(pgno, print(page));
            }
            let found = PageMap::of_plan(page_size, &plan).unwrap();
            assert!(found == expected, "transaction {txid} differs");
            checked += 1;
            // Restores are held to their promises elsewhere; some of these go all the way.
            if checked % 9 != 1 {
                continue;
            }
            let restored = self.folder.path().join("restored.db");
            restore::to_file(&plan, &restored, &Options::default(), &|_| ControlFlow::Continue(()))
                .unwrap();
            assert!(std::fs::read(&restored).unwrap() == *image, "transaction {txid} differs");
            std::fs::remove_file(&restored).unwrap();
        }
        assert!(checked > 0, "nothing was remembered");
    }

    /// Makes the database longer by `more` pages with a commit that holds the first page alone;
    /// gives how many there are then. Nobody but the writer may have it open.
    pub(crate) fn grow_without_frames(&mut self, more: u32) -> u32 {
        let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.writer.set_db_config(option, true).unwrap();
        let sql = "SELECT data FROM sqlite_dbpage WHERE pgno = 1";
        let mut page: Vec<u8> = self.writer.query_row(sql, [], |row| row.get(0)).unwrap();
        self.writer = Connection::open_in_memory().unwrap();
        let mut bytes = std::fs::read(self.log()).unwrap();
        let begin = Chain::begin(bytes[..HEADER_BYTES].try_into().unwrap()).unwrap();
        let delta = Delta::read(&bytes[HEADER_BYTES..], begin, u32::MAX).unwrap().unwrap();
        let pages = delta.commit + more;
        // Where the first page tells how many there are (SQLite's file format, 1.3.7).
        page[28..32].copy_from_slice(&pages.to_be_bytes());
        let mut end = delta.end;
        bytes.truncate(usize::try_from(end.offset()).unwrap());
        end.write(Frame { pgno: 1, commit: pages }, &page, &mut bytes);
        std::fs::write(self.log(), bytes).unwrap();
        std::fs::remove_file(self.folder.path().join("live.db-shm")).unwrap();
        self.writer = self.connect();
        pages
    }

    /// Writes a commit to the end of the log as a writer does that dies before it counts.
    pub(crate) fn write_ghost(&self) {
        let bytes = std::fs::read(self.log()).unwrap();
        let begin = Chain::begin(bytes[..HEADER_BYTES].try_into().unwrap()).unwrap();
        let delta = Delta::read(&bytes[HEADER_BYTES..], begin, u32::MAX).unwrap().unwrap();
        let mut end = delta.end;
        let offset = end.offset();
        let mut frames = Vec::new();
        let page = vec![0xab; begin.page_size() as usize];
        end.write(Frame { pgno: 2, commit: 0 }, &page, &mut frames);
        end.write(Frame { pgno: 3, commit: delta.commit }, &page, &mut frames);
        let mut log = std::fs::File::options().write(true).open(self.log()).unwrap();
        std::io::Seek::seek(&mut log, std::io::SeekFrom::Start(offset)).unwrap();
        log.write_all(&frames).unwrap();
    }
}

pub(crate) fn open(database: &Path, history: &Path) -> Follower {
    Follower::open(FollowConfig::new(database.to_owned(), history.to_owned())).unwrap()
}

/// The whole database as it is now.
pub(crate) fn image(connection: &Connection) -> Vec<u8> {
    let mut asked = connection.prepare("SELECT data FROM sqlite_dbpage").unwrap();
    let pages = asked.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    pages.flat_map(Result::unwrap).collect()
}
