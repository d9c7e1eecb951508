//! A folder of this machine as a target: another disk, a mounted share.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::content::{Chunks, Content};
use crate::fault::{FaultKind, Trouble};
use crate::object::Object;
use crate::side::{Answer, PART, Side};

const CHUNK: usize = 256 * 1024;

/// Objects are files below one folder, which the operator makes: where it is missing, a disk is
/// probably not mounted, and a new folder in its place would fill the wrong disk.
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    async fn write(&self, path: &str, content: &Content) -> Result<(), Trouble> {
        self.mounted().await?;
        let to = self.root.join(path);
        let folder = to.parent().unwrap_or(&self.root).to_path_buf();
        make_folders(&self.root, &folder).await?;
        let part = self.root.join(format!("{path}{PART}"));
        fill(&part, content).await?;
        tokio::fs::rename(&part, &to).await.map_err(|error| told(&to, &error))?;
        sync_folder(&folder).await
    }

    async fn mounted(&self) -> Result<(), Trouble> {
        match tokio::fs::metadata(&self.root).await {
            Ok(about) if about.is_dir() => Ok(()),
            Ok(_) => Err(Trouble::new(FaultKind::Unfit, "its path is not a folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::new(
                FaultKind::Unreachable,
                format!(
                    "the folder {} is not there: mount its disk, or make it",
                    self.root.display()
                ),
            )),
            Err(error) => Err(told(&self.root, &error)),
        }
    }

    async fn begin(&self, path: &str, range: Option<Range<u64>>) -> Result<Chunks, Trouble> {
        self.mounted().await?;
        let from = self.root.join(path);
        let mut file = File::open(&from).await.map_err(|error| told(&from, &error))?;
        let (start, length) = range
            .map_or((0, u64::MAX), |range| (range.start, range.end.saturating_sub(range.start)));
        file.seek(io::SeekFrom::Start(start)).await.map_err(|error| told(&from, &error))?;
        let state = (file.take(length), from);
        Ok(stream::try_unfold(state, |(mut file, from)| async move {
            let mut piece = BytesMut::with_capacity(CHUNK);
            let read = file.read_buf(&mut piece).await.map_err(|error| told(&from, &error))?;
            Ok((read > 0).then(|| (piece.freeze(), (file, from))))
        })
        .boxed())
    }

    async fn walk(&self, prefix: &str) -> Result<Vec<Object>, Trouble> {
        self.mounted().await?;
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        let walk = move || {
            let mut found = Vec::new();
            walk(&root, &prefix, &mut found).map(|()| found)
        };
        match tokio::task::spawn_blocking(walk).await {
            Ok(result) => result,
            Err(error) => Err(Trouble::new(FaultKind::Local, error)),
        }
    }
}

