//! A repository on a far side.
//!
//! The engine asks for one piece after the other, 16 KiB at a time; asking a far side like that
//! would take as many journeys as there are pieces. Pieces of a file lie one after the other in a
//! pack, so a window is read around the first and the next ones are answered from it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use objects::{Fault, FaultKind, Target};
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};
use tokio::runtime::Handle;

use super::file_name;

/// Bytes of a window.
const WINDOW_BYTES: u64 = 4 << 20;
/// Windows kept; the oldest goes first. Several, because pieces that many snapshots share lie in
/// several packs.
const WINDOWS_MAX: usize = 8;

/// Bytes of a pack that were read in one go.
struct Window {
    pack: Id,
    start: u64,
    content: Bytes,
}

impl Window {
    fn piece(&self, pack: &Id, offset: u64, length: u64) -> Option<Bytes> {
        let begin = offset.checked_sub(self.start)?;
        let end = begin + length;
        if self.pack != *pack || end > self.content.len() as u64 {
            return None;
        }
        // Within a window, which fits the memory.
        Some(self.content.slice(usize::try_from(begin).ok()?..usize::try_from(end).ok()?))
    }
}

/// A folder of a far side that holds a repository.
pub(crate) struct Far {
    target: Target,
    folder: String,
    runtime: Handle,
    windows: Mutex<VecDeque<Window>>,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Far")
            .field("target", &self.target)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Far {
    pub(crate) fn new(target: Target, folder: &str, runtime: Handle) -> Self {
        Self { target, folder: folder.to_owned(), runtime, windows: Mutex::default() }
    }

    fn path(&self, kind: FileType, id: &Id) -> String {
        self.below(&file_name(kind, id))
    }

    fn below(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }

    /// Waits for the far side; never called from one of the runtime's own threads.
    fn wait<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> RusticResult<T> {
        self.runtime.block_on(work).map_err(|fault| {
            let text = fault.to_string();
            if fault.kind == FaultKind::NoRoom {
                // The watch knows a full place by this, wherever it is.
                let full = std::io::Error::new(std::io::ErrorKind::StorageFull, text);
                RusticError::with_source(ErrorKind::Backend, "the far side has no room", full)
            } else {
                RusticError::new(ErrorKind::Backend, "{text}").attach_context("text", text)
            }
        })
    }

    fn range(&self, path: &str, offset: u64, length: u64) -> RusticResult<Bytes> {
        self.wait(self.target.get_range(path, offset..offset + length))
    }

    fn remembered(&self, pack: &Id, offset: u64, length: u64) -> Option<Bytes> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.iter().find_map(|window| window.piece(pack, offset, length))
    }

    fn remember(&self, window: Window) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() == WINDOWS_MAX {
            windows.pop_front();
        }
        windows.push_back(window);
    }

    fn forget(&self, pack: &Id) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|window| window.pack != *pack);
    }
}

fn short(path: String) -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, "`{path}` is shorter than its index says")
        .attach_context("path", path)
}

impl ReadBackend for Far {
    fn location(&self) -> String {
        format!("target {:?}, folder {:?}", self.target.name(), self.folder)
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        if kind == FileType::Config {
            let path = self.below("config");
            let found = self.wait(async {
                match self.target.stat(&path).await {
                    Ok(object) => Ok(Some(object)),
                    Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
                    Err(fault) => Err(fault),
                }
            })?;
            return Ok(found
                .into_iter()
                .map(|object| (Id::default(), size(object.size)))
                .collect());
        }
        let prefix = self.below(&format!("{}/", kind.dirname()));
        let objects = self.wait(self.target.list(&prefix))?;
        let named = |object: &objects::Object| {
            let name = object.path.rsplit('/').next()?;
            Some((name.parse().ok()?, size(object.size)))
        };
        Ok(objects.iter().filter_map(named).collect())
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.wait(self.target.get(&self.path(kind, id)))
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let (offset, length) = (u64::from(offset), u64::from(length));
        let path = self.path(kind, id);
        if let Some(piece) = self.remembered(id, offset, length) {
            return Ok(piece);
        }
        let content = self.range(&path, offset, length.max(WINDOW_BYTES))?;
        if (content.len() as u64) < length {
            return Err(short(path));
        }
        let window = Window { pack: *id, start: offset, content };
        let piece = window.piece(id, offset, length).ok_or_else(|| short(path))?;
        if length < WINDOW_BYTES {
            self.remember(window);
        }
        Ok(piece)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.path(kind, id)
    }
}

impl WriteBackend for Far {
    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let mut whole = BytesMut::with_capacity(content.size());
        for piece in content.into_vec() {
            whole.extend_from_slice(&piece);
        }
        self.wait(self.target.put(&self.path(kind, id), whole.freeze()))
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        self.forget(id);
        self.wait(self.target.delete(&self.path(kind, id)))
    }
}
