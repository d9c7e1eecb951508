//! The record says what ran when: one small file beside the copies, so that it lives as long as they.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::Job;

/// The record's name in the repository folder.
pub const FILE: &str = "record.json";
/// Whoever may look at the copies may look at it.
const MODE: u32 = 0o640;
/// What a record of a later program would call itself.
const FORMAT: u32 = 1;

/// How a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Up to when its times by the clock have been taken up.
    pub taken_up: Option<Timestamp>,
    /// When it last began.
    pub begun: Option<Timestamp>,
    /// When it last ended well.
    pub succeeded: Option<Timestamp>,
    /// How long that took, in milliseconds.
    pub took_ms: Option<u64>,
    /// The failures since then.
    pub failure: Option<Failure>,
}

/// Failures in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When the last one happened.
    pub at: Timestamp,
    /// How many there were since the last run by the clock began.
    pub times: u32,
    /// What the last one said.
    pub error: String,
}

/// Why a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time came.
    Clock,
    /// Its last run failed.
    Retry,
    /// Somebody asked.
    Asked,
}

/// What ran when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// When the repository was begun.
    pub since: Timestamp,
    jobs: BTreeMap<Job, Standing>,
}

static NEVER: Standing =
    Standing { taken_up: None, begun: None, succeeded: None, took_ms: None, failure: None };

impl Record {
    /// The record of a repository that begins now.
    pub fn begin(now: Timestamp) -> Self {
        Self { format: FORMAT, since: now, jobs: BTreeMap::new() }
    }

    /// How a job stands.
    pub fn of(&self, job: Job) -> &Standing {
        self.jobs.get(&job).unwrap_or(&NEVER)
    }

    /// Notes that a run begins.
    pub fn begins(&mut self, job: Job, now: Timestamp, cause: Cause) {
        let standing = self.jobs.entry(job).or_default();
        standing.begun = Some(now);
        if cause == Cause::Clock {
            standing.taken_up = Some(now);
            // The failure stays known until a run ends well; its retries begin anew.
            if let Some(failure) = &mut standing.failure {
                failure.times = 0;
            }
        }
    }

    /// Notes that the run that began last was called off, and is as due as it was `before`.
    pub fn called_off(&mut self, job: Job, before: Standing) {
        self.jobs.insert(job, before);
    }

    /// Counts runs that began and never ended as failures: the agent was killed in their middle.
    /// They are tried again as failures are, so that one that kills it each time is not tried
    /// without end.
    fn interrupted(&mut self) {
        for standing in self.jobs.values_mut() {
            let Some(begun) = standing.begun else { continue };
            let failed = standing.failure.as_ref().is_some_and(|failure| failure.at >= begun);
            if failed || standing.succeeded.is_some_and(|succeeded| succeeded >= begun) {
                continue;
            }
            let times = standing.failure.as_ref().map_or(0, |failure| failure.times);
            let error = "the agent was killed in the middle of it".to_owned();
            let times = times.saturating_add(1);
            standing.failure = Some(Failure { at: begun, times, error });
        }
    }

    /// Notes that the run that began last ended well.
    pub fn succeeds(&mut self, job: Job, now: Timestamp) {
        let standing = self.jobs.entry(job).or_default();
        standing.took_ms = standing
            .begun
            .and_then(|begun| u64::try_from(now.duration_since(begun).as_millis()).ok());
        standing.succeeded = Some(now);
        standing.failure = None;
    }

    /// Notes that the run that began last failed.
    pub fn fails(&mut self, job: Job, now: Timestamp, error: String) {
        let standing = self.jobs.entry(job).or_default();
        let times = standing.failure.as_ref().map_or(0, |failure| failure.times);
        standing.failure = Some(Failure { at: now, times: times.saturating_add(1), error });
    }
}

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file could not be read or written.
    #[error("{}: {source}; look whether the disk is full or can be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A later program wrote it.
    #[error(
        "{} has format {found}, which is newer than this program; use the release that wrote it",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// The record and the file it stands in.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    /// What ran when.
    pub record: Record,
    /// Where a record that could not be understood was put.
    pub set_aside: Option<PathBuf>,
}

