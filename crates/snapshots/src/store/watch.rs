//! The watch over a repository's files: what comes back is what was written, or it is named.
//!
//! Every stored file but `config` is called by the SHA-256 of its content. The engine above relies
//! on authenticated encryption for most of them and tells a damaged key from a wrong password not
//! at all; here the name is compared with the content before anything reads it. The watch also
//! holds snapshot files back while one is being taken, because the engine goes on without a file
//! it could not read, and remembers why the place would not take a write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};
use sha2::{Digest, Sha256};

use super::file_name;

/// A stored file that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) what: String,
}

#[derive(Debug, Default)]
struct Notes {
    damage: Vec<Damage>,
    full: bool,
    last_snapshot: Option<Id>,
}

/// A backend that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    inner: Arc<dyn WriteBackend>,
    notes: Mutex<Notes>,
    holding: AtomicBool,
    bytes_written: AtomicU64,
}

impl Watch {
    pub(crate) fn new(inner: Arc<dyn WriteBackend>) -> Self {
        Self {
            inner,
            notes: Mutex::default(),
            holding: AtomicBool::new(false),
            bytes_written: AtomicU64::new(0),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Snapshot files are swallowed instead of written until this is called with `false`.
    pub(crate) fn hold_snapshots(&self, hold: bool) {
        self.holding.store(hold, Ordering::SeqCst);
    }

    /// The snapshot file that was written last.
    pub(crate) fn last_snapshot(&self) -> Option<Id> {
        self.notes().last_snapshot
    }

    /// Bytes written since the last time somebody asked.
    pub(crate) fn take_bytes_written(&self) -> u64 {
        self.bytes_written.swap(0, Ordering::Relaxed)
    }

    /// Every stored file of a kind, damaged keys too.
    pub(crate) fn list_unchecked(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.inner.list_with_size(kind)
    }

    /// What was found damaged since the last time somebody asked.
    pub(crate) fn take_damage(&self) -> Vec<Damage> {
        std::mem::take(&mut self.notes().damage)
    }

    /// Whether a write found no room since the last time somebody asked.
    pub(crate) fn take_full(&self) -> bool {
        std::mem::take(&mut self.notes().full)
    }

    fn compare(&self, kind: FileType, id: &Id, content: &[u8]) -> RusticResult<()> {
        if kind == FileType::Config || sha256(content) == *id {
            return Ok(());
        }
        let file = file_name(kind, id);
        let what = "its content does not match its name".to_owned();
        let damage = Damage { file, what };
        let error = RusticError::new(ErrorKind::Verification, "{file} is damaged: {what}")
            .attach_context("file", damage.file.clone())
            .attach_context("what", damage.what.clone());
        self.notes().damage.push(damage);
        Err(error)
    }

    /// Keys that are whole: a damaged one must not keep the others from opening the repository.
    fn whole_keys(&self) -> RusticResult<Vec<(Id, u32)>> {
        let mut whole = Vec::new();
        for (id, size) in self.inner.list_with_size(FileType::Key)? {
            let content = self.inner.read_full(FileType::Key, &id)?;
            if self.compare(FileType::Key, &id, &content).is_ok() {
                whole.push((id, size));
            }
        }
        Ok(whole)
    }
}

/// The id of a content.
pub(crate) fn sha256(content: &[u8]) -> Id {
    let digest: [u8; 32] = Sha256::digest(content).into();
    Id::new(digest)
}

/// Whether something down the chain of causes says that there is no room.
fn says_full(error: &RusticError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
            );
        }
        cause = error.source();
    }
    false
}

impl ReadBackend for Watch {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Key { self.whole_keys() } else { self.inner.list_with_size(kind) }
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let content = self.inner.read_full(kind, id)?;
        self.compare(kind, id, &content)?;
        Ok(content)
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.inner.read_partial(kind, id, cacheable, offset, length)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.inner.warmup_path(kind, id)
    }
}

impl WriteBackend for Watch {
    fn create(&self) -> RusticResult<()> {
        self.inner.create()
    }

    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        if kind == FileType::Snapshot && self.holding.load(Ordering::SeqCst) {
            return Ok(());
        }
        let bytes = content.size() as u64;
        let result = self.inner.write_bytes(kind, id, cacheable, content);
        match &result {
            Ok(()) => {
                self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                if kind == FileType::Snapshot {
                    self.notes().last_snapshot = Some(*id);
                }
            }
            Err(error) if says_full(error) => self.notes().full = true,
            Err(_) => {}
        }
        result
    }

    fn remove(&self, kind: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.inner.remove(kind, id, cacheable)
    }
}
