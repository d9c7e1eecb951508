//! The one door through which this crate changes files: whole or not at all, and counted.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const BUFFER_BYTES: usize = 128 * 1024;
const STEPS: usize = 6;

/// What is done to a file system, one call each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A file is made, or a folder.
    Create,
    /// Bytes are written.
    Write,
    /// A file is made durable.
    Sync,
    /// A file takes its final name.
    Rename,
    /// The names in a folder are made durable.
    SyncFolder,
    /// A file is removed.
    Remove,
}

type Rehearsal = dyn Fn(Step, &Path) -> io::Result<()> + Send + Sync;

/// The way to the disk. Clones share their counts.
#[derive(Clone, Default)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    counts: [AtomicU64; STEPS],
    rehearsal: Option<Box<Rehearsal>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Disk").field("counts", &self.shared.counts).finish_non_exhaustive()
    }
}

impl Disk {
    /// A disk on which trouble is rehearsed: `before` sees every step first, and its error is the
    /// step's own. This is how a full disk, or a death at each step, is tried out.
    pub fn rehearsing(
        before: impl Fn(Step, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let rehearsal: Option<Box<Rehearsal>> = Some(Box::new(before));
        Self { shared: Arc::new(Shared { counts: Default::default(), rehearsal }) }
    }

    /// How often `step` was done.
    pub fn count(&self, step: Step) -> u64 {
        self.shared.counts[step as usize].load(Ordering::Relaxed)
    }

    fn step(&self, step: Step, path: &Path) -> io::Result<()> {
        if let Some(before) = &self.shared.rehearsal {
            before(step, path)?;
        }
        self.shared.counts[step as usize].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Puts what `write` writes at `path`. A reader sees the old file, or the new one whole; on
    /// return the new one is durable. It is dated `modified` where that is given.
    ///
    /// # Errors
    /// What `write` or the disk said. What stood at `path` stands there still.
    pub fn replace<T, E: From<io::Error>>(
        &self,
        path: &Path,
        modified: Option<SystemTime>,
        write: impl FnOnce(&mut Pen) -> Result<T, E>,
    ) -> Result<T, E> {
        let temporary = temporary_of(path);
        let outcome = self.write_durably(&temporary, modified, write).and_then(|value| {
            self.step(Step::Rename, path)?;
            std::fs::rename(&temporary, path)?;
            self.sync_folder(path)?;
            Ok(value)
        });
        if outcome.is_err() {
            // A full disk needs the room again. Where even this fails, the next start sweeps.
            drop(std::fs::remove_file(&temporary));
        }
        outcome
    }

    fn write_durably<T, E: From<io::Error>>(
        &self,
        temporary: &Path,
        modified: Option<SystemTime>,
        write: impl FnOnce(&mut Pen) -> Result<T, E>,
    ) -> Result<T, E> {
        self.step(Step::Create, temporary)?;
        let file = File::create(temporary)?;
        let raw = Raw { disk: self.clone(), path: temporary.to_owned(), file };
        let mut pen = Pen(BufWriter::with_capacity(BUFFER_BYTES, raw));
        let value = write(&mut pen)?;
        let Raw { file, .. } = pen.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(modified) = modified {
            file.set_modified(modified)?;
        }
        self.step(Step::Sync, temporary)?;
        file.sync_all()?;
        Ok(value)
    }

    /// Makes the folder at `path`, and those above it, where they are missing.
    ///
    /// # Errors
    /// What the disk said.
    pub fn create_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.step(Step::Create, path)?;
        std::fs::create_dir_all(path)?;
        self.sync_folder(path)
    }

    /// Removes the file at `path`; nothing happens where there is none.
    ///
    /// # Errors
    /// What the disk said.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(Step::Remove, path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the name of `path` durable.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step(Step::SyncFolder, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// What a file is called while it is not whole; names that end so are swept at a start.
pub const TEMPORARY: &str = ".tmp";

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY);
    path.with_file_name(name)
}

/// A file that is being written.
#[derive(Debug)]
pub struct Pen(BufWriter<Raw>);

impl io::Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[derive(Debug)]
struct Raw {
    disk: Disk,
    path: PathBuf,
    file: File,
}

impl io::Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.step(Step::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_whichever_step_fails() {
        let steps = [Step::Create, Step::Write, Step::Sync, Step::Rename];
        for failing in steps {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, "old").unwrap();
            let disk = Disk::rehearsing(move |step, _| {
                if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            });
            let refused = disk.replace(&path, None, |pen| pen.write_all(b"new")).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
            assert_eq!(std::fs::read(&path).unwrap(), b"old", "{failing:?}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{failing:?}");
            assert_eq!(disk.count(failing), 0);
        }
    }

    #[test]
    fn a_file_is_dated_and_its_folder_made_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("file");
        let disk = Disk::default();
        disk.create_folder(path.parent().unwrap()).unwrap();
        let date = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        disk.replace(&path, Some(date), |pen| pen.write_all(b"new")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), date);
        assert_eq!([disk.count(Step::Sync), disk.count(Step::Rename)], [1, 1]);
        assert_eq!(disk.count(Step::SyncFolder), 2);
        disk.remove(&path).unwrap();
        disk.remove(&path).unwrap();
        assert!(!path.exists());
    }
}
