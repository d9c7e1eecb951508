//! A snapshot of one stream: a database image that never lies on the disk.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};

use super::notes::Notes;
use super::reader::{Length, Noted};
use super::{Image, Reading, Taken};
use crate::error::Error;
use crate::label::Label;
use crate::repository::Repository;

/// Permissions of a restored image: a database is its owner's.
const IMAGE_MODE: u32 = 0o600;

/// An image and what to write on its snapshot.
#[derive(Debug)]
pub struct Stream {
    /// What to write on it; its name is the file's name in the snapshot.
    pub label: Label,
    /// The image, whose length must be exact.
    pub image: Image,
}

struct Source {
    label: Label,
    bytes: u64,
    reader: Mutex<Option<Box<dyn Read + Send>>>,
    notes: Arc<Notes>,
}

impl ReadSource for Source {
    type Open = Noted;
    type Iter = std::option::IntoIter<RusticResult<ReadSourceEntry<Noted>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(Some(self.bytes))
    }

    fn entries(&self) -> Self::Iter {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let path = root(&self.label);
        let entry = reader.map(|inner| {
            self.notes.handed();
            let meta = Metadata {
                mode: Some(IMAGE_MODE),
                mtime: Some(self.label.time),
                size: self.bytes,
                links: 1,
                ..Metadata::default()
            };
            let node = Node::new_node(self.label.name.as_ref(), NodeType::File, meta);
            let (notes, length) = (self.notes.clone(), Length::Exact);
            let open = Noted { inner, path: path.clone(), left: self.bytes, length, notes };
            Ok(ReadSourceEntry { path, node, open: Some(open) })
        });
        entry.into_iter()
    }
}

fn root(label: &Label) -> PathBuf {
    PathBuf::from("/").join(&label.name)
}

impl Repository {
    /// Takes a snapshot of one stream, read to its exact end.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] when the stream fails, ends early or goes on too long: then no snapshot
    /// is kept, and the one before stays the newest.
    pub fn take_stream(&self, stream: Stream) -> Result<Taken, Error> {
        let _turn = self.turn();
        self.watch.take_bytes_written();
        let Stream { label, image: Image { bytes, reader } } = stream;
        let notes = Arc::<Notes>::default();
        let root = root(&label);
        let source = Source {
            label: label.clone(),
            bytes,
            reader: Mutex::new(Some(reader)),
            notes: notes.clone(),
        };
        let shown_as = root.clone();
        let reading = Reading { root, shown_as, after_the_last: false };
        let file = self.archive(&label, &reading, &source)?;
        let kept = file.summary.as_ref().map_or((0, 0), |summary| {
            (summary.total_files_processed, summary.total_bytes_processed)
        });
        let short = (kept != (1, bytes))
            .then(|| format!("{} of {bytes} bytes reached the snapshot", kept.1));
        if let Some(what) = notes.first_trouble().or(short) {
            return Err(Error::Source { name: label.name, what });
        }
        self.keep(file, &notes)
    }
}
