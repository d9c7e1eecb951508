//! What the tests share: a place, a password, contents, labels.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use secrecy::SecretString;
use snapshots::{Class, Folder, Image, Kind, Label, Place, Repository, Stream, Taken};
use tempfile::TempDir;

/// A repository in a folder of its own.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) repository: Repository,
}

pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) fn password() -> SecretString {
    PASSWORD.into()
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let place = Place::Folder(folder.path().join("repository"));
        let repository = Repository::create(&place, kind, &password())?;
        Ok(Self { folder, repository })
    }

    pub(crate) fn place(&self) -> Place {
        Place::Folder(self.stored())
    }

    /// Where the repository's files are.
    pub(crate) fn stored(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// A path beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes a snapshot of these bytes.
    pub(crate) fn take(&self, label: Label, content: &[u8]) -> Result<Taken, snapshots::Error> {
        let reader = Box::new(Cursor::new(content.to_vec()));
        let image = Image { bytes: content.len() as u64, reader };
        self.repository.take_stream(Stream { label, image })
    }
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().expect("a time of the test is one")
}

/// A label of a database image.
pub(crate) fn image(time: &str) -> Label {
    Label {
        class: Class::Conversations,
        name: "conversation.db".to_owned(),
        time: at(time),
        txid: Some(4242),
        host: "kotonoha".to_owned(),
    }
}

/// A folder to take, without anything special about it.
pub(crate) fn folder(root: &Path) -> Folder {
    let label = Label {
        class: Class::Volume,
        name: "notes".to_owned(),
        time: Timestamp::now(),
        txid: None,
        host: "kotonoha".to_owned(),
    };
    Folder { label, root: root.to_owned(), exclude: Vec::new(), held: Vec::new(), images: None }
}

/// Bytes that do not compress and are the same for the same seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(bytes).collect()
}

/// Every file below a folder, sorted, relative to it.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("list a folder") {
            let path = entry.expect("read a folder").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).expect("below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}
