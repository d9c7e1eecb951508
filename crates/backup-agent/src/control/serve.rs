//! The agent's side of the socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{LINE_BYTES_MAX, Line, Order};
use crate::runner::Counter;

/// Who asks may do so at this end only.
const MODE: u32 = 0o600;

/// Why the agent cannot be asked anything.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another agent answers there.
    #[error(
        "{} is answered by an agent that runs already; stop that one, or set BACKUP_SOCKET to \
         another path",
        .0.display()
    )]
    Taken(PathBuf),
    /// The socket cannot be made.
    #[error(
        "{} cannot be made: {source}; set BACKUP_SOCKET to a short path in a folder on a local \
         disk that this user may write to",
        path.display()
    )]
    Unmade {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The open socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Opens the socket; what a dead agent left there is removed.
    pub async fn open(path: &Path) -> Result<Self, ServeError> {
        let unmade = |source| ServeError::Unmade { path: path.to_owned(), source };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(ServeError::Taken(path.to_owned()));
                }
                fs::remove_file(path).map_err(unmade)?;
                UnixListener::bind(path).map_err(unmade)?
            }
            bound => bound.map_err(unmade)?,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(unmade)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until `stop`.
    pub async fn serve(self, counter: Counter, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.listener.accept()).await {
                None => break,
                Some(Ok((stream, _address))) => {
                    let (counter, stop) = (counter.clone(), stop.clone());
                    tokio::spawn(async move {
                        let answered = stop.run_until_cancelled(answer(stream, counter)).await;
                        if let Some(Err(error)) = answered {
                            tracing::debug!(%error, "whoever asked went away");
                        }
                    });
                }
                Some(Err(error)) => tracing::warn!(%error, "cannot take a command"),
            }
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket is left");
        }
    }
}

async fn answer(stream: UnixStream, counter: Counter) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut asked = String::new();
    BufReader::new(reading.take(LINE_BYTES_MAX)).read_line(&mut asked).await?;
    let Order::Do(job) = match serde_json::from_str(&asked) {
        Ok(order) => order,
        Err(error) => {
            let words = format!("the command is not understood ({error}); use the same release");
            return say(&mut writing, &Line::Failed(words)).await;
        }
    };
    let (progress, mut heard) = mpsc::unbounded_channel();
    let mut asking = std::pin::pin!(counter.ask(job, progress));
    let ended = loop {
        tokio::select! {
            biased;
            Some(text) = heard.recv() => say(&mut writing, &Line::Progress(text)).await?,
            ended = &mut asking => break ended,
        }
    };
    let last = match ended {
        Ok(done) => Line::Done { lines: done.lines, report: done.report },
        Err(error) => Line::Failed(error),
    };
    say(&mut writing, &last).await
}

async fn say(writing: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writing.write_all(&text).await
}
