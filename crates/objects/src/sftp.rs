//! A folder on an SSH server as a target, spoken to in process: no `ssh` program is needed.

mod connection;
mod host_key;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use russh_sftp::client::error::Error;
use russh_sftp::client::fs::{File, Metadata};
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

use crate::content::{Chunks, Content};
use crate::fault::{FaultKind, Trouble, chain};
use crate::location::SftpPlace;
use crate::object::Object;
use crate::side::{Answer, PART, Side};
use crate::target::Settings;
use connection::{Connection, Door};

const CHUNK: usize = 256 * 1024;
/// With less room than this, a failure that has no name is a full disk.
const LITTLE_ROOM: u64 = 1024 * 1024;

/// Objects are files below one folder of an SSH server.
pub(crate) struct Sftp {
    door: Door,
    root: String,
    stall: Duration,
    /// The connection while it holds; whoever finds it broken takes it away.
    open: Mutex<Option<Arc<Connection>>>,
}

impl Sftp {
    pub(crate) fn new(place: &SftpPlace, settings: &Settings) -> Result<Self, Trouble> {
        let door = Door::new(place, settings)?;
        let root = place.path.clone();
        Ok(Self { door, root, stall: settings.patience.stall, open: Mutex::new(None) })
    }

    fn at(&self, path: &str) -> String {
        match (self.root.as_str(), path) {
            ("", "") => ".".to_owned(),
            ("", path) => path.to_owned(),
            (root, "") => root.to_owned(),
            (root, path) => format!("{}/{path}", root.trim_end_matches('/')),
        }
    }

    /// The connection there is, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, Trouble> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(Arc::clone(connection));
        }
        *open = None;
        let connecting = self.door.enter();
        let connection = tokio::time::timeout(self.stall, connecting).await.map_err(|late| {
            Trouble::new(FaultKind::Unreachable, format!("no session: {late}"))
        })??;
        let connection = Arc::new(connection);
        *open = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Does the work on a connection, and gives the connection up if it seems to be broken.
    async fn with<T, F>(&self, work: impl FnOnce(Arc<Connection>) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let connection = self.connection().await?;
        let result = work(Arc::clone(&connection)).await;
        if result.as_ref().is_err_and(|trouble| trouble.kind == FaultKind::Unreachable) {
            let mut open = self.open.lock().await;
            if open.as_ref().is_some_and(|now| Arc::ptr_eq(now, &connection)) {
                *open = None;
            }
        }
        result
    }

    async fn write(
        &self,
        connection: &Connection,
        path: &str,
        content: &Content,
    ) -> Result<(), Trouble> {
        let part = self.at(&format!("{path}{PART}"));
        let file = match create(connection, &part).await {
            Err(trouble) if trouble.kind == FaultKind::NotFound => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let made = self.make_folders(connection, folder).await;
                made.map_err(|trouble| self.no_root(trouble))?;
                create(connection, &part).await.map_err(|trouble| self.no_root(trouble))?
            }
            other => other?,
        };
        if let Err(trouble) = fill(file, content).await {
            return Err(self.look_for_room(connection, content, trouble).await);
        }
        let there =
            connection.sftp().metadata(part.as_str()).await.map_err(|error| told(&error))?;
        if there.size != Some(content.length) {
            let size = there.size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
            let text = format!("{} bytes were sent and {size} are there", content.length);
            return Err(Trouble::new(FaultKind::Changed, text));
        }
        connection.replace(&part, &self.at(path)).await
    }

    /// What is missing where something is to be written is the root itself.
    fn no_root(&self, trouble: Trouble) -> Trouble {
        if trouble.kind != FaultKind::NotFound {
            return trouble;
        }
        let text = format!("the folder {} is not there: make it", self.at(""));
        Trouble::new(FaultKind::Unfit, text)
    }

    /// Makes what is missing below the root; the root itself is the operator's.
    async fn make_folders(&self, connection: &Connection, folder: &str) -> Result<(), Trouble> {
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let Some(part) = folder.get(..end).filter(|part| !part.is_empty()) else { continue };
            let at = self.at(part);
            if let Err(error) = connection.sftp().create_dir(at.as_str()).await {
                // That it is there already has no code of its own in SFTP.
                let there = connection.sftp().metadata(at.as_str()).await;
                if !there.is_ok_and(|about| about.is_dir()) {
                    return Err(told(&error));
                }
            }
        }
        Ok(())
    }

    /// SFTP has no code for a full disk, but OpenSSH tells how much room there is.
    async fn look_for_room(
        &self,
        connection: &Connection,
        content: &Content,
        trouble: Trouble,
    ) -> Trouble {
        if trouble.kind != FaultKind::Unfit {
            return trouble;
        }
        match connection.sftp().fs_info(self.at("")).await {
            Ok(Some(about)) => {
                let room = about.blocks_avail.saturating_mul(about.fragment_size);
                if room < LITTLE_ROOM || room < content.length {
                    let text = format!("{room} bytes are free there ({})", trouble.detail);
                    return Trouble::new(FaultKind::NoRoom, text);
                }
                trouble
            }
            _ => trouble,
        }
    }

    async fn begin(
        &self,
        connection: &Connection,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Chunks, Trouble> {
        let mut file = connection.sftp().open(self.at(path)).await.map_err(|error| told(&error))?;
        let (start, length) = range
            .map_or((0, u64::MAX), |range| (range.start, range.end.saturating_sub(range.start)));
        if start > 0 {
            file.seek(std::io::SeekFrom::Start(start)).await.map_err(|error| broke(&error))?;
        }
        Ok(stream::try_unfold(file.take(length), |mut file| async move {
            let mut piece = BytesMut::with_capacity(CHUNK);
            let read = file.read_buf(&mut piece).await.map_err(|error| broke(&error))?;
            Ok((read > 0).then(|| (piece.freeze(), file)))
        })
        .boxed())
    }

    async fn walk(&self, connection: &Connection, prefix: &str) -> Result<Vec<Object>, Trouble> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.to_owned()];
        while let Some(folder) = folders.pop() {
            let at = self.at(folder.trim_end_matches('/'));
            let entries = match connection.sftp().read_dir(at).await.map_err(|error| told(&error)) {
                Err(trouble) if trouble.kind == FaultKind::NotFound && !folder.is_empty() => {
                    continue;
                }
                other => other.map_err(|trouble| self.no_root(trouble))?,
            };
            for entry in entries {
                let (name, about) = (entry.file_name(), entry.metadata());
                if about.is_dir() {
                    folders.push(format!("{folder}{name}/"));
                } else if about.is_regular() && !name.ends_with(PART) {
                    found.push(object(format!("{folder}{name}"), &about));
                }
            }
        }
        Ok(found)
    }
}

