//! Whether a folder can be written, and if not, whose it is and what to do.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, Verdict};
use crate::words::Words;

/// Looks whether the folder `path` that the setting `key` names takes files; it is made if need be.
///
/// A full disk is no finding: it passes, and what writes there must live with it anyway.
pub fn look(key: &str, path: &Path) -> Option<Finding> {
    match probe(path) {
        Err(error) if !is_full(&error) => {
            let (problem, remedy) = diagnose(path, &error);
            Verdict::Unfit { problem, remedy }.about(key)
        }
        _ => None,
    }
}

/// Makes the folder and a file in it, which is removed again.
fn probe(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let probe = path.join(format!(".write-probe-{}", std::process::id()));
    drop(OpenOptions::new().write(true).create(true).truncate(true).open(&probe)?);
    match fs::remove_file(&probe) {
        // Another process, number 1 of its own container, had the same name and was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Whether an error only says that there is no room now.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Problem and remedy for a folder that refused with `error`.
pub(crate) fn diagnose(path: &Path, error: &io::Error) -> (Words, Words) {
    let place = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let (uid, gid) =
                (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let owner = owner(path);
            let english = owner.as_ref().map_or(String::new(), |(whose, owner, mode)| {
                format!("; {whose} belongs to uid {} gid {} with mode {mode:o}", owner.0, owner.1)
            });
            let japanese = owner.map_or(String::new(), |(whose, owner, mode)| {
                format!("({whose} の所有者は uid {} gid {}、モード {mode:o})", owner.0, owner.1)
            });
            let problem = (
                format!(
                    "is {place}, which this process (uid {uid} gid {gid}) cannot write{english}"
                ),
                format!(
                    "は {place} ですが、このプロセス(uid {uid} gid {gid})には書き込めません{japanese}"
                ),
            );
            (problem.into(), ownership_remedy(uid, gid))
        }
        io::ErrorKind::ReadOnlyFilesystem => (
            (
                format!("is {place}, which is mounted read-only"),
                format!("は {place} ですが、読み取り専用でマウントされています"),
            )
                .into(),
            (
                "remove `:ro` from the volume in compose.yaml; if the disk itself turned \
                 read-only, look at its health first",
                "compose.yaml のボリュームから `:ro` を外してください。ディスク自体が読み取り専用に\
                 なったときは、まずディスクの状態を確かめてください",
            )
                .into(),
        ),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => (
            (
                format!("is {place}, where a file stands in the way of the folder"),
                format!("は {place} ですが、同じ名前のファイルがあるためフォルダを作れません"),
            )
                .into(),
            (
                "move that file away, or name a folder this user may write to",
                "そのファイルを移動するか、書き込めるフォルダを指定してください",
            )
                .into(),
        ),
        _ => (
            (
                format!("is {place}, which cannot be written: {error}"),
                format!("は {place} ですが、書き込めません: {error}"),
            )
                .into(),
            ("name a folder this user may write to", "書き込めるフォルダを指定してください").into(),
        ),
    }
}

fn ownership_remedy(uid: u32, gid: u32) -> Words {
    (
        format!(
            "on a NAS without a terminal: stop the project in Container Manager and build it \
             again, its `prepare` container then gives the folders to uid {uid}; on a terminal: \
             `sudo chown -R {uid}:{gid}` the folder; or name a folder this user may write to"
        ),
        format!(
            "端末のない NAS では、Container Manager でプロジェクトを停止してからもう一度「構築」して\
             ください(`prepare` コンテナがフォルダの所有者を uid {uid} に直します)。端末があれば \
             `sudo chown -R {uid}:{gid}` を実行するか、書き込めるフォルダを指定してください"
        ),
    )
        .into()
}

/// The nearest of the folder and those above it that can be looked at: its name, owner and mode.
fn owner(path: &Path) -> Option<(String, (u32, u32), u32)> {
    path.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let metadata = fs::metadata(folder).ok()?;
        let owner = (metadata.uid(), metadata.gid());
        Some((folder.display().to_string(), owner, metadata.mode() & 0o7777))
    })
}
