//! SQLite's own checks on a file that nobody else has open.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::error::RestoreError;

/// How many faults are told.
const FAULTS_MAX: u32 = 20;

/// How thoroughly a database is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Only the checksums of the history's files, which are always checked.
    Sums,
    /// `quick_check`: all but whether indexes and tables say the same; seconds for a gigabyte.
    Quick,
    /// `integrity_check` and `foreign_key_check`; about ten seconds for a gigabyte.
    Full,
}

/// Checks the file at `path`; gives how many rows point to nothing where that was looked for.
pub(crate) fn whole(path: &Path, check: Check) -> Result<Option<u64>, RestoreError> {
    let pragma = match check {
        Check::Sums => return Ok(None),
        Check::Quick => "quick_check",
        Check::Full => "integrity_check",
    };
    let connection = open_still(path)?;
    let failed = RestoreError::sqlite("check", path);
    let faults = faults(&connection, pragma).or_else(|error| match error {
        // A file that is damaged enough cannot even be checked.
        rusqlite::Error::SqliteFailure(..) => Ok(vec![error.to_string()]),
        error => Err(failed(error)),
    })?;
    if faults != ["ok"] {
        return Err(RestoreError::Damaged { faults });
    }
    if check != Check::Full {
        return Ok(None);
    }
    let sql = "SELECT count(*) FROM pragma_foreign_key_check";
    let orphans: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
    Ok(Some(orphans.unsigned_abs()))
}

fn faults(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}({FAULTS_MAX})"))?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Opens a file that nobody writes, so that no other files are made beside it.
pub(crate) fn open_still(path: &Path) -> Result<Connection, RestoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = RestoreError::sqlite("open", path);
    let text = path.to_str().ok_or_else(|| RestoreError::Io {
        action: "open",
        path: path.to_owned(),
        source: std::io::Error::other("its name is not UTF-8, which SQLite needs"),
    })?;
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).map_err(failed)
}
