//! The log file: begun anew each day and at its size limit, its predecessors kept, packed, archived.
//!
//! In the folder stand `<name>.log`, which is written; `<name>.log.1`, its predecessor, still plain;
//! `<name>.log.2.gz` and so on, older and packed; and `archive/<name>-<year>-<month>.log.gz`. Every
//! step is a rename or can be done again, so that a process may die between any two of them.

mod archive;
mod claim;
mod pack;
mod shelf;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::check::folder::{diagnose, is_full};
use crate::settings::Faults;
use claim::Claim;
use shelf::Shelf;

/// How long a rotation that failed is left alone; the file grows meanwhile.
const ROTATION_RETRY: Duration = Duration::from_secs(5);

/// Where the log file stands and how much of the past is kept.
#[derive(Debug, Clone)]
pub struct FilePlan {
    /// The folder.
    pub directory: PathBuf,
    /// The file's name without `.log`.
    pub name: String,
    /// The size in bytes at which the file is begun anew.
    pub bytes_max: u64,
    /// How many times `bytes_max` the predecessors may hold together, before packing.
    pub count: u32,
    /// How many days a predecessor stays before it goes into the archive.
    pub days: u32,
    /// How many months the archive goes back; 0 keeps none.
    pub archive_months: u32,
    /// Where days and months begin.
    pub zone: TimeZone,
}

/// The clock by which the file is begun anew; tests turn it.
type Clock = Box<dyn Fn() -> Timestamp + Send>;

/// Writes whole lines to `<name>.log`, and looks after what came before.
///
/// A further process of the same name in the same folder, as during an update, writes to
/// `<name>-2.log`; whoever holds the plain name looks after what such a process left.
pub struct LogFile {
    plan: FilePlan,
    claim: Claim,
    path: PathBuf,
    shelf: Shelf,
    file: Option<File>,
    bytes: u64,
    /// The day on which the file was begun: its first moment and the first of the next.
    day: (Timestamp, Timestamp),
    rotation_failed: Option<Instant>,
    /// Whether what came before was not looked at yet.
    untidy: bool,
    now: Clock,
}

impl LogFile {
    /// Opens the file `plan` describes; its folder is made if need be. A full disk is no error:
    /// the file is tried again with every line.
    ///
    /// # Errors
    /// When the folder or the file cannot be written; the fault says what to do.
    pub fn open(plan: FilePlan) -> Result<Self, Faults> {
        Self::open_at(plan, Timestamp::now)
    }

    /// As [`open`](Self::open), by another clock.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at(
        plan: FilePlan,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Self, Faults> {
        let directory = plan.directory.clone();
        Self::try_open(plan, Box::new(now)).map_err(|error| {
            let (problem, remedy) = diagnose(&directory, &error);
            Faults::one("LOG_DIR", problem, remedy)
        })
    }

    fn try_open(plan: FilePlan, now: Clock) -> io::Result<Self> {
        fs::create_dir_all(&plan.directory)?;
        let claim = Claim::take(&plan.directory, &plan.name)?;
        let shelf = Shelf::new(&plan, claim.name());
        let path = shelf.current();
        let day = day_of(now(), &plan.zone);
        let (file, bytes, rotation_failed) = (None, 0, None);
        // What came before is put in order with the first line: packing takes a while, and what it
        // has to say needs the log.
        let untidy = true;
        let mut log =
            Self { plan, claim, path, shelf, file, bytes, day, rotation_failed, untidy, now };
        match log.reopen() {
            Err(error) if !is_full(&error) => return Err(error),
            _ => {}
        }
        Ok(log)
    }

