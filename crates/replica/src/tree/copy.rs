//! Files of a tree taken elsewhere: linked into a new timeline, exported, and examined on arrival.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use ltx::Decoder;

use super::catalogue::{Catalogue, Entry};
use super::error::TreeError;
use super::plan::{At, Plan, PlanError};
use super::{READ_BYTES, Tree, check_name, examine};
use crate::disk::{Disk, Pen};

/// Some file systems keep dates to two seconds.
const DATE_SLACK_MS: i64 = 2000;

/// Something that is wrong in a tree.
#[derive(Debug)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: TreeError,
}

/// What an examination of a tree found.
#[derive(Debug, Default)]
pub struct Examination {
    /// How many files were read to their end.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is wrong, file by file.
    pub faults: Vec<Fault>,
    /// Why the newest point cannot be reached with what is whole, where it cannot.
    pub unreachable: Option<PlanError>,
}

impl Examination {
    /// Whether everything is whole and the newest point can be reached.
    pub fn is_fine(&self) -> bool {
        self.faults.is_empty() && self.unreachable.is_none()
    }
}

impl Catalogue {
    /// Reads every file to its end: whether it is whole, is what its name says, and has its date.
    pub fn examine(&self) -> Examination {
        let mut examination = Examination::default();
        let mut whole = self.clone();
        for entry in self.entries() {
            let path = entry.path(self.root());
            let error = match examine(&path, entry) {
                Ok(header) if (header.timestamp_ms - entry.time_ms).abs() <= DATE_SLACK_MS => None,
                Ok(_) => Some(TreeError::Undated { path: path.clone() }),
                Err(error) => {
                    whole = whole.without(entry);
                    Some(error)
                }
            };
            examination.faults.extend(error.map(|error| Fault { path, error }));
            examination.files += 1;
            examination.bytes += entry.bytes;
        }
        examination.unreachable = whole.plan(At::Latest).err();
        examination
    }

    /// Gives every file the date that stands in it, after they were copied without dates. Gives how
    /// many had another.
    ///
    /// # Errors
    /// A file that cannot be read, or what the disk said.
    pub fn mend_dates(&self) -> Result<usize, TreeError> {
        let mut mended = 0;
        for entry in self.entries() {
            let path = entry.path(self.root());
            let failed = TreeError::io("date", &path);
            let file = File::options().read(true).write(true).open(&path).map_err(&failed)?;
            let decoder = Decoder::new(&file).map_err(TreeError::ltx("read", &path))?;
            let header = *decoder.header();
            check_name(&path, entry, &header)?;
            if (header.timestamp_ms - entry.time_ms).abs() > DATE_SLACK_MS {
                let since = Duration::from_millis(header.timestamp_ms.cast_unsigned());
                file.set_modified(UNIX_EPOCH + since).map_err(&failed)?;
                mended += 1;
            }
        }
        Ok(mended)
    }

    /// Copies these files into the folder `to` in the layout that stock litestream restores, each
    /// checked on the way. Gives how many bytes were copied.
    ///
    /// # Errors
    /// A file that is damaged, one that is there already, or what the disk said.
    pub fn export<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry>,
        to: &Path,
        disk: &Disk,
    ) -> Result<u64, TreeError> {
        let mut bytes = 0;
        for entry in entries {
            copy(&entry.path(self.root()), entry, to, disk)?;
            bytes += entry.bytes;
        }
        Ok(bytes)
    }
}

/// Puts the files of a plan into a new tree.
pub(crate) fn link_all(plan: &Plan, into: &Tree) -> Result<(), TreeError> {
    for (entry, from) in plan.files() {
        let to = into.path_of(entry);
        if let Some(folder) = to.parent() {
            into.make_folder(folder)?;
        }
        match std::fs::hard_link(&from, &to) {
            Ok(()) => {
                let folder = to.parent().unwrap_or(into.root());
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(TreeError::io("make durable", folder))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TreeError::io("link", &from)(error));
            }
            // Not every file system has links.
            Err(_) => copy(&from, entry, into.root(), &into.disk)?,
        }
    }
    Ok(())
}

/// Copies a file below another root and checks it by what was read.
fn copy(from: &Path, entry: &Entry, root: &Path, disk: &Disk) -> Result<(), TreeError> {
    let to = entry.path(root);
    if to.exists() {
        return Err(TreeError::Occupied { path: to });
    }
    if let Some(folder) = to.parent() {
        disk.create_folder(folder).map_err(TreeError::io("make the folder", folder))?;
    }
    let refuse = TreeError::ltx("copy", from);
    let file = File::open(from).map_err(TreeError::io("open", from))?;
    let header = *Decoder::new(&file).map_err(&refuse)?.header();
    check_name(from, entry, &header)?;
    let date = UNIX_EPOCH + Duration::from_millis(header.timestamp_ms.cast_unsigned());
    let file = File::open(from).map_err(TreeError::io("open", from))?;
    let copied = disk.replace(&to, Some(date), |pen| {
        let tee = Tee { from: BufReader::with_capacity(READ_BYTES, file), to: pen };
        // The decoder takes small bites; they become large ones again.
        let decoder = Decoder::new(tee).map_err(Trouble::Ltx)?;
        decoder.finish().map_err(Trouble::Ltx).map(|_| ())
    });
    match copied {
        Ok(()) => Ok(()),
        Err(Trouble::Ltx(error)) => Err(refuse(error)),
        Err(Trouble::Disk(error)) => Err(TreeError::io("write", &to)(error)),
    }
}

enum Trouble {
    Ltx(ltx::Error),
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Writes down what is read.
struct Tee<'a, R> {
    from: R,
    to: &'a mut Pen,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.from.read(into)?;
        io::Write::write_all(self.to, &into[..bytes])?;
        Ok(bytes)
    }
}
