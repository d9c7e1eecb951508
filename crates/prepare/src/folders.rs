//! `prepare folders`: the four folders, owned and readable as the services need them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::config_folder;
use crate::folder::{Folder, Owner, kind, mode};
use crate::report::{Report, words};
use crate::secrets;

/// What `prepare folders` works on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The project folder: `config/ data/ logs/ backups/` stand in it, and perhaps `.env`.
    pub root: PathBuf,
    /// The user and group the services run as.
    pub owner: Owner,
}

/// The services that keep files of their own under `data/`.
pub const SERVICES: [&str; 5] =
    ["nats", "gateway", "conversation-worker", "backup-agent", "health-aggregator"];

/// Everybody may look at logs; conversations are for the services alone.
const OPEN: u32 = 0o755;
const CLOSED: u32 = 0o750;
/// The permission bits with which others may write.
const OTHERS_WRITE: u32 = 0o002;
/// The permission bits with which others, the group included, may read.
const OTHERS_READ: u32 = 0o044;
/// A tree deeper than this is none of ours.
const DEPTH_MAX: usize = 64;

/// Makes and owns the folders, generates the secrets, seeds the settings. Running it again changes
/// nothing that is right.
pub fn prepare(ground: &Ground) -> Report {
    let mut report = Report::default();
    let Some(root) = report.take(&ground.root, "open it", Folder::open(&ground.root)) else {
        return report;
    };
    if let Some(()) = report.take(&ground.root, "lock it", root.lock()) {
        all(&root, ground.owner, &mut report);
    }
    report
}

fn all(root: &Folder, owner: Owner, report: &mut Report) {
    config_folder::prepare(root, owner, report);
    if let Some(data) = top(root, "data", CLOSED, owner, report) {
        for service in SERVICES {
            // One by one, so that each may be a disk of its own.
            if let Some(folder) = top(&data, service, CLOSED, owner, report) {
                settle(&folder, owner, report, 0);
            }
        }
        secrets::prepare(root, &data, owner, report);
    }
    if let Some(logs) = top(root, "logs", OPEN, owner, report) {
        settle(&logs, owner, report, 0);
    }
    if let Some(backups) = top(root, "backups", CLOSED, owner, report) {
        settle(&backups, owner, report, 0);
    }
    warn_of_exposed_env(root, report);
}

/// Makes a folder where it is missing, and brings it to its owner and mode.
pub(crate) fn top(
    parent: &Folder,
    name: &str,
    bits: u32,
    owner: Owner,
    report: &mut Report,
) -> Option<Folder> {
    let path = parent.path_of(name);
    let (folder, made) = report.take(&path, "make it", parent.make(name, bits))?;
    let stat = report.take(&path, "look at it", folder.look())?;
    if (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid) {
        report.take(&path, "own it", folder.own(owner))?;
        if !made {
            report.did(format!(
                "{} now belongs to {}:{} (before: {}:{})",
                path.display(),
                owner.uid,
                owner.gid,
                stat.st_uid,
                stat.st_gid
            ));
        }
    }
    // Setting the mode also takes a folder out of Synology's access lists, which would not let a
    // user in that DSM does not know.
    if mode(&stat) != bits || folder.has_synology_list() {
        report.take(&path, "set its mode", folder.set_mode(bits))?;
        if !made {
            let before = mode(&stat);
            report.did(format!("{} now has mode {bits:o} (before: {before:o})", path.display()));
        }
    }
    if made {
        report.did(format!("{} made", path.display()));
    }
    Some(folder)
}

