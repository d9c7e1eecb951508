//! A look into a database: is it whole, and what does it hold.
//!
//! For files that were brought back, which nobody else uses, and, in a lighter form, for a live
//! database to compare them with. Nothing is written to either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

/// Findings of one kind that are listed; a broken file has thousands.
const FINDINGS_MAX: usize = 20;
/// Columns that say when a row came to be are called like this: `created_unix_ms`,
/// `received_unix_ms`. (`lease_until_unix_ms` lies ahead and says nothing of the kind.)
const PAST_TIME_SUFFIX: &str = "ed_unix_ms";

/// A sign of life that a database's owner writes into it with real writes, as the table `sentinel`
/// of the house says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentinel {
    /// How often it was written.
    pub beats: u64,
    /// When it was written last.
    pub written: Timestamp,
    /// Rows that were kept then, at least.
    pub kept: u64,
    /// Rows removed ever, until then.
    pub removed_before: u64,
    /// Rows removed ever.
    pub removed: u64,
    /// Rows that are kept now.
    pub rows: u64,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// The newest moment that any row says it came to be at, by columns called `…ed_unix_ms`.
    pub newest_row: Option<Timestamp>,
    /// The sign of life, if its owner writes one.
    pub sentinel: Option<Sentinel>,
}

/// What was found in a file that was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What `integrity_check` found; empty for a whole file.
    pub integrity: Vec<String>,
    /// What `foreign_key_check` found; empty where every reference leads somewhere.
    pub foreign_keys: Vec<String>,
    /// What it holds.
    pub contents: Contents,
}

impl Inspection {
    /// Whether the file is whole.
    pub fn is_whole(&self) -> bool {
        self.integrity.is_empty() && self.foreign_keys.is_empty()
    }
}

/// The file could not be looked into at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} in {}: {source}", path.display())]
pub struct InspectError {
    /// The file.
    pub path: PathBuf,
    /// What was being done.
    pub doing: &'static str,
    /// What SQLite said.
    pub source: rusqlite::Error,
}

/// Looks into a file that was brought back and that nobody else has open.
///
/// It is read as it is, without locks and without a log beside it, so nothing is made there.
pub fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let fail = |doing| move |source| InspectError { path: path.to_owned(), doing, source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database =
        Connection::open_with_flags(immutable(path), flags).map_err(fail("open the database"))?;
    let integrity = integrity(&database).map_err(fail("check the integrity"))?;
    // A torn file has no references worth following, and may end the count in the middle.
    if !integrity.is_empty() {
        let contents = Contents::default();
        return Ok(Inspection { integrity, foreign_keys: Vec::new(), contents });
    }
    let foreign_keys = foreign_keys(&database).map_err(fail("check foreign keys"))?;
    let contents = contents(&database).map_err(fail("count rows"))?;
    Ok(Inspection { integrity, foreign_keys, contents })
}

