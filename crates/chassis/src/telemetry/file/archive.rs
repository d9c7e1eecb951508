//! The archive gathers packed log files by month, since gzip files laid end to end are one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{FilePlan, remove_if_there};

/// The mark of a file on its way into the archive; the length the archive had before follows it.
const PENDING: &str = ".pending-";

/// The monthly files of one log file.
#[derive(Debug)]
pub(super) struct Archive {
    directory: PathBuf,
    name: String,
    months: u32,
    zone: TimeZone,
}

impl Archive {
    /// The archive of the file `name` under `plan`.
    pub(super) fn new(plan: &FilePlan, name: &str) -> Self {
        Self {
            directory: plan.directory.join("archive"),
            name: name.to_owned(),
            months: plan.archive_months,
            zone: plan.zone.clone(),
        }
    }

    /// Appends a packed file to the month of its last line and removes it.
    ///
    /// It is first renamed to a name that tells the archive's length: from then on whoever comes
    /// after a crash can cut the archive back to it and append again.
    pub(super) fn take_in(&self, packed: &Path) -> io::Result<()> {
        if self.months == 0 {
            return remove_if_there(packed);
        }
        fs::create_dir_all(&self.directory)?;
        let written = Timestamp::try_from(fs::metadata(packed)?.modified()?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let month = written.to_zoned(self.zone.clone()).strftime("%Y-%m").to_string();
        let file_name = format!("{}-{month}.log.gz", self.name);
        let length = match fs::metadata(self.directory.join(&file_name)) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let pending = self.directory.join(format!(".{file_name}{PENDING}{length}"));
        fs::rename(packed, &pending)?;
        append(&pending, &self.directory.join(file_name), length)
    }

    /// Finishes what a process that died was about to append.
    pub(super) fn recover(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.strip_prefix('.')?.split_once(PENDING));
            if let Some((file_name, length)) = parts
                && self.month(file_name).is_some()
                && let Ok(length) = length.parse()
            {
                append(&entry.path(), &self.directory.join(file_name), length)?;
            }
        }
        Ok(())
    }

    /// Keeps the newest months, however wrong the clock may be today.
    pub(super) fn drop_excess(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(()) };
        let mut months = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(month) = entry.file_name().to_str().and_then(|name| self.month(name)) {
                months.push((month, entry.path()));
            }
        }
        months.sort();
        months.reverse();
        for (_, path) in months.into_iter().skip(self.months as usize) {
            remove_if_there(&path)?;
        }
        Ok(())
    }

    /// The month, such as `2026-11`, of an archive file of this very name.
    fn month(&self, file_name: &str) -> Option<String> {
        let month = file_name.strip_prefix(&self.name)?.strip_prefix('-')?;
        let month = month.strip_suffix(".log.gz")?;
        let digits = month.char_indices().all(|(at, letter)| match at {
            4 => letter == '-',
            _ => letter.is_ascii_digit(),
        });
        (month.len() == 7 && digits).then(|| month.to_owned())
    }
}

fn append(pending: &Path, archive: &Path, length: u64) -> io::Result<()> {
    let mut to = OpenOptions::new().create(true).append(true).open(archive)?;
    if to.metadata()?.len() > length {
        to.set_len(length)?;
    }
    io::copy(&mut File::open(pending)?, &mut to)?;
    to.sync_all()?;
    fs::remove_file(pending)
}