impl Side for Folder {
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()> {
        self.write(path, content).boxed()
    }

    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks> {
        self.begin(path, range).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        self.walk(prefix).boxed()
    }

    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object> {
        async move {
            self.mounted().await?;
            let at = self.root.join(path);
            let about = tokio::fs::metadata(&at).await.map_err(|error| told(&at, &error))?;
            if !about.is_file() {
                return Err(Trouble::new(FaultKind::NotFound, "it is a folder"));
            }
            Ok(object(path.to_owned(), &about))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()> {
        async move {
            self.mounted().await?;
            let at = self.root.join(path);
            match tokio::fs::remove_file(&at).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(told(&at, &error)),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

/// Writes the content under its passing name and makes it durable.
async fn fill(part: &Path, content: &Content) -> Result<(), Trouble> {
    let mut file = File::create(part).await.map_err(|error| told(part, &error))?;
    let mut pieces = content.open().await?;
    while let Some(piece) = pieces.try_next().await? {
        file.write_all(&piece).await.map_err(|error| told(part, &error))?;
    }
    file.flush().await.map_err(|error| told(part, &error))?;
    let file = file.into_std().await;
    let time = content.time_ms.and_then(|ms| u64::try_from(ms).ok());
    let finish = move || {
        if let Some(ms) = time {
            file.set_modified(UNIX_EPOCH + Duration::from_millis(ms))?;
        }
        file.sync_all()
    };
    match tokio::task::spawn_blocking(finish).await {
        Ok(result) => result.map_err(|error| told(part, &error)),
        Err(error) => Err(Trouble::new(FaultKind::Local, error)),
    }
}

/// Makes a folder and those above it, up to the root, each durable in its parent.
async fn make_folders(root: &Path, folder: &Path) -> Result<(), Trouble> {
    let mut missing = Vec::new();
    let mut at = folder;
    while at != root && !at.is_dir() {
        missing.push(at);
        at = at.parent().unwrap_or(root);
    }
    for folder in missing.into_iter().rev() {
        match tokio::fs::create_dir(folder).await {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(told(folder, &error));
            }
            _ => sync_folder(folder.parent().unwrap_or(root)).await?,
        }
    }
    Ok(())
}

async fn sync_folder(folder: &Path) -> Result<(), Trouble> {
    let file = File::open(folder).await.map_err(|error| told(folder, &error))?;
    file.sync_all().await.map_err(|error| told(folder, &error))
}

fn walk(root: &Path, prefix: &str, found: &mut Vec<Object>) -> Result<(), Trouble> {
    let folder = root.join(prefix);
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| told(&folder, &error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| told(&folder, &error))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let about = match entry.metadata() {
            // Removed while we were looking.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(|error| told(&folder, &error))?,
        };
        if about.is_dir() {
            walk(root, &format!("{prefix}{name}/"), found)?;
        } else if about.is_file() && !name.ends_with(PART) {
            found.push(object(format!("{prefix}{name}"), &about));
        }
    }
    Ok(())
}

fn object(path: String, about: &std::fs::Metadata) -> Object {
    let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    Object { path, size: about.len(), modified_ms }
}

/// What the file system said about the far side's own file.
fn told(path: &Path, error: &io::Error) -> Trouble {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FaultKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultKind::Refused,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            FaultKind::NoRoom
        }
        // A share that is gone, or a disk that was pulled out.
        io::ErrorKind::StaleNetworkFileHandle
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NotConnected
        | io::ErrorKind::TimedOut => FaultKind::Unreachable,
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => FaultKind::Unfit,
        _ => FaultKind::Local,
    };
    Trouble::new(kind, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    async fn all(chunks: Chunks) -> Result<Vec<u8>, Trouble> {
        let pieces: Vec<_> = chunks.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn a_missing_root_is_an_unmounted_disk_and_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("usb");
        let folder = Folder::new(&root);
        let content = Content::of_bytes(Bytes::from_static(b"x"));
        let trouble = folder.put("a/b", &content).await.unwrap_err();
        assert_eq!(trouble.kind, FaultKind::Unreachable);
        assert!(!root.exists());
        assert_eq!(folder.list("").await.unwrap_err().kind, FaultKind::Unreachable);
        assert_eq!(folder.delete("a").await.unwrap_err().kind, FaultKind::Unreachable);
    }

    #[tokio::test]
    async fn what_a_broken_attempt_left_is_not_listed_and_is_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        std::fs::write(place.path().join(format!("a{PART}")), vec![1; 100]).unwrap();
        assert_eq!(folder.list("").await.unwrap(), []);
        folder.put("a", &Content::of_bytes(Bytes::from_static(b"whole"))).await.unwrap();
        assert_eq!(all(folder.read("a", None).await.unwrap()).await.unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn the_time_of_the_content_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        let mut content = Content::of_bytes(Bytes::from_static(b"x"));
        content.time_ms = Some(1_700_000_000_123);
        folder.put("a", &content).await.unwrap();
        assert_eq!(folder.stat("a").await.unwrap().modified_ms, Some(1_700_000_000_123));
    }
}
