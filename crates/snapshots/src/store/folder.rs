//! A repository in a folder: private, and every file whole and on the disk before it has its name.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustic_core::{
    ALL_FILE_TYPES, BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult,
    WriteBackend,
};

use super::file_name;

/// Nobody but the owner looks into a repository.
const FOLDER_MODE: u32 = 0o700;
/// Stored files are never changed, only replaced or removed (restic does the same).
const FILE_MODE: u32 = 0o400;
/// Where files are written before they have their name: inside, so that the rename cannot cross
/// file systems, and aside, so that no reader takes them for stored ones.
const BEING_WRITTEN: &str = "tmp";

/// A folder that holds a repository.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    writes: AtomicU64,
}

impl Local {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, writes: AtomicU64::new(0) }
    }

    fn path(&self, kind: FileType, id: &Id) -> PathBuf {
        self.root.join(file_name(kind, id))
    }

    fn fault(doing: &'static str, path: &Path, error: io::Error) -> Box<RusticError> {
        RusticError::with_source(ErrorKind::Backend, "{doing} `{path}`", error)
            .attach_context("doing", doing)
            .attach_context("path", path.display().to_string())
    }

    /// Writes under a name of its own, has it on the disk, then gives it its real one.
    fn put(&self, to: &Path, content: BytesList) -> io::Result<()> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let folder = to.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        let scratch = self.root.join(BEING_WRITTEN);
        make_folder(&scratch)?;
        let written = scratch.join(format!("{}-{number}", std::process::id()));
        let result = write_new(&written, content).and_then(|()| fs::rename(&written, to));
        if let Err(error) = result {
            // The first error says more than one from tidying up after it.
            drop(fs::remove_file(&written));
            return Err(error);
        }
        sync_folder(folder)
    }

    fn ids(&self, kind: FileType) -> io::Result<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            return match fs::metadata(self.root.join("config")) {
                Ok(found) => Ok(vec![(Id::default(), size(found.len()))]),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        let top = self.root.join(kind.dirname());
        let mut found = Vec::new();
        if kind == FileType::Pack {
            for entry in entries(&top)? {
                if entry.file_type()?.is_dir() {
                    gather(&entry.path(), &mut found)?;
                }
            }
        } else {
            gather(&top, &mut found)?;
        }
        Ok(found)
    }
}

/// Lengths of stored files fit the format's 32 bits; a longer one is wrong, and is seen as such.
fn size(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Files whose name is an id; anything else in there is not the repository's.
fn gather(folder: &Path, found: &mut Vec<(Id, u32)>) -> io::Result<()> {
    for entry in entries(folder)? {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<Id>().ok()) else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.push((id, size(metadata.len()))),
            Ok(_) => {}
            // Removed between the listing and the look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn write_new(path: &Path, content: BytesList) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    for piece in content.into_vec() {
        file.write_all(&piece)?;
    }
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl ReadBackend for Local {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.ids(kind).map_err(|error| Self::fault("list", &self.root.join(kind.dirname()), error))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let path = self.path(kind, id);
        let content = fs::read(&path).map_err(|error| Self::fault("read", &path, error))?;
        Ok(content.into())
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let path = self.path(kind, id);
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset.into()))?;
            let mut content = Vec::with_capacity(length as usize);
            file.take(length.into()).read_to_end(&mut content)?;
            if content.len() < length as usize {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("it ends before byte {}", u64::from(offset) + u64::from(length)),
                ));
            }
            Ok(content)
        };
        Ok(read().map_err(|error| Self::fault("read", &path, error))?.into())
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.path(kind, id).display().to_string()
    }
}

impl WriteBackend for Local {
    fn create(&self) -> RusticResult<()> {
        // `locks` is for stock restic, which takes one before it reads.
        let names = ALL_FILE_TYPES.iter().map(|kind| kind.dirname()).chain(["locks"]);
        for name in names {
            let path = self.root.join(name);
            make_folder(&path).map_err(|error| Self::fault("create", &path, error))?;
        }
        Ok(())
    }

    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let path = self.path(kind, id);
        self.put(&path, content).map_err(|error| Self::fault("write", &path, error))
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        let path = self.path(kind, id);
        let remove = || -> io::Result<()> {
            fs::remove_file(&path)?;
            // An index or a snapshot must be gone for good before the packs it names go.
            match path.parent() {
                Some(folder) if kind != FileType::Pack => sync_folder(folder),
                _ => Ok(()),
            }
        };
        remove().map_err(|error| Self::fault("remove", &path, error))
    }
}
