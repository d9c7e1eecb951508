//! Merges files of a tree into one of a higher level, with few files open at a time.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _};
use std::path::Path;

use ltx::{Decoder, Header};

use super::catalogue::Entry;
use super::error::TreeError;
use super::{READ_BYTES, Tree, check_name};

/// How many files are merged at once: each takes a descriptor and a buffer.
const AT_ONCE: usize = 48;
/// Enough for a few pages; there are up to [`AT_ONCE`] of them.
const BUFFER_BYTES: usize = 64 * 1024;

impl Tree {
    /// Writes one file of `level` that says what `entries`, oldest first, say one after the other,
    /// and reads it again before it counts.
    ///
    /// # Errors
    /// Files that are damaged or do not go together, or what the disk said.
    pub(crate) fn merge(&self, level: u8, entries: &[Entry]) -> Result<Entry, TreeError> {
        let inputs = self.open_all(entries)?;
        let headers: Vec<Header> = inputs.iter().map(|input| *input.header()).collect();
        let header =
            ltx::merged_header(&headers).map_err(TreeError::ltx("merge files of", self.root()))?;
        let path = super::level_folder(self.root(), level)
            .join(super::file_name(header.min_txid, header.max_txid));
        let refuse = TreeError::ltx("merge into", &path);
        let merged =
            self.put(level, &header, |writer| ltx::merge_into(inputs, writer).map_err(&refuse))?;
        match self.examine(&merged) {
            Ok(_) => Ok(merged),
            Err(error) => {
                // What was merged is all still there; this one must not be taken for it.
                let path = self.path_of(&merged);
                self.disk.remove(&path).map_err(TreeError::io("remove", &path))?;
                Err(error)
            }
        }
    }

    /// Opens what is to be merged; of many files, merges of their parts, so that never more than a
    /// few are open.
    fn open_all(&self, entries: &[Entry]) -> Result<Vec<Input>, TreeError> {
        let open_some = |chunk: &[Entry]| -> Result<Vec<Input>, TreeError> {
            chunk.iter().map(|entry| open(&self.path_of(entry), entry)).collect()
        };
        if entries.len() <= AT_ONCE {
            return open_some(entries);
        }
        let mut parts = Vec::new();
        for chunk in entries.chunks(AT_ONCE) {
            parts.push(self.merge_aside(open_some(chunk)?)?);
            if parts.len() == AT_ONCE {
                let so_far = std::mem::take(&mut parts);
                parts.push(self.merge_aside(so_far)?);
            }
        }
        Ok(parts)
    }

    /// Merges into a file that has no name any more and goes away by itself.
    fn merge_aside(&self, inputs: Vec<Input>) -> Result<Input, TreeError> {
        let path = self.root().join(format!("merging{}", crate::disk::TEMPORARY));
        let failed = TreeError::io("write", &path);
        let refuse = TreeError::ltx("merge into", &path);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(&failed)?;
        std::fs::remove_file(&path).map_err(&failed)?;
        let headers: Vec<Header> = inputs.iter().map(|input| *input.header()).collect();
        let header = ltx::merged_header(&headers).map_err(&refuse)?;
        let writer = BufWriter::with_capacity(READ_BYTES, file);
        let mut encoder = ltx::Encoder::new(writer, header).map_err(&refuse)?;
        ltx::merge_into(inputs, &mut encoder).map_err(&refuse)?;
        let finished = encoder.finish().map_err(&refuse)?;
        let written = finished.inner.into_inner().map_err(std::io::IntoInnerError::into_error);
        let mut file = written.map_err(&failed)?;
        file.rewind().map_err(&failed)?;
        Decoder::new(BufReader::with_capacity(BUFFER_BYTES, file)).map_err(refuse)
    }
}

type Input = Decoder<BufReader<File>>;

fn open(path: &Path, entry: &Entry) -> Result<Input, TreeError> {
    let file = File::open(path).map_err(TreeError::io("open", path))?;
    let decoder = Decoder::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let decoder = decoder.map_err(TreeError::ltx("read", path))?;
    check_name(path, entry, decoder.header())?;
    Ok(decoder)
}
