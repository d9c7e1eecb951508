//! Bringing a snapshot back: a whole folder, or one file as a stream.

mod metadata;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustic_core::repofile::{Node, NodeType};
use rustic_core::{IndexedFullStatus, LsOptions};
use serde::Serialize;

use crate::error::Error;
use crate::label::Snapshot;
use crate::repository::Repository;
use crate::take::Trouble;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// What came back.
#[derive(Debug, Default, Serialize)]
pub struct Restored {
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be brought back as it was: an owner without the right to set it, a device.
    pub differences: Vec<Trouble>,
}

impl Repository {
    /// Brings a snapshot's folder back into a folder that is empty or does not exist yet.
    ///
    /// What stood in the snapshotted folder stands in `to`. Only one file's pieces at a time are
    /// in memory. When an error ends it, what was written so far stays for a look.
    ///
    /// # Errors
    ///
    /// [`Error::NotEmpty`], [`Error::NoSuchSnapshot`], or what the repository or the disk says.
    pub fn restore(&self, id: &str, to: &Path) -> Result<Restored, Error> {
        let file = self.snapshot_file(id)?;
        let indexed = self.indexed()?;
        prepare(to)?;
        let node = |path: &str| indexed.node_from_snapshot_and_path(&file, path);
        // A folder of ours stands below its name; anything else keeps its whole paths.
        let ours = Snapshot::read(&file);
        let top = ours.class.and_then(|_| node(&ours.name).ok()).filter(Node::is_dir);
        let root = match &top {
            Some(top) => top.clone(),
            None => node("").map_err(|error| self.fail("find the snapshot's root", error))?,
        };
        let nodes = indexed
            .ls(&root, &LsOptions::default())
            .map_err(|error| self.fail("read the snapshot's tree", error))?;
        let mut work = Work::new(self, &indexed, to);
        if let Some(top) = top {
            work.folders.push((to.to_owned(), top));
        }
        for entry in nodes {
            let (path, node) =
                entry.map_err(|error| self.fail("read the snapshot's tree", error))?;
            work.entry(&path, &node)?;
        }
        work.finish()
    }

    /// Writes one file of a snapshot into `to`, piece by piece; answers its length in bytes.
    ///
    /// `path` is the file's path in the snapshot, e.g. `conversation.db`. Every piece is compared
    /// with its hash on the way.
    pub fn read(&self, id: &str, path: &str, to: &mut dyn Write) -> Result<u64, Error> {
        let file = self.snapshot_file(id)?;
        let indexed = self.indexed()?;
        let node = indexed
            .node_from_snapshot_and_path(&file, path)
            .map_err(|error| self.fail("find the file in the snapshot", error))?;
        dump(self, &indexed, &node, to)
    }

    /// Restores one file of a snapshot: it has its name when it is whole and on the disk.
    pub fn restore_file(&self, id: &str, path: &str, to: &Path) -> Result<u64, Error> {
        let mut being_written = to.as_os_str().to_owned();
        being_written.push(".partial");
        let being_written = PathBuf::from(being_written);
        let write = || -> Result<u64, Error> {
            let file = new_file(&being_written)?;
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
            let bytes = self.read(id, path, &mut writer)?;
            let file = writer
                .into_inner()
                .map_err(|error| Error::file("write", &being_written)(error.into_error()))?;
            file.sync_all().map_err(Error::file("write", &being_written))?;
            Ok(bytes)
        };
        let bytes = write().inspect_err(|_| drop(fs::remove_file(&being_written)))?;
        fs::rename(&being_written, to).map_err(Error::file("name", to))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(Error::file("name", to))?;
        Ok(bytes)
    }
}

/// An empty folder to restore into.
fn prepare(to: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .map_err(Error::file("make the folder", to))?;
    let mut entries = fs::read_dir(to).map_err(Error::file("list", to))?;
    // A volume's own `lost+found` is no content.
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found")) {
        return Err(Error::NotEmpty { path: to.to_owned() });
    }
    Ok(())
}