impl Side for Sftp {
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()> {
        self.with(move |connection| async move { self.write(&connection, path, content).await })
            .boxed()
    }

    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks> {
        self.with(move |connection| async move { self.begin(&connection, path, range).await })
            .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        self.with(move |connection| async move { self.walk(&connection, prefix).await }).boxed()
    }

    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object> {
        self.with(move |connection| async move {
            let about = connection.sftp().metadata(self.at(path)).await;
            let about = about.map_err(|error| told(&error))?;
            if about.is_dir() {
                return Err(Trouble::new(FaultKind::NotFound, "it is a folder"));
            }
            Ok(object(path.to_owned(), &about))
        })
        .boxed()
    }

    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()> {
        self.with(move |connection| async move {
            connection.sftp().remove_file(self.at(path)).await.map_err(|error| told(&error))
        })
        .boxed()
    }
}

async fn create(connection: &Connection, part: &str) -> Result<File, Trouble> {
    let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
    connection.sftp().open_with_flags(part, flags).await.map_err(|error| told(&error))
}

/// Writes the content and asks for it to be durable.
async fn fill(mut file: File, content: &Content) -> Result<(), Trouble> {
    let mut pieces = content.open().await?;
    while let Some(piece) = pieces.try_next().await? {
        file.write_all(&piece).await.map_err(|error| broke(&error))?;
    }
    // Waits for every answer, and is an fsync where the server knows it.
    file.flush().await.map_err(|error| broke(&error))?;
    content.pulse.beat();
    if let Some(seconds) = content.time_ms.and_then(|ms| u32::try_from(ms / 1000).ok()) {
        let mut times = FileAttributes::empty();
        times.atime = Some(seconds);
        times.mtime = Some(seconds);
        file.set_metadata(times).await.map_err(|error| told(&error))?;
    }
    file.close().await.map_err(|error| broke(&error))
}

fn object(path: String, about: &Metadata) -> Object {
    let modified_ms = about.mtime.map(|seconds| i64::from(seconds) * 1000);
    Object { path, size: about.size.unwrap_or_default(), modified_ms }
}

/// What the server said, in our classes.
fn told(error: &Error) -> Trouble {
    let kind = match error {
        Error::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => FaultKind::NotFound,
            StatusCode::PermissionDenied => FaultKind::Refused,
            StatusCode::NoConnection | StatusCode::ConnectionLost => FaultKind::Unreachable,
            _ => FaultKind::Unfit,
        },
        Error::Limited(_) => FaultKind::Unfit,
        // A session that ended shows itself as a channel of the library's that is closed.
        _ => FaultKind::Unreachable,
    };
    Trouble::new(kind, error)
}

/// What came back inside an error of reading or writing: the library keeps the words alone.
fn broke(error: &std::io::Error) -> Trouble {
    let text = chain(error);
    let said = ["Failure", "Quota", "No space"].iter().any(|word| text.contains(word));
    let kind = if text.contains("No space") || text.contains("Quota") {
        FaultKind::NoRoom
    } else if text.contains("Permission denied") {
        FaultKind::Refused
    } else if text.contains("No such file") {
        FaultKind::NotFound
    } else if said {
        FaultKind::Unfit
    } else {
        FaultKind::Unreachable
    };
    Trouble::new(kind, text)
}
