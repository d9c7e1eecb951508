//! What became of a file since it was last in use: copied back, swapped, or parted from its log.
//!
//! SQLite applies whatever log lies beside a file. After a crash that is right; after somebody has
//! copied another file over it, the pages of two databases are mixed, and nothing says so.

use std::io;
use std::path::{Path, PathBuf};

use crate::copies;
use crate::header::{self, Found};
use crate::life::{self, Life};
use crate::log::{self, Log};

/// The folder beside the database for what does not belong to it and is not thrown away.
pub(crate) const ASIDE: &str = "set-aside";

/// What was found, and what was done about it.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// For the operator, one sentence each.
    pub(crate) notes: Vec<String>,
    /// Whether the file must be checked before it is used.
    pub(crate) doubtful: bool,
}

/// What the traces at a path mean.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judgement {
    /// The file is another one than was last in use here.
    exchanged: bool,
    /// The log belongs to another file.
    foreign_log: bool,
    /// The file was in use when it was copied, and its log was not taken along.
    log_missing: bool,
}

/// Looks at the files at `path`, which nobody else uses, and moves aside what would spoil them.
pub(crate) fn settle(path: &Path) -> io::Result<Traces> {
    let found = header::find(path)?;
    let known = life::known(path)?;
    let log = log::read(path)?;
    let log_stands = log::path_of(path).exists();
    let judgement = judge(&found, log, log_stands, known.as_deref());
    let mut traces = Traces { doubtful: judgement != Judgement::default(), notes: Vec::new() };
    let shown = path.display();
    if judgement.exchanged && found == Found::Nothing {
        traces.notes.push(format!("{shown} is gone since it was last used; a new one is begun"));
    } else if judgement.exchanged {
        traces.notes.push(format!(
            "{shown} is not the file that was last used here: it was restored or exchanged"
        ));
    }
    if judgement.foreign_log {
        let to = set_aside(&log::path_of(path))?;
        traces.notes.push(format!(
            "the write-ahead log beside it belonged to the file that was there before and would \
             have spoilt this one: it was moved to {}",
            to.display()
        ));
    }
    let journal = log::beside(path, "-journal");
    if judgement.exchanged && journal.exists() {
        let to = set_aside(&journal)?;
        let to = to.display();
        traces.notes.push(format!("the rollback journal beside it was moved to {to} likewise"));
    }
    if judgement.log_missing {
        traces.notes.push(format!(
            "{shown} was in use when it was last written, and its write-ahead log ({shown}-wal) \
             is not there: where it was copied from a running service without that file, the \
             newest messages are missing"
        ));
    }
    Ok(traces)
}

fn judge(found: &Found, log: Option<Log>, log_stands: bool, known: Option<&[Life]>) -> Judgement {
    let Found::Database(header) = found else {
        return Judgement {
            exchanged: known.is_some(),
            foreign_log: log.is_some(),
            log_missing: false,
        };
    };
    let life = Life::of(header.user_version);
    let exchanged = known.is_some_and(|known| !known.contains(&life));
    // A crash between two lives leaves the file in one and the log in the other.
    let same = |other: Life| {
        other == life || known.is_some_and(|known| known.contains(&life) && known.contains(&other))
    };
    let foreign_log = log.is_some_and(|log| {
        log.page_bytes != header.page_bytes
            || log.user_version.map_or(exchanged, |version| !same(Life::of(version)))
    });
    let log_missing = !log_stands && header.wal && Life::was_in_use(header.user_version);
    Judgement { exchanged, foreign_log, log_missing }
}

fn set_aside(file: &Path) -> io::Result<PathBuf> {
    let folder = life::folder_of(file).join(ASIDE);
    std::fs::create_dir_all(&folder)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let to = copies::free_name(&folder, &format!("{name}_{}", copies::stamp()), "");
    // It is kept from now on, however long ago it was written.
    std::fs::File::options().write(true).open(file)?.set_modified(std::time::SystemTime::now())?;
    std::fs::rename(file, &to)?;
    life::sync_folder(&to)?;
    life::sync_folder(file)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::{Judgement, judge};
    use crate::header::{Found, Header};
    use crate::life::Life;
    use crate::log::Log;

    const OURS: u32 = 10;
    const EARLIER: u32 = 20;

    fn file(user_version: u32) -> Found {
        let header = Header { application_id: 1, user_version, page_bytes: 4096, wal: true };
        Found::Database(header)
    }

    fn log(user_version: impl Into<Option<u32>>) -> Log {
        Log { page_bytes: 4096, user_version: user_version.into() }
    }

    fn verdict(file: &Found, log: impl Into<Option<Log>>, known: Option<&[u32]>) -> [bool; 3] {
        let log = log.into();
        let known: Option<Vec<Life>> =
            known.map(|known| known.iter().map(|version| Life::of(*version)).collect());
        let Judgement { exchanged, foreign_log, log_missing } =
            judge(file, log, log.is_some(), known.as_deref());
        [exchanged, foreign_log, log_missing]
    }

    const FINE: [bool; 3] = [false, false, false];

    #[test]
    fn an_ordinary_crash_is_left_to_sqlite() {
        assert_eq!(verdict(&file(OURS | 1), log(None), Some(&[OURS])), FINE);
        assert_eq!(verdict(&file(OURS | 1), log(OURS | 1), Some(&[OURS])), FINE);
        assert_eq!(verdict(&file(OURS), None, Some(&[OURS])), FINE);
        // In the moment in which a life begins, the very first one too.
        assert_eq!(verdict(&file(OURS | 1), log(30), Some(&[OURS, 30])), FINE);
        assert_eq!(verdict(&file(0), log(30), Some(&[0, 30])), FINE);
        // In the next such moment, where the mark of the life between never reached the header.
        assert_eq!(verdict(&file(OURS | 1), log(30), Some(&[OURS, 30, 40])), FINE);
        // A file of before there were lives.
        assert_eq!(verdict(&file(0), log(0), None), FINE);
        assert_eq!(verdict(&file(0), log(None), None), FINE);
    }

    #[test]
    fn a_file_copied_over_keeps_no_log_of_the_other() {
        let exchanged = [true, true, false];
        assert_eq!(verdict(&file(EARLIER), log(None), Some(&[OURS])), exchanged);
        assert_eq!(verdict(&file(EARLIER), log(OURS | 1), Some(&[OURS])), exchanged);
        assert_eq!(verdict(&file(0), log(OURS | 1), Some(&[OURS])), exchanged);
        assert_eq!(verdict(&file(OURS), log(EARLIER), Some(&[OURS])), [false, true, false]);
        assert_eq!(verdict(&Found::Nothing, log(None), Some(&[OURS])), exchanged);
        let other_pages = Log { page_bytes: 512, user_version: Some(OURS) };
        assert_eq!(verdict(&file(OURS), other_pages, Some(&[OURS])), [false, true, false]);
    }

    #[test]
    fn a_file_that_came_with_its_log_keeps_it() {
        let known: &[u32] = &[OURS];
        let came = log(EARLIER | 1);
        assert_eq!(verdict(&file(EARLIER | 1), came, Some(known)), [true, false, false]);
        assert_eq!(verdict(&file(EARLIER | 1), came, None), FINE);
    }

    #[test]
    fn a_file_taken_from_a_running_service_without_its_log_is_told() {
        assert_eq!(verdict(&file(EARLIER | 1), None, Some(&[OURS])), [true, false, true]);
        assert_eq!(verdict(&file(OURS | 1), None, Some(&[OURS])), [false, false, true]);
    }
}
