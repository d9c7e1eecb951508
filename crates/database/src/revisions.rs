//! Revisions: those a program knows, those a file has, and whether the two go together.
//!
//! A revision's first lines are comments that this module reads:
//!
//! - `-- compatible-with: 3` in `…up.sql`: programs that know revision 3, or a later one, also work
//!   on the tables after it. Without the line only programs that know the revision itself do.
//! - `-- loses: …` in `…down.sql`: what of people's words is gone after the way back. Without the
//!   line nothing is.

use sqlx::migrate::{Migration, Migrator};
use sqlx::{Row as _, SqliteConnection};

/// A revision that was applied to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    /// UTC, as SQLite writes it.
    pub(crate) installed_on: String,
    pub(crate) checksum: Vec<u8>,
    /// Programs that know this revision, or a later one, work on the tables after it.
    pub(crate) compatible_with: i64,
    /// The release that applied it, where it was written down.
    pub(crate) release: Option<String>,
}

/// What the tables were made by; the first is what sqlx itself uses.
const BOOKS: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS _schema_compatibility (
        version INTEGER NOT NULL PRIMARY KEY,
        compatible_with INTEGER NOT NULL,
        release TEXT NOT NULL
    ) STRICT",
];

/// The tables that are ours and not the owner's.
pub(crate) const OUR_TABLES: [&str; 2] = ["_sqlx_migrations", "_schema_compatibility"];

/// Makes the tables that say which revisions a file has.
pub(crate) async fn open_books(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for sql in BOOKS {
        sqlx::raw_sql(sql).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The revisions of a file, oldest first; none where it has none of our tables.
pub(crate) async fn applied(
    connection: &mut SqliteConnection,
) -> Result<Vec<Applied>, sqlx::Error> {
    let [history, compatibility] = [has(connection, 0).await?, has(connection, 1).await?];
    if !history {
        return Ok(Vec::new());
    }
    let sql = if compatibility {
        "SELECT version, description, CAST(installed_on AS TEXT) installed_on, checksum, \
         coalesce(compatible_with, version) compatible_with, release \
         FROM _sqlx_migrations LEFT JOIN _schema_compatibility USING (version) ORDER BY version"
    } else {
        "SELECT version, description, CAST(installed_on AS TEXT) installed_on, checksum, \
         version compatible_with, NULL release FROM _sqlx_migrations ORDER BY version"
    };
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                version: row.try_get("version")?,
                description: row.try_get("description")?,
                installed_on: row.try_get("installed_on")?,
                checksum: row.try_get("checksum")?,
                compatible_with: row.try_get("compatible_with")?,
                release: row.try_get("release")?,
            })
        })
        .collect()
}

async fn has(connection: &mut SqliteConnection, table: usize) -> Result<bool, sqlx::Error> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?";
    let count: i64 = sqlx::query_scalar(sql).bind(OUR_TABLES[table]).fetch_one(connection).await?;
    Ok(count > 0)
}

/// Why a program cannot work on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The file is at a revision that this program does not know and cannot work with.
    Newer { database: i64, program: i64, release: Option<String> },
    /// A revision was changed after it was applied.
    Edited(i64),
    /// A revision is missing below one that was applied.
    Gap { missing: i64, database: i64 },
}

/// What a program has to do with a file it can work on.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    /// The newest revision of the file; 0 for none.
    pub(crate) current: i64,
    /// What the program knows and the file does not have, oldest first.
    pub(crate) pending: Vec<&'a Migration>,
}

/// The revisions forward, oldest first.
pub(crate) fn forward(known: &Migrator) -> impl DoubleEndedIterator<Item = &Migration> {
    known.iter().filter(|revision| revision.migration_type.is_up_migration())
}

/// The newest revision a program knows; 0 for none.
pub(crate) fn head(known: &Migrator) -> i64 {
    forward(known).map(|revision| revision.version).max().unwrap_or_default()
}

/// Compares what a program knows with what a file has.
pub(crate) fn compare<'a>(
    known: &'a Migrator,
    applied: &[Applied],
) -> Result<Comparison<'a>, Mismatch> {
    let current = applied.last().map(|revision| revision.version).unwrap_or_default();
    let program = head(known);
    let mut pending = Vec::new();
    for revision in forward(known) {
        match applied.iter().find(|applied| applied.version == revision.version) {
            Some(applied) if applied.checksum != *revision.checksum => {
                return Err(Mismatch::Edited(revision.version));
            }
            Some(_) => {}
            None if revision.version < current => {
                return Err(Mismatch::Gap { missing: revision.version, database: current });
            }
            None => pending.push(revision),
        }
    }
    let unknown = |applied: &&Applied| forward(known).all(|known| known.version != applied.version);
    let unfit =
        |applied: &&Applied| applied.version <= program || applied.compatible_with > program;
    match applied.iter().filter(unknown).find(unfit) {
        Some(unfit) => {
            Err(Mismatch::Newer { database: current, program, release: unfit.release.clone() })
        }
        None => Ok(Comparison { current, pending }),
    }
}

