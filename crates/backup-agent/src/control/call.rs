//! The command's side of the socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{LINE_BYTES_MAX, Line, Order};
use crate::runner::Done;

/// Why an order was not done.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No agent is there.
    #[error(
        "no agent answers at {} ({source}); start it: `docker compose up -d backup-agent`, or \
         \"Start\" in Container Manager",
        path.display()
    )]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It went away in the middle.
    #[error("the agent went away in the middle; look at its log: `docker logs kotonoha-backup`")]
    Gone,
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
}

/// Asks the agent at `socket` and waits for the end; `progress` hears how far it is.
pub fn call(
    socket: &Path,
    order: Order,
    mut progress: impl FnMut(&str),
) -> Result<Done, CallError> {
    let absent = |source| CallError::Absent { path: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).map_err(absent)?;
    let mut asked = serde_json::to_vec(&order).map_err(|error| absent(io::Error::other(error)))?;
    asked.push(b'\n');
    stream.write_all(&asked).map_err(absent)?;
    let mut answers = BufReader::new(stream);
    loop {
        let mut text = String::new();
        let read = answers.by_ref().take(LINE_BYTES_MAX).read_line(&mut text);
        if read.map_err(|_broken| CallError::Gone)? == 0 {
            return Err(CallError::Gone);
        }
        match serde_json::from_str(&text).map_err(|_damaged| CallError::Gone)? {
            Line::Progress(text) => progress(&text),
            Line::Done { lines, report } => return Ok(Done { lines, report }),
            Line::Failed(error) => return Err(CallError::Failed(error)),
        }
    }
}
