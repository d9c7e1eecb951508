//! What is sent: bytes or a file, as a stream that can be begun again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::fault::{FaultKind, Trouble};

/// How much of a file is in memory at a time.
const CHUNK: usize = 256 * 1024;

/// A stream of bytes with the faults of whoever gives them.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, Trouble>>;

/// One thing to send.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    source: Source,
    /// How many bytes it has.
    pub(crate) length: u64,
    /// When its content was written, in milliseconds since 1970: kept with the object.
    pub(crate) time_ms: Option<i64>,
    /// Beats with every piece that is taken.
    pub(crate) pulse: Pulse,
}

#[derive(Clone, Debug)]
enum Source {
    Bytes(Bytes),
    File(PathBuf),
}

impl Content {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self { source: Source::Bytes(bytes), length, time_ms: None, pulse: Pulse::default() }
    }

    /// The file as it is now; that it changes while it is sent is a fault.
    pub(crate) async fn of_file(path: &Path) -> Result<Self, Trouble> {
        let about = tokio::fs::metadata(path)
            .await
            .map_err(|error| Trouble::local("look at", path, &error))?;
        let time_ms = about
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_millis()).ok());
        let source = Source::File(path.to_path_buf());
        Ok(Self { source, length: about.len(), time_ms, pulse: Pulse::default() })
    }

    /// The content from its beginning, in pieces; as often as it is needed.
    pub(crate) async fn open(&self) -> Result<Chunks, Trouble> {
        let pulse = self.pulse.clone();
        match &self.source {
            Source::Bytes(bytes) => {
                let pieces: Vec<_> = (0..bytes.len())
                    .step_by(CHUNK)
                    .map(|from| bytes.slice(from..bytes.len().min(from + CHUNK)))
                    .collect();
                Ok(stream::iter(pieces)
                    .map(move |piece| {
                        pulse.beat();
                        Ok(piece)
                    })
                    .boxed())
            }
            Source::File(path) => {
                let file =
                    File::open(path).await.map_err(|error| Trouble::local("open", path, &error))?;
                let reading =
                    Reading { file, path: path.clone(), left: self.length, pulse, ended: false };
                Ok(stream::try_unfold(reading, Reading::next).boxed())
            }
        }
    }
}

/// A file on its way.
struct Reading {
    file: File,
    path: PathBuf,
    /// How many bytes the file had when it was looked at, less those that were given.
    left: u64,
    pulse: Pulse,
    ended: bool,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Trouble> {
        if self.ended {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(CHUNK);
        while piece.len() < CHUNK {
            let read = self
                .file
                .read_buf(&mut piece)
                .await
                .map_err(|error| Trouble::local("read", &self.path, &error))?;
            if read == 0 {
                self.ended = true;
                break;
            }
        }
        self.pulse.beat();
        let other_length = || {
            let text = format!("{} got another length while it was sent", self.path.display());
            Trouble::new(FaultKind::Changed, text)
        };
        self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(other_length)?;
        if self.ended && self.left > 0 {
            return Err(other_length());
        }
        if piece.is_empty() { Ok(None) } else { Ok(Some((piece.freeze(), self))) }
    }
}

/// A sign of life of a transfer: it counts, and whoever watches sees whether it counts on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Does the work, and gives it up once nothing has moved for `stall`.
    pub(crate) async fn watch<T>(
        &self,
        stall: Duration,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        tokio::pin!(work);
        loop {
            let before = self.0.load(Ordering::Relaxed);
            match tokio::time::timeout(stall, &mut work).await {
                Ok(result) => return result,
                Err(_) if self.0.load(Ordering::Relaxed) != before => {}
                Err(_) => {
                    let text = format!("nothing moved for {} s", stall.as_secs_f32());
                    return Err(Trouble::new(FaultKind::Unreachable, text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    async fn taken(content: &Content) -> Result<usize, Trouble> {
        let pieces: Vec<_> = content.open().await?.try_collect().await?;
        Ok(pieces.iter().map(Bytes::len).sum())
    }

    #[tokio::test]
    async fn a_file_can_be_sent_twice_and_is_cut_into_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            std::fs::write(&path, vec![7; length]).unwrap();
            let content = Content::of_file(&path).await.unwrap();
            assert_eq!(taken(&content).await.unwrap(), length);
            assert_eq!(taken(&content).await.unwrap(), length);
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_its_length_is_not_sent_as_if_it_had_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for other in [9, 11] {
            std::fs::write(&path, vec![7; 10]).unwrap();
            let content = Content::of_file(&path).await.unwrap();
            std::fs::write(&path, vec![7; other]).unwrap();
            assert_eq!(taken(&content).await.unwrap_err().kind, FaultKind::Changed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_moves_may_take_long_and_work_that_stands_still_may_not() {
        let stall = Duration::from_secs(10);
        let pulse = Pulse::default();
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                pulse.beat();
            }
            Ok(())
        };
        pulse.watch(stall, slow).await.unwrap();
        let stuck = pulse.watch(stall, std::future::pending::<Result<(), Trouble>>());
        assert_eq!(stuck.await.unwrap_err().kind, FaultKind::Unreachable);
    }
}
