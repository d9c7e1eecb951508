//! What can stand in the way of using a database file, in words for the operator.

use std::path::{Path, PathBuf};

use crate::revisions::Mismatch;

/// A database that cannot be used, or not be changed, as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder does not take files.
    #[error("{} cannot hold the database: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is something else.
    #[error("{} is not a database of this service", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The tables are those of a newer release, and this one cannot work with them.
    #[error(
        "{} is at revision {database:04}{}, and this release knows revisions up to {program:04}",
        path.display(),
        release.as_ref().map(|release| format!(" (made by release {release})")).unwrap_or_default()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The newest revision of the file.
        database: i64,
        /// The newest revision that this program knows.
        program: i64,
        /// The release that brought the file there, where it is known.
        release: Option<String>,
    },
    /// A revision is not what it was when it was applied.
    #[error("revision {version:04} of {} was applied in another wording than this release has", path.display())]
    Edited {
        /// The file.
        path: PathBuf,
        /// The revision.
        version: i64,
    },
    /// A revision below the newest one was never applied.
    #[error("{} is at revision {database:04}, and revision {missing:04} was never applied", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The revision that is missing.
        missing: i64,
        /// The newest revision of the file.
        database: i64,
    },
    /// A revision did not go through; the file is as it was.
    #[error("revision {version:04} cannot be applied to {}: {reason}; nothing was changed", path.display())]
    Revision {
        /// The file.
        path: PathBuf,
        /// The revision.
        version: i64,
        /// What SQLite said.
        reason: String,
    },
    /// SQLite finds the file damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first fault that was found.
        reason: String,
    },
    /// A migration has had the file for itself for too long.
    #[error("{} is being migrated by another process", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The service has the file open, and the change would pull the tables from under it.
    #[error("{} is in use by {service}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The service.
        service: &'static str,
    },
    /// The copy that guards every change has no room.
    #[error(
        "{} has no room for the copy that is made before every change: {needed} bytes are needed, \
         {free} are free; nothing was changed",
        path.display()
    )]
    NoRoom {
        /// The folder of the copies.
        path: PathBuf,
        /// What the copy needs.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The copy that guards every change could not be made.
    #[error("{} takes no copy of the database: {reason}; nothing was changed", path.display())]
    Copy {
        /// The folder of the copies.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Anything else, a full disk among it.
    #[error("{} cannot be opened: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl OpenError {
    /// What SQLite refused to do with `path`.
    pub fn unusable(path: &Path, error: &sqlx::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        // SQLite's primary result code is the low byte of the extended one: CORRUPT and NOTADB.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let code = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
        match code {
            Some(11 | 26) => Self::Damaged { path, reason },
            _ => Self::Unusable { path, reason },
        }
    }

    pub(crate) fn mismatch(path: &Path, mismatch: Mismatch) -> Self {
        let path = path.to_owned();
        match mismatch {
            Mismatch::Newer { database, program, release } => {
                Self::Newer { path, database, program, release }
            }
            Mismatch::Edited(version) => Self::Edited { path, version },
            Mismatch::Gap { missing, database } => Self::Gap { path, missing, database },
        }
    }

    /// What the operator can do now: English, Japanese.
    pub fn remedies(&self) -> (String, String) {
        if let Self::InUse { service, .. } = self {
            return (
                format!(
                    "stop the bot first (`docker compose stop {service}`), then run this again in \
                     a container of its own (`docker compose run --rm {service} …`)"
                ),
                format!(
                    "先にボットを止めて（docker compose stop {service}）、別のコンテナで\
                     もう一度実行してください（docker compose run --rm {service} …）"
                ),
            );
        }
        let (english, japanese) = self.words();
        (english.to_owned(), japanese.to_owned())
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Folder { .. } => (
                "create the folder and let this user write into it, or set DATABASE_PATH to a \
                 file in another one",
                "フォルダを作って書き込めるようにするか、DATABASE_PATH を別の場所にしてください",
            ),
            Self::NotOurs { .. } => (
                "set DATABASE_PATH to a file of its own; this one is untouched",
                "DATABASE_PATH に専用のファイルを指定してください。このファイルには触れていません",
            ),
            Self::Newer { .. } => (
                "start the release that wrote it (or a newer one); or run that release's \
                 `migrate downgrade` down to the revision this one knows; or put back a copy from \
                 before-migration/. This file is untouched",
                "このファイルを書いたリリース（またはより新しいもの）を起動するか、そのリリースの \
                 migrate downgrade で戻すか、before-migration/ のコピーを戻してください。\
                 このファイルには触れていません",
            ),
            Self::Edited { .. } => (
                "start the release that applied it; a revision is never changed after its release, \
                 only followed by another. In an emergency, when you are sure that the tables are \
                 right: `migrate stamp`",
                "適用したリリースを起動してください。表が正しいと確かなときだけ、緊急手段として \
                 migrate stamp があります",
            ),
            Self::Gap { .. } => (
                "put back a copy from before-migration/; in an emergency, when you are sure that \
                 the tables are right: `migrate stamp`",
                "before-migration/ のコピーを戻してください。表が正しいと確かなときだけ、緊急手段として \
                 migrate stamp があります",
            ),
            Self::Revision { .. } => (
                "start the release that ran before, and report this; the database is as it was, \
                 and a copy of it stands in before-migration/",
                "前のリリースを起動して、この記録を知らせてください。データは元のままで、\
                 before-migration/ にコピーもあります",
            ),
            Self::Damaged { .. } => (
                "put a whole backup in its place while the service is stopped: a copy that was \
                 made of a running service with `cp` may be torn",
                "サービスを止めてから、壊れていないバックアップを置いてください。\
                 動作中に cp で取ったコピーは壊れていることがあります",
            ),
            Self::Held { .. } | Self::InUse { .. } => (
                "wait until `migrate` has ended, then start again",
                "migrate が終わるのを待ってから、もう一度起動してください",
            ),
            Self::NoRoom { .. } => (
                "free space on this disk: old backups, old logs, files in before-migration/",
                "このディスクの空きを増やしてください（古いバックアップ、ログ、before-migration/ など）",
            ),
            Self::Copy { .. } => (
                "check that the folder can be written and the disk is healthy; if the file itself \
                 is damaged, restore a backup",
                "フォルダに書き込めること、ディスクに問題がないことを確かめてください。\
                 ファイルが壊れている場合はバックアップを戻してください",
            ),
            Self::Unusable { .. } => (
                "check free space and permissions of DATABASE_PATH and that no other program \
                 holds it; restore a backup if the file is damaged",
                "DATABASE_PATH の空き容量と権限、ほかのプログラムが使っていないことを確かめてください。\
                 壊れている場合はバックアップを戻してください",
            ),
        }
    }
}