fn new_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("create", path))
}

/// Counts what passes, and keeps the error that the engine would turn into words.
struct Counted<'a> {
    inner: &'a mut dyn Write,
    bytes: u64,
    error: Option<std::io::Error>,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self.inner.write(buffer) {
            Ok(written) => {
                self.bytes += written as u64;
                Ok(written)
            }
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn dump(
    repository: &Repository,
    indexed: &rustic_core::Repository<IndexedFullStatus>,
    node: &Node,
    to: &mut dyn Write,
) -> Result<u64, Error> {
    let mut counted = Counted { inner: to, bytes: 0, error: None };
    let result = indexed.dump(node, &mut counted);
    let bytes = counted.bytes;
    if let Some(error) = counted.error.take() {
        return Err(Error::file("write", node.name().into_owned())(error));
    }
    result.map_err(|error| repository.fail("read a file of the snapshot", error))?;
    Ok(bytes)
}

/// A restore under way.
struct Work<'a> {
    repository: &'a Repository,
    indexed: &'a rustic_core::Repository<IndexedFullStatus>,
    to: &'a Path,
    restored: Restored,
    /// Folders get their times and permissions last: filling them changes the one and may need
    /// the other.
    folders: Vec<(PathBuf, Node)>,
    /// First path of every file with several names.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl<'a> Work<'a> {
    fn new(
        repository: &'a Repository,
        indexed: &'a rustic_core::Repository<IndexedFullStatus>,
        to: &'a Path,
    ) -> Self {
        let restored = Restored::default();
        Self { repository, indexed, to, restored, folders: Vec::new(), linked: HashMap::new() }
    }

    fn entry(&mut self, path: &Path, node: &Node) -> Result<(), Error> {
        if !stays_below(path) {
            let what = "the snapshot holds a path that leads out of it".to_owned();
            return Err(Error::Source { name: path.display().to_string(), what });
        }
        let target = self.to.join(path);
        match &node.node_type {
            NodeType::Dir => {
                DirBuilder::new()
                    .mode(0o700)
                    .create(&target)
                    .map_err(Error::file("make the folder", &target))?;
                self.folders.push((target, node.clone()));
                return Ok(());
            }
            NodeType::File => self.file(&target, node)?,
            NodeType::Symlink { .. } => {
                std::os::unix::fs::symlink(node.node_type.to_link(), &target)
                    .map_err(Error::file("make the link", &target))?;
            }
            other => {
                let what = format!("a {other} is not brought back");
                self.restored.differences.push(Trouble { path: target, what });
                return Ok(());
            }
        }
        self.restored.differences.extend(metadata::apply(&target, node));
        Ok(())
    }

    fn file(&mut self, target: &Path, node: &Node) -> Result<(), Error> {
        let key = (node.meta.device_id, node.meta.inode);
        if node.meta.links > 1 {
            if let Some(first) = self.linked.get(&key) {
                return fs::hard_link(first, target).map_err(Error::file("link", target));
            }
            self.linked.insert(key, target.to_owned());
        }
        let file = new_file(target)?;
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        let bytes = dump(self.repository, self.indexed, node, &mut writer)?;
        writer.flush().map_err(Error::file("write", target))?;
        self.restored.files += 1;
        self.restored.bytes += bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<Restored, Error> {
        // Innermost first, so that none is closed before what is inside it is done.
        while let Some((path, node)) = self.folders.pop() {
            self.restored.differences.extend(metadata::apply(&path, &node));
        }
        let root = File::open(self.to).map_err(Error::file("open", self.to))?;
        rustix::fs::syncfs(&root)
            .map_err(std::io::Error::from)
            .map_err(Error::file("write", self.to))?;
        Ok(self.restored)
    }
}

/// Whether a path names something below a folder, whatever a tree says.
fn stays_below(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}