/// Hands everything below `folder` to its owner: what was copied here from elsewhere, or written
/// by an older version under another user.
fn settle(folder: &Folder, owner: Owner, report: &mut Report, depth: usize) {
    let path = folder.path().to_owned();
    let Some(names) = report.take(&path, "list it", folder.names()) else { return };
    let Some(disk) = report.take(&path, "look at it", folder.look()).map(|stat| stat.st_dev) else {
        return;
    };
    for name in names {
        let name = OsStr::from_bytes(name.to_bytes());
        let path = folder.path_of(name);
        let stat = match folder.look_at(name) {
            Ok(stat) => stat,
            // A running service may remove its own files meanwhile.
            Err(Errno::NOENT) => continue,
            Err(error) => {
                report.refused(&path, "look at it", error);
                continue;
            }
        };
        if let Some(why) = not_ours(&stat, disk, depth, owner) {
            let remedy = words(
                "it was left as it is; move it elsewhere if a service should use it",
                "そのままにしてあります。サービスに使わせたいときは、別の場所に移してください",
            );
            report.warn(&path, why, remedy);
            continue;
        }
        let outcome = settle_one(folder, name, &stat, owner);
        report.take(&path, "hand it over", outcome);
        if kind(&stat) == FileType::Directory
            && let Some(inner) = report.take(&path, "open it", folder.enter(name))
        {
            settle(&inner, owner, report, depth + 1);
        }
    }
}

fn settle_one(folder: &Folder, name: &OsStr, stat: &Stat, owner: Owner) -> Result<(), Errno> {
    if (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid) {
        folder.own_name(name, Some(owner.uid), Some(owner.gid))?;
    }
    let wanted = usable(mode(stat), kind(stat) == FileType::Directory);
    if wanted == mode(stat) {
        return Ok(());
    }
    match kind(stat) {
        FileType::Directory => folder.enter(name)?.set_mode(wanted),
        FileType::RegularFile => folder.set_mode_of(name, wanted),
        // The mode of a link means nothing, and that of a socket is its service's affair.
        _ => Ok(()),
    }
}

/// The bits with which the owner can work and nobody else can write.
fn usable(mode: u32, folder: bool) -> u32 {
    let own = if folder { 0o700 } else { 0o600 };
    (mode | own) & !OTHERS_WRITE
}

/// Why something below our folders is left alone.
fn not_ours(stat: &Stat, disk: u64, depth: usize, owner: Owner) -> Option<chassis::Words> {
    if stat.st_dev != disk && kind(stat) == FileType::Directory {
        return Some(words("is another disk mounted here", "は、ここにつながれた別のディスクです"));
    }
    if depth >= DEPTH_MAX {
        return Some(words("lies too deep", "は、フォルダの奥深くにありすぎます"));
    }
    // A second name of a file elsewhere: who owns it there would lose it.
    let foreign = (stat.st_uid, stat.st_gid) != (owner.uid, owner.gid);
    if kind(stat) == FileType::RegularFile && stat.st_nlink > 1 && foreign {
        return Some(words(
            "has another name elsewhere (a hard link) and another owner",
            "は、別の場所にも名前があり（ハードリンク）、持ち主も違います",
        ));
    }
    None
}

/// `.env` holds the bot's token. That others may read it is worth a word, never a dead end.
fn warn_of_exposed_env(root: &Folder, report: &mut Report) {
    let Ok(stat) = root.look_at(".env") else { return };
    if kind(&stat) != FileType::RegularFile || mode(&stat) & OTHERS_READ == 0 {
        return;
    }
    let bits = mode(&stat);
    report.warn(
        Path::new(".env"),
        words(
            format!("can be read by others on this machine (mode {bits:o})"),
            format!("は、この機器のほかの利用者にも読めます（モード {bits:o}）"),
        ),
        words(
            "it works like this; to be safer, let only yourself read it: in File Station, \
             Properties → Permission, or `chmod 600 .env`",
            "このままでも動きます。File Station の「プロパティ」→「権限」で、自分だけが\
             読めるようにすると、より安全です",
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::usable;

    #[test]
    fn the_owner_can_work_and_others_cannot_write() {
        assert_eq!(usable(0o777, true), 0o775);
        assert_eq!(usable(0o500, true), 0o700);
        assert_eq!(usable(0o666, false), 0o664);
        assert_eq!(usable(0o400, false), 0o600);
        assert_eq!(usable(0o640, false), 0o640);
    }
}