/// What a live database holds at this moment, read in one transaction beside its owner.
pub fn contents_of_live(path: &Path) -> Result<Contents, InspectError> {
    let fail = |doing| move |source| InspectError { path: path.to_owned(), doing, source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database =
        Connection::open_with_flags(path, flags).map_err(fail("open the database"))?;
    database.busy_timeout(std::time::Duration::from_secs(2)).map_err(fail("set a patience"))?;
    let moment = database.transaction().map_err(fail("begin to read"))?;
    let found = contents(&moment).map_err(fail("count rows"))?;
    moment.finish().map_err(fail("end to read"))?;
    Ok(found)
}

/// A file name as a URI that promises SQLite that nobody changes the file.
fn immutable(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a string takes every write");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

fn integrity(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = database.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    let found = check.query_map([], |row| row.get::<_, String>(0))?;
    // Some damage ends the check itself with an error instead of a finding.
    let found = found.map(|line| line.or_else(damage)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Damage told as an error is a finding; any other error is one.
fn damage(error: rusqlite::Error) -> rusqlite::Result<String> {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            Ok(error.to_string())
        }
        _ => Err(error),
    }
}

fn foreign_keys(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = database.prepare("PRAGMA foreign_key_check")?;
    let found = check.query_map([], |row| {
        let (table, row_id): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
        let parent: String = row.get(2)?;
        let row_id = row_id.map_or_else(|| "?".to_owned(), |id| id.to_string());
        Ok(format!("row {row_id} of {table} refers to nothing in {parent}"))
    })?;
    found.take(FINDINGS_MAX).collect()
}

fn contents(database: &Connection) -> rusqlite::Result<Contents> {
    let mut names = database.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' \
         ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL %'",
    )?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut contents = Contents::default();
    for name in names {
        let table = quoted(&name);
        let rows: i64 =
            database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        contents.newest_row = contents.newest_row.max(newest_row(database, &name)?);
        contents.rows.insert(name, rows.unsigned_abs());
    }
    if contents.rows.contains_key("sentinel") {
        contents.sentinel = sentinel(database)?;
    }
    Ok(contents)
}

/// The sign of life, if the table of that name is the one of the house.
fn sentinel(database: &Connection) -> rusqlite::Result<Option<Sentinel>> {
    const QUERY: &str = "SELECT beats, written_unix_ms, kept, removed_before, removed, \
        (SELECT count(*) FROM inbox) + (SELECT count(*) FROM replies) FROM sentinel";
    let Ok(mut query) = database.prepare(QUERY) else { return Ok(None) };
    let count = |row: &rusqlite::Row<'_>, index| row.get(index).map(i64::unsigned_abs);
    let found = query.query_row([], |row| {
        Ok(Sentinel {
            beats: count(row, 0)?,
            written: Timestamp::from_millisecond(row.get(1)?).unwrap_or_default(),
            kept: count(row, 2)?,
            removed_before: count(row, 3)?,
            removed: count(row, 4)?,
            rows: count(row, 5)?,
        })
    });
    match found {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        found => found.map(Some),
    }
}

fn newest_row(database: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let mut columns = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> =
        columns.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut newest = None;
    for column in columns.iter().filter(|column| column.ends_with(PAST_TIME_SUFFIX)) {
        let column = quoted(column);
        let query = format!(
            "SELECT max({column}) FROM {} WHERE typeof({column}) = 'integer'",
            quoted(name)
        );
        let found: Option<i64> = database.query_row(&query, [], |row| row.get(0))?;
        newest = newest.max(found.and_then(|ms| Timestamp::from_millisecond(ms).ok()));
    }
    Ok(newest)
}

/// A name as SQL takes it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{contents_of_live, inspect};
    use rusqlite::Connection;

    const SCHEMA: &str = "
        PRAGMA journal_mode = WAL;
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE \"odd \"\"name\" (
            id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id), text TEXT,
            created_unix_ms INTEGER, lease_until_unix_ms INTEGER
        );
        INSERT INTO parents VALUES (1), (2);
        INSERT INTO \"odd \"\"name\" VALUES (1, 1, 'a', 1700000000000, 9900000000000),
            (2, 2, 'b', 1800000000000, 9900000000000), (3, 1, 'c', NULL, NULL);";

    #[test]
    fn a_whole_file_is_counted_and_nothing_is_made_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a 100% odd?name#.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(SCHEMA).unwrap();
        let live = contents_of_live(&path).unwrap();
        drop(database);
        let found = inspect(&path).unwrap();
        assert!(found.is_whole(), "{found:?}");
        assert_eq!(found.contents, live);
        assert_eq!(live.rows["odd \"name"], 3);
        assert_eq!(live.newest_row.unwrap().as_millisecond(), 1_800_000_000_000);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_sign_of_life_is_read_and_a_table_that_is_only_called_so_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "CREATE TABLE inbox (id); CREATE TABLE replies (id);
                 INSERT INTO inbox VALUES (1), (2); INSERT INTO replies VALUES (1);
                 CREATE TABLE sentinel (beats, written_unix_ms, kept, removed_before, removed);
                 INSERT INTO sentinel VALUES (7, 1800000000000, 4, 1, 2);",
            )
            .unwrap();
        let found = inspect(&path).unwrap().contents.sentinel.unwrap();
        assert_eq!((found.beats, found.kept, found.rows), (7, 4, 3));
        assert_eq!((found.removed_before, found.removed), (1, 2));
        assert_eq!(found.written.as_millisecond(), 1_800_000_000_000);
        database.execute_batch("DROP TABLE sentinel; CREATE TABLE sentinel (id)").unwrap();
        assert_eq!(inspect(&path).unwrap().contents.sentinel, None);
    }

    #[test]
    fn a_reference_to_nothing_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(SCHEMA).unwrap();
        database
            .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM parents WHERE id = 2")
            .unwrap();
        drop(database);
        let found = inspect(&path).unwrap();
        assert_eq!(found.foreign_keys, ["row 2 of odd \"name refers to nothing in parents"]);
    }

    #[test]
    fn a_torn_page_is_found_and_a_file_of_another_kind_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let database = Connection::open(&path).unwrap();
        database.execute_batch(SCHEMA).unwrap();
        drop(database);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 4096;
        bytes[last..].fill(0x55);
        std::fs::write(&path, &bytes).unwrap();
        assert!(!inspect(&path).unwrap().is_whole());
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(inspect(&path).map_or(true, |found| !found.is_whole()));
    }
}