/// The oldest revision whose programs still work on the tables after this one.
pub(crate) fn compatible_with(revision: &Migration) -> i64 {
    let written = header(revision.sql.as_str(), "compatible-with:");
    written.and_then(|number| number.parse().ok()).unwrap_or(revision.version)
}

/// What is lost on the way back; nothing where nothing is written.
pub(crate) fn loses(way_back: &Migration) -> Option<String> {
    header(way_back.sql.as_str(), "loses:")
}

/// What stands after `key` in the comments at the top.
fn header(sql: &str, key: &str) -> Option<String> {
    sql.lines()
        .map_while(|line| line.strip_prefix("--"))
        .find_map(|comment| comment.trim().strip_prefix(key))
        .map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr as _;
    use sqlx::migrate::{Migration, MigrationType, Migrator};

    use super::{Applied, Mismatch, compare, compatible_with, loses};

    fn revision(version: i64, sql: &'static str) -> Migration {
        let kind = MigrationType::ReversibleUp;
        Migration::new(version, "a revision".into(), kind, sql.into_sql_str(), false)
    }

    fn program(newest: i64) -> Migrator {
        Migrator::with_migrations(
            (1..=newest).map(|version| revision(version, "SELECT 1")).collect(),
        )
    }

    fn file(revisions: &[(i64, i64)]) -> Vec<Applied> {
        let applied = |&(version, compatible_with): &(i64, i64)| Applied {
            version,
            description: String::new(),
            installed_on: String::new(),
            checksum: revision(version, "SELECT 1").checksum.to_vec(),
            compatible_with,
            release: Some("9.9.9".to_owned()),
        };
        revisions.iter().map(applied).collect()
    }

    #[test]
    fn a_program_works_on_newer_tables_only_where_each_of_them_allows_it() {
        let newer = |database, program| Mismatch::Newer {
            database,
            program,
            release: Some("9.9.9".to_owned()),
        };
        let one = program(1);
        assert!(compare(&one, &file(&[(1, 1), (2, 1)])).unwrap().pending.is_empty());
        assert_eq!(compare(&one, &file(&[(1, 1), (2, 2)])).unwrap_err(), newer(2, 1));
        // 3 goes with programs that know 2, and this one does not.
        assert_eq!(compare(&one, &file(&[(1, 1), (2, 1), (3, 2)])).unwrap_err(), newer(3, 1));
        assert_eq!(compare(&one, &file(&[(1, 1), (2, 2), (3, 1)])).unwrap_err(), newer(3, 1));
        assert_eq!(compare(&program(2), &file(&[(1, 1), (2, 1), (3, 2)])).unwrap().current, 3);
    }

    #[test]
    fn what_is_missing_is_pending_and_what_is_missing_below_is_a_fault() {
        let three = program(3);
        let pending = |applied: &[(i64, i64)]| -> Vec<i64> {
            let comparison = compare(&three, &file(applied)).unwrap();
            comparison.pending.iter().map(|revision| revision.version).collect()
        };
        assert_eq!(pending(&[]), [1, 2, 3]);
        assert_eq!(pending(&[(1, 1)]), [2, 3]);
        assert_eq!(pending(&[(1, 1), (2, 1), (3, 1)]), [0; 0]);
        let gap = compare(&three, &file(&[(1, 1), (3, 1)])).unwrap_err();
        assert_eq!(gap, Mismatch::Gap { missing: 2, database: 3 });
    }

    #[test]
    fn a_revision_that_was_changed_afterwards_is_a_fault() {
        let mut applied = file(&[(1, 1)]);
        applied[0].checksum[0] ^= 1;
        assert_eq!(compare(&program(1), &applied).unwrap_err(), Mismatch::Edited(1));
    }

    #[test]
    fn the_first_comments_tell_what_goes_together_and_what_is_lost() {
        let with = "-- Notes on people.\n-- compatible-with: 1\n\nCREATE TABLE a (b);";
        assert_eq!(compatible_with(&revision(4, with)), 1);
        assert_eq!(compatible_with(&revision(4, "CREATE TABLE a (b);\n-- compatible-with: 1")), 4);
        let way_back = revision(4, "-- loses: every note\nDROP TABLE a;");
        assert_eq!(loses(&way_back).as_deref(), Some("every note"));
        assert_eq!(loses(&revision(4, "DROP INDEX a;")), None);
    }
}
