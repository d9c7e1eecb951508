//! Copies of the whole file, made before anything in it is changed, and kept for a while.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use crate::life::{self, Life};
use crate::restored::ASIDE;
use crate::{OpenError, open};

/// The folder beside the database that holds the copies.
pub(crate) const FOLDER: &str = "before-migration";
/// How many copies are kept.
const COPIES_MAX: usize = 3;
/// How long a copy is kept: what people have deleted since still stands in it.
const AGE_MAX: Duration = Duration::from_hours(14 * 24);
/// What must stay free beside the copy, for the change itself and for everybody else.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;
const ENDING: &str = ".db";

/// Copies the database at `path` as it is committed, checks the copy, and gives its path.
pub(crate) async fn make(path: &Path) -> Result<PathBuf, OpenError> {
    let folder = life::folder_of(path).join(FOLDER);
    let refuse = |error: std::io::Error| OpenError::Folder {
        path: folder.clone(),
        reason: error.to_string(),
    };
    std::fs::create_dir_all(&folder).map_err(refuse)?;
    let failed =
        |error: sqlx::Error| OpenError::Copy { path: folder.clone(), reason: error.to_string() };
    let mut connection = open::writing(path).connect().await.map_err(failed)?;
    let bytes: i64 = sqlx::query_scalar(
        "SELECT (page_count - freelist_count) * page_size \
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(failed)?;
    let needed = bytes.cast_unsigned().saturating_add(SPARE_BYTES);
    let free = free_bytes(&folder).map_err(refuse)?;
    if free < needed {
        return Err(OpenError::NoRoom { path: folder, needed, free });
    }
    let target = free_name(&folder, &format!("kotonoha_{}", stamp()), ENDING);
    let partial = target.with_extension("partial");
    let written = write(&mut connection, &partial).await;
    connection.close().await.map_err(failed)?;
    if let Err(error) = written {
        // What is left of it is of no use to anyone.
        if let Err(left) = std::fs::remove_file(&partial) {
            tracing::debug!(%left, "no partial copy to remove");
        }
        return Err(failed(error));
    }
    std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(refuse)?;
    std::fs::rename(&partial, &target).map_err(refuse)?;
    life::sync_folder(&target).map_err(refuse)?;
    Ok(target)
}

/// Writes the copy and checks that it is whole.
async fn write(connection: &mut SqliteConnection, to: &Path) -> Result<(), sqlx::Error> {
    let name = to.to_str().ok_or_else(|| sqlx::Error::Protocol("its path is not UTF-8".into()))?;
    sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await?;
    let options = SqliteConnectOptions::new()
        .filename(to)
        .journal_mode(SqliteJournalMode::Delete)
        .disable_statement_logging();
    let mut copy = options.connect().await?;
    let problem = open::problem(&mut copy).await?;
    if let Some(problem) = problem {
        return Err(sqlx::Error::Protocol(format!("the copy is not whole: {problem}")));
    }
    // A life of its own, so that no log of the original is ever taken for the copy's.
    let mark = format!("PRAGMA user_version = {}", Life::begin().closed());
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut copy).await?;
    copy.close().await
}

/// Removes copies, and logs that were set aside, beyond their number or age.
pub(crate) fn prune(path: &Path) {
    let folder = life::folder_of(path);
    // A copy that a killed process left unfinished holds people's words too.
    let (mut copies, unfinished): (Vec<_>, Vec<_>) = files(&folder.join(FOLDER))
        .into_iter()
        .partition(|(_, name)| name.extension().is_some_and(|ending| ending == "db"));
    copies.sort();
    let surplus = copies.len().saturating_sub(COPIES_MAX);
    let now = SystemTime::now();
    let old = |made: &SystemTime| now.duration_since(*made).is_ok_and(|age| age > AGE_MAX);
    let (surplus, kept) = copies.split_at(surplus);
    let aside = files(&folder.join(ASIDE));
    let old = kept.iter().chain(&unfinished).chain(&aside).filter(|(made, _)| old(made));
    for (_, file) in surplus.iter().chain(old) {
        match std::fs::remove_file(file) {
            Ok(()) => tracing::info!(file = %file.display(), "an old copy is removed"),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "an old copy cannot be removed");
            }
        }
    }
}

/// The files of a folder with the time they were written; none where there is no folder.
fn files(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let made = |entry: std::fs::DirEntry| {
        let file = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((file.modified().ok()?, entry.path()))
    };
    entries.filter_map(made).collect()
}

/// The local time as the names of copies carry it.
pub(crate) fn stamp() -> String {
    jiff::Zoned::now().strftime("%Y%m%d_%H%M%S").to_string()
}

/// A name that nothing in the folder has yet.
pub(crate) fn free_name(folder: &Path, name: &str, ending: &str) -> PathBuf {
    let numbered = (2..).map(|number| format!("{name}-{number}{ending}"));
    std::iter::once(format!("{name}{ending}"))
        .chain(numbered)
        .map(|name| folder.join(name))
        .find(|path| !path.exists())
        .expect("a folder holds finitely many names")
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