impl RecordFile {
    /// What the record says, for those who only look.
    pub fn look(repository: &Path, now: Timestamp) -> Result<Record, RecordError> {
        let path = repository.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| RecordError::File { path, source: io::Error::other(error) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::begin(now)),
            Err(source) => Err(RecordError::File { path, source }),
        }
    }

    /// Reads the record in `repository`, or begins one. A damaged one is set aside, not trusted
    /// and not deleted: at worst a job runs once more than it had to.
    pub fn open(repository: &Path, now: Timestamp) -> Result<Self, RecordError> {
        let path = repository.join(FILE);
        let fail = |source| RecordError::File { path: path.clone(), source };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, record: Record::begin(now), set_aside: None });
            }
            Err(error) => return Err(fail(error)),
        };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(mut record) if record.format <= FORMAT => {
                record.interrupted();
                Ok(Self { path, record, set_aside: None })
            }
            Ok(record) => Err(RecordError::Newer { path, found: record.format }),
            Err(_damaged) => {
                let aside = repository.join(format!("record.damaged-{}.json", now.as_second()));
                fs::rename(&path, &aside).map_err(fail)?;
                Ok(Self { path, record: Record::begin(now), set_aside: Some(aside) })
            }
        }
    }

    /// Writes the record: a new file, to the disk, into the old one's place.
    pub fn save(&self) -> Result<(), RecordError> {
        let fail = |source| RecordError::File { path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(&self.record)
            .map_err(|error| fail(io::Error::other(error)))?;
        replace(&self.path, &text, MODE).map_err(fail)
    }
}

/// Puts a file in another's place, so that at every moment one of the two is there whole; from its
/// first byte on it has this `mode`.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.tmp"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_000_000).expect("a moment")
    }

    #[test]
    fn what_ran_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::open(folder.path(), now()).unwrap();
        file.record.begins(Job::Full, now(), Cause::Clock);
        file.record.succeeds(Job::Full, now());
        file.record.begins(Job::Audit, now(), Cause::Asked);
        file.record.fails(Job::Audit, now(), "page 7 differs".to_owned());
        file.save().unwrap();
        let again = RecordFile::open(folder.path(), now()).unwrap();
        assert_eq!(again.record, file.record);
        assert_eq!(again.record.of(Job::Full).took_ms, Some(0));
        assert_eq!(again.record.of(Job::Verification), &Standing::default());
    }

    #[test]
    fn a_run_that_was_killed_counts_as_a_failure_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::open(folder.path(), now()).unwrap();
        file.record.begins(Job::Full, now(), Cause::Clock);
        file.save().unwrap();
        for _start in 0..2 {
            let again = RecordFile::open(folder.path(), now()).unwrap();
            let failure = again.record.of(Job::Full).failure.clone().expect("it is a failure");
            assert_eq!((failure.times, failure.at), (1, now()));
            again.save().unwrap();
        }
    }

    #[test]
    fn a_damaged_record_is_set_aside_and_one_of_a_later_program_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, b"{\"format\":1,\"sin").unwrap();
        let file = RecordFile::open(folder.path(), now()).unwrap();
        let aside = file.set_aside.expect("it was set aside");
        assert_eq!(fs::read(aside).unwrap(), b"{\"format\":1,\"sin");
        let mut later = serde_json::to_value(Record::begin(now())).unwrap();
        later["format"] = 2.into();
        fs::write(&path, later.to_string()).unwrap();
        let error = RecordFile::open(folder.path(), now()).unwrap_err();
        assert!(matches!(error, RecordError::Newer { found: 2, .. }), "{error}");
        assert!(path.exists(), "and it is left as it is");
    }
}
