//! A real SQLite database and its history, shipped page by page as a follower would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ltx::Header;
use replica::disk::Disk;
use replica::tree::{Entry, FULLS, Manifest, SHIPPED, Tree, TreeError};
use rusqlite::Connection;

/// When the first transaction of a history is seen; one second passes between two.
pub(crate) const BEGIN_MS: i64 = 1_790_000_000_000;

/// A database with a tree beside it.
pub(crate) struct History {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) tree: Tree,
    pub(crate) connection: Connection,
    page_size: u32,
    shipped: BTreeMap<u32, Vec<u8>>,
    /// The last transaction that was shipped, and when.
    pub(crate) txid: u64,
    pub(crate) now_ms: i64,
    /// The whole file after each transaction.
    pub(crate) images: BTreeMap<u64, Vec<u8>>,
}

pub(crate) fn manifest(page_size: u32) -> Manifest {
    Manifest::new(page_size, Timestamp::from_millisecond(BEGIN_MS).unwrap(), "0.0.0")
}

impl History {
    pub(crate) fn begin(page_size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::create(&folder.path().join("tree"), manifest(page_size), Disk::default())
            .unwrap();
        let connection = Connection::open(folder.path().join("live.db")).unwrap();
        connection.pragma_update(None, "page_size", page_size).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
            .execute_batch("CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
            .unwrap();
        let mut history = Self {
            folder,
            tree,
            connection,
            page_size,
            shipped: BTreeMap::new(),
            txid: 0,
            now_ms: BEGIN_MS,
            images: BTreeMap::new(),
        };
        history.ship(FULLS);
        history
    }

    /// The live file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("live.db")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes rows and ships the transaction.
    pub(crate) fn write(&mut self, rows: usize) -> Entry {
        let change = self.connection.transaction().unwrap();
        for row in 0..rows {
            let text = format!("{} {row} ", self.txid).repeat(20 + row % 30);
            change.execute("INSERT INTO words (text) VALUES (?)", [text]).unwrap();
        }
        change.commit().unwrap();
        self.ship(SHIPPED)
    }

    /// Does anything to the database and ships it.
    pub(crate) fn run(&mut self, sql: &str) -> Entry {
        self.connection.execute_batch(sql).unwrap();
        self.ship(SHIPPED)
    }

    /// Ships a full of what was shipped last.
    pub(crate) fn full(&mut self) -> Entry {
        let header = self.header(1);
        put(&self.tree, FULLS, header, self.shipped.iter())
    }

    /// Begins again with a full, in another tree.
    pub(crate) fn full_again(&mut self) -> Entry {
        self.txid = 1;
        self.full()
    }

    fn header(&self, min_txid: u64) -> Header {
        Header {
            page_size: self.page_size,
            commit: u32::try_from(self.shipped.len()).unwrap(),
            min_txid,
            max_txid: self.txid,
            timestamp_ms: self.now_ms,
            wal_offset: 0,
            wal_size: 0,
            wal_salts: [0; 2],
        }
    }

    fn ship(&mut self, level: u8) -> Entry {
        self.txid += 1;
        self.now_ms += 1000;
        let pages = pages(&self.connection);
        let before = std::mem::replace(&mut self.shipped, pages);
        let min_txid = if level == FULLS { 1 } else { self.txid };
        let header = self.header(min_txid);
        let changed: Vec<_> = self
            .shipped
            .iter()
            .filter(|(page, content)| before.get(page) != Some(content))
            .collect();
        let image = self.shipped.values().flatten().copied().collect();
        self.images.insert(self.txid, image);
        put(&self.tree, level, header, changed.into_iter())
    }
}

fn put<'a>(
    tree: &Tree,
    level: u8,
    header: Header,
    pages: impl Iterator<Item = (&'a u32, &'a Vec<u8>)>,
) -> Entry {
    tree.put::<TreeError>(level, &header, |writer| {
        for (page, content) in pages {
            writer.page(*page, content).unwrap();
        }
        Ok(())
    })
    .unwrap()
}

fn pages(connection: &Connection) -> BTreeMap<u32, Vec<u8>> {
    let mut all = connection.prepare("SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno").unwrap();
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// How many rows the database at `path` has, which is opened without leaving traces.
pub(crate) fn rows(path: &Path) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let name = format!("file:{}?immutable=1", path.display());
    let connection = Connection::open_with_flags(name, flags).unwrap();
    connection.query_row("SELECT count(*) FROM words", [], |row| row.get(0)).unwrap()
}
