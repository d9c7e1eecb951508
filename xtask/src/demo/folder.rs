//! The folder in which the demo keeps everything: database, streams, logs.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::fault::Usage;

/// An existing, writable folder that no other demo uses, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder, or says what stands in the way.
    pub(crate) fn open(wanted: &Path) -> Result<Self> {
        let root = std::path::absolute(wanted).map_err(|error| fault(wanted, &error))?;
        for part in ["logs", "nats", "run"] {
            std::fs::create_dir_all(root.join(part)).map_err(|error| fault(&root, &error))?;
        }
        let lock = File::create(root.join("run/lock")).map_err(|error| fault(&root, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Usage(format!(
                "another demo is using {}: stop it, or give this one its own folder with --data DIR",
                root.display()
            ))
            .into()),
            Err(TryLockError::Error(error)) => Err(fault(&root, &error)),
        }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What a service said.
    pub(crate) fn log(&self, service: &str) -> PathBuf {
        self.root.join("logs").join(format!("{service}.log"))
    }

    /// Files that mean something only while the demo runs.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.root.join("run").join(name)
    }

    /// Files that are kept from one demo to the next.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn fault(folder: &Path, error: &io::Error) -> anyhow::Error {
    Usage(format!(
        "cannot write to {} ({error}): choose a folder of your own with --data DIR",
        folder.display()
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::Folder;
    use crate::fault::Usage;

    #[test]
    fn two_demos_do_not_share_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(&place.path().join("a")).unwrap();
        let error = Folder::open(&place.path().join("a")).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("--data"), "{error}");
        drop(first);
        assert!(Folder::open(&place.path().join("a")).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_a_remedy() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "").unwrap();
        let error = Folder::open(&place.path().join("file/below")).unwrap_err();
        let text = error.to_string();
        assert!(error.is::<Usage>() && text.contains("file/below") && text.contains("--data"));
    }
}
