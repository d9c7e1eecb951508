//! The shelf is the row of a log file's predecessors, the newest with the lowest number.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::archive::Archive;
use super::{FilePlan, pack, remove_if_there, rename_if_there};

/// The predecessors of one log file.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    file_name: String,
    bytes_max: u64,
    age_max: SignedDuration,
    archive: Archive,
}

impl Shelf {
    /// The shelf of the file `name` under `plan`.
    pub(super) fn new(plan: &FilePlan, name: &str) -> Self {
        Self {
            directory: plan.directory.clone(),
            file_name: format!("{name}.log"),
            bytes_max: plan.bytes_max * u64::from(plan.count),
            age_max: SignedDuration::from_hours(24 * i64::from(plan.days)),
            archive: Archive::new(plan, name),
        }
    }

    /// The file that is written.
    pub(super) fn current(&self) -> PathBuf {
        self.directory.join(&self.file_name)
    }

    /// Makes the current file the newest predecessor. Only as many are renamed as stand without a
    /// gap, so that a row that a killed process left half moved loses nothing.
    pub(super) fn put_away(&self) -> io::Result<()> {
        let row = self.row()?;
        let counted = row.keys().zip(1_u32..).take_while(|(number, count)| *number == count);
        let unbroken = counted.last().map_or(0, |(_, count)| count);
        for number in (1..=unbroken).rev() {
            for path in row.get(&number).into_iter().flatten() {
                let packed = path.extension().is_some_and(|extension| extension == "gz");
                let mut target = self.place(number + 1);
                if packed {
                    target = pack::packed(&target);
                }
                rename_if_there(path, &target)?;
            }
        }
        rename_if_there(&self.current(), &self.place(1))
    }

    /// Packs every predecessor that is not packed yet. A full disk leaves them plain till later.
    pub(super) fn pack_older(&self) -> io::Result<()> {
        for path in self.row()?.into_values().flatten() {
            let plain = path.extension().is_none_or(|extension| extension != "gz");
            if plain
                && path.is_file()
                && let Err(error) = pack::pack(&path)
            {
                tracing::debug!(%error, "log file stays unpacked for now");
            }
        }
        Ok(())
    }

    /// Finishes what was left half done, and lets go of what is too much or too old.
    pub(super) fn tidy(&self, now: Timestamp) -> io::Result<()> {
        self.remove_unfinished()?;
        // First what makes room, then what needs it.
        self.drop_excess()?;
        self.archive.drop_excess()?;
        self.archive.recover()?;
        self.archive_old(now)?;
        self.archive.drop_excess()
    }

    /// As [`tidy`](Self::tidy) for a file that no process writes any more.
    pub(super) fn retire(&self, now: Timestamp) -> io::Result<()> {
        if is_older(&self.current(), now, self.age_max) {
            if fs::metadata(self.current())?.len() == 0 {
                remove_if_there(&self.current())?;
            } else {
                self.pack_older()?;
                self.put_away()?;
            }
        }
        self.tidy(now)
    }

    /// What died while it was packed is whole in its plain form, and the other way round.
    fn remove_unfinished(&self) -> io::Result<()> {
        for (number, paths) in self.row()? {
            let plain = self.place(number);
            remove_if_there(&pack::unfinished(&plain))?;
            if paths.len() > 1 && plain.is_file() {
                remove_if_there(&plain)?;
            }
        }
        Ok(())
    }

    fn drop_excess(&self) -> io::Result<()> {
        let mut bytes = 0;
        for path in self.row()?.into_values().flatten().filter(|path| path.is_file()) {
            let packed = path.extension().is_some_and(|extension| extension == "gz");
            let plain_bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            // What is damaged counts with what it takes.
            bytes += if packed {
                pack::unpacked_bytes(&path).unwrap_or(plain_bytes)
            } else {
                plain_bytes
            };
            if bytes > self.bytes_max {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn archive_old(&self, now: Timestamp) -> io::Result<()> {
        // The oldest first, so that the archive is in order.
        for path in self.row()?.into_values().rev().flatten() {
            if !path.is_file() || !is_older(&path, now, self.age_max) {
                continue;
            }
            let packed = path.extension().is_some_and(|extension| extension == "gz");
            let packed = if packed { path } else { pack::pack(&path)? };
            self.archive.take_in(&packed)?;
        }
        Ok(())
    }

    /// Everything that stands under a number, plain or packed, folders in the way included.
    fn row(&self) -> io::Result<BTreeMap<u32, Vec<PathBuf>>> {
        let mut row: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&self.file_name))
            else {
                continue;
            };
            let number =
                rest.strip_prefix('.').map(|rest| rest.strip_suffix(".gz").unwrap_or(rest));
            if let Some(number) = number.and_then(|number| number.parse().ok())
                && number > 0
            {
                row.entry(number).or_default().push(entry.path());
            }
        }
        Ok(row)
    }

    fn place(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}.{number}", self.file_name))
    }
}

/// Whether the last line of `path` is older than this; a time in the future is no age.
fn is_older(path: &Path, now: Timestamp, age_max: SignedDuration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .is_some_and(|written| now.duration_since(written) > age_max)
}