    /// Opens the path again, as after a rotation by us or by somebody else.
    fn reopen(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.plan.directory)?;
        if !self.claim.is_in_place() {
            // The folder was taken away under us: what stands there now may belong to another.
            self.claim = Claim::take(&self.plan.directory, &self.plan.name)?;
            self.shelf = Shelf::new(&self.plan, self.claim.name());
            self.path = self.shelf.current();
        }
        let open = || OpenOptions::new().create(true).append(true).read(true).open(&self.path);
        let mut file = match open() {
            // Somebody's rotation left a file that we may not write; the folder is still ours.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.shelf.put_away().map_err(|_second| error)?;
                open()?
            }
            outcome => outcome?,
        };
        let metadata = file.metadata()?;
        self.bytes = metadata.len();
        let now = (self.now)();
        let written = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        let begun = written.filter(|_| self.bytes > 0 && metadata.is_file()).unwrap_or(now);
        self.day = day_of(begun, &self.plan.zone);
        if metadata.is_file() && is_torn(&mut file, self.bytes)? {
            file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Begins the file anew if it is time for it, and never loses a line over it.
    fn rotate_when_due(&mut self, length: u64) -> io::Result<()> {
        let now = (self.now)();
        if now < self.day.0 {
            // The clock went back; the file's day is the one it is now said to be.
            self.day = day_of(now, &self.plan.zone);
        }
        let over = self.bytes + length > self.plan.bytes_max || now >= self.day.1;
        let waiting = self.rotation_failed.is_some_and(|then| then.elapsed() < ROTATION_RETRY);
        if self.bytes == 0 {
            self.day = day_of(now, &self.plan.zone);
            return Ok(());
        }
        if !over || waiting {
            return Ok(());
        }
        let rotated = self.shelf.pack_older().and_then(|()| self.shelf.put_away());
        if let Err(error) = rotated {
            // A failed rotation must not cost lines: the old file goes on growing meanwhile.
            if self.rotation_failed.replace(Instant::now()).is_none() {
                tracing::warn!(%error, "log file cannot be rotated and goes on growing");
            }
            return Ok(());
        }
        self.rotation_failed = None;
        self.file = None;
        self.reopen()?;
        self.tidy();
        Ok(())
    }

    /// Brings everything that came before in order: what is unfinished, too much, or too old.
    fn tidy(&mut self) {
        let now = (self.now)();
        let mut troubles = vec![self.shelf.tidy(now)];
        if self.claim.is_first() {
            for claim in Claim::left_behind(&self.plan.directory, &self.plan.name) {
                troubles.push(Shelf::new(&self.plan, claim.name()).retire(now));
            }
        }
        for error in troubles.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "older log files could not all be put in order");
        }
    }

    /// Whether the path still leads to the open file; a person or logrotate may have moved it, or
    /// may have cut it to nothing.
    fn look_after_others(&mut self) {
        let Some(file) = &self.file else { return };
        match (file.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) if open.ino() == named.ino() && open.dev() == named.dev() => {
                if open.is_file() && open.len() < self.bytes {
                    self.bytes = open.len();
                }
            }
            _ => self.file = None,
        }
    }
}

impl Write for LogFile {
    /// Writes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.file.is_none() {
            self.reopen()?;
        }
        if std::mem::take(&mut self.untidy) {
            self.tidy();
        }
        self.rotate_when_due(length)?;
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Err(error) = file.write_all(line) {
            // Part of the line may stand there; cut it off so that the next one begins on its own.
            let torn = file.metadata().is_ok_and(|metadata| metadata.len() > self.bytes);
            if torn && file.set_len(self.bytes).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        self.bytes += length;
        Ok(line.len())
    }

    /// Looks whether the file is still the one its name leads to, and whether its day is over.
    fn flush(&mut self) -> io::Result<()> {
        self.look_after_others();
        if self.file.is_some() { self.rotate_when_due(0) } else { Ok(()) }
    }
}

impl std::fmt::Debug for LogFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The day `moment` lies in: its first moment and the first of the next day.
fn day_of(moment: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
    let begin = moment.to_zoned(zone.clone()).start_of_day();
    let end = begin.as_ref().ok().and_then(|begin| begin.checked_add(1.day()).ok());
    match (begin, end) {
        (Ok(begin), Some(end)) => (begin.timestamp(), end.timestamp()),
        // The last day of the calendar has no next one.
        _ => (moment, moment.saturating_add(SignedDuration::from_hours(24)).unwrap_or(moment)),
    }
}

/// Whether a process died in the middle of the file's last line.
fn is_torn(file: &mut File, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(bytes - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last[0] != b'\n')
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
