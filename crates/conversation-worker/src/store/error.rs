//! What can go wrong with the database, as far as a caller must tell it apart.

use std::sync::Arc;

use database::Exchanged;

/// A step that was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no room, or the disk refuses: nothing was changed, later may be better.
    #[error("the database cannot grow: {0}")]
    Full(Arc<str>),
    /// The disk or the file refuses to be written.
    #[error("the database cannot be written: {0}")]
    Disk(Arc<str>),
    /// Another process held the database for too long.
    #[error("the database is held by another process: {0}")]
    Busy(Arc<str>),
    /// The file was exchanged while it was in use: nothing is written until the next start.
    #[error("{0}")]
    Exchanged(#[from] Exchanged),
    /// Another process has taken the turn over: whatever we were about to write is void.
    #[error("the turn was taken over by another process")]
    Fenced,
    /// The worker is stopping.
    #[error("the database is closed")]
    Closed,
    /// A mistake of ours, or a damaged file.
    #[error("the database refused a step: {0}")]
    Refused(Arc<str>),
}

impl StoreError {
    /// Whether the same step may work later without any change to it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Disk(_) | Self::Busy(_) | Self::Exchanged(_))
    }

    /// What the operator can do now: English, Japanese.
    pub fn remedies(&self) -> (&'static str, &'static str) {
        match self {
            Self::Full(_) => (
                "free space on the disk that holds DATABASE_PATH; nothing is lost",
                "DATABASE_PATH のあるディスクの空きを増やしてください。失われたものはありません",
            ),
            Self::Disk(_) => (
                "check that the disk of DATABASE_PATH is there, healthy and writable; nothing is \
                 lost meanwhile",
                "DATABASE_PATH のディスクがつながっていて書き込めるか確かめてください。\
                 その間も失われるものはありません",
            ),
            Self::Busy(_) => (
                "end the other process that holds DATABASE_PATH open for writing",
                "DATABASE_PATH を書き込み用に開いている別のプロセスを終わらせてください",
            ),
            Self::Exchanged(how) => how.remedies(),
            Self::Fenced => (
                "none: the other process goes on with the turn",
                "何もいりません。別のプロセスが続けています",
            ),
            Self::Closed => {
                ("none: the service is stopping", "何もいりません。サービスが止まるところです")
            }
            Self::Refused(_) => (
                "read the service's log; if the file is damaged, restore a backup",
                "サービスのログを見てください。ファイルが壊れているときは、バックアップから戻してください",
            ),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text: Arc<str> = error.to_string().into();
        // SQLite's primary result code is the low byte of the extended one.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<u32>().ok())
            .map(|code| code & 0xff);
        match (code, &error) {
            (Some(13), _) => Self::Full(text),
            (Some(8 | 10 | 14), _) | (None, sqlx::Error::Io(_)) => Self::Disk(text),
            (Some(5 | 6), _) => Self::Busy(text),
            (None, sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed) => Self::Closed,
            _ => Self::Refused(text),
        }
    }
}
