//! A reader that keeps to the length its source had, and writes down when it cannot.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::notes::Notes;

/// What a difference between the length that was said and what comes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// The source is wrong: an image is as long as its database says, to the byte.
    Exact,
    /// The file is being written to: what was there at first is kept, and it is noted.
    AtMost,
}

/// The reader.
pub(crate) struct Noted {
    pub(crate) inner: Box<dyn Read + Send>,
    pub(crate) path: PathBuf,
    pub(crate) left: u64,
    pub(crate) length: Length,
    pub(crate) notes: Arc<Notes>,
}

impl Noted {
    fn fail(&self, error: io::Error) -> io::Result<usize> {
        self.notes.dropped(&self.path, &error);
        Err(error)
    }

    /// At the length that was said: is that the end?
    fn at_the_end(&mut self) -> io::Result<usize> {
        if self.length == Length::Exact {
            match self.inner.read(&mut [0]) {
                Ok(0) => {}
                Ok(_) => return self.fail(io::Error::other("it is longer than it said")),
                Err(error) => return self.fail(error),
            }
        }
        Ok(0)
    }
}

impl Read for Noted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return self.at_the_end();
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        match self.inner.read(&mut buffer[..most]) {
            Ok(0) if self.length == Length::Exact => {
                let what = format!("it ends {} bytes before its end", self.left);
                self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, what))
            }
            Ok(0) => {
                self.notes.changed(&self.path);
                self.left = 0;
                Ok(0)
            }
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            // The caller tries again by itself.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => self.fail(error),
        }
    }
}
