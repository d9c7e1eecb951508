//! The folder that people edit: seeded where it is empty, readable for the services, never taken
//! away from its owner.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::folder::{Folder, Owner, kind, mode};
use crate::report::{Report, words};

const PERSONAS: [(&str, &str); 2] = [
    ("ja.md", include_str!("../../../deploy/personas/ja.md")),
    ("en.md", include_str!("../../../deploy/personas/en.md")),
];
const SETTINGS: &str = include_str!("../../../deploy/config/settings.toml");
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
/// Deep enough for what people sort into folders.
const DEPTH_MAX: usize = 8;

/// Makes `config/` in `root`, seeds what is missing, and lets the services read it.
pub(crate) fn prepare(root: &Folder, owner: Owner, report: &mut Report) {
    let path = root.path_of("config");
    let Some((config, made)) = report.take(&path, "make it", root.make("config", FOLDER_MODE))
    else {
        return;
    };
    if made {
        report.did(format!("{} made", path.display()));
        report.take(&path, "own it", config.own(owner));
        report.take(&path, "set its mode", config.set_mode(FOLDER_MODE));
    }
    seed(&config, "settings.toml", SETTINGS, owner, report);
    match config.make("personas", FOLDER_MODE) {
        Ok((personas, made)) => {
            if made {
                report.take(personas.path(), "own it", follow(&config, &personas, owner));
            }
            for (name, text) in PERSONAS {
                seed(&personas, name, text, owner, report);
            }
        }
        Err(error) => seedless(&config, "personas", error, report),
    }
    readable(&config, owner, report, 0);
}

/// What we make belongs to whoever owns the folder, so that they can edit it.
fn follow(parent: &Folder, made: &Folder, owner: Owner) -> Result<(), Errno> {
    let person = parent.look()?;
    let owner =
        if person.st_uid == 0 { owner } else { Owner { uid: person.st_uid, gid: owner.gid } };
    made.own(owner)?;
    made.set_mode(FOLDER_MODE)
}

/// Writes a file that is missing; what is there is the person's own.
fn seed(folder: &Folder, name: &str, text: &str, owner: Owner, report: &mut Report) {
    if folder.look_at(name).is_ok() {
        return;
    }
    let person = folder.look().map_or(owner.uid, |stat| stat.st_uid);
    let person = if person == 0 { owner.uid } else { person };
    let owner = Owner { uid: person, gid: owner.gid };
    match folder.write(name, text, (owner, FILE_MODE), false) {
        Ok(true) => report.did(format!("{} written", folder.path_of(name).display())),
        Ok(false) => {}
        Err(error) => seedless(folder, name, error, report),
    }
}

/// Nothing in `config/` is needed for a start: everything has a default.
fn seedless(folder: &Folder, name: &str, error: Errno, report: &mut Report) {
    report.warn(
        &folder.path_of(name),
        words(format!("could not be written ({error})"), format!("を書けませんでした（{error}）")),
        words(
            "the built-in one is used; to have one to edit, make the folder writable and start \
             `prepare` again",
            "備えつけのものを使います。編集したいときは、フォルダに書き込めるようにしてから、\
             もう一度 `prepare` を動かしてください",
        ),
    );
}

/// Gives the services' group the right to read, and leaves owner and other rights as they are.
fn readable(folder: &Folder, owner: Owner, report: &mut Report, depth: usize) {
    let path = folder.path().to_owned();
    if let Err(error) = open_up(folder, owner) {
        unreadable(&path, error, report);
        return;
    }
    let Ok(names) = folder.names() else { return };
    let disk = folder.look().map(|stat| stat.st_dev).ok();
    for name in names {
        let name = OsStr::from_bytes(name.to_bytes());
        let Ok(stat) = folder.look_at(name) else { continue };
        match kind(&stat) {
            FileType::Directory if depth < DEPTH_MAX && Some(stat.st_dev) == disk => {
                match folder.enter(name) {
                    Ok(inner) => readable(&inner, owner, report, depth + 1),
                    Err(error) => unreadable(&folder.path_of(name), error, report),
                }
            }
            FileType::RegularFile if stat.st_nlink == 1 => {
                let outcome = match needed(mode(&stat), (stat.st_uid, stat.st_gid), owner, 0o4) {
                    None => Ok(()),
                    Some((group, bits)) => folder
                        .own_name(name, None, group)
                        .and_then(|()| folder.set_mode_of(name, bits)),
                };
                if let Err(error) = outcome {
                    unreadable(&folder.path_of(name), error, report);
                }
            }
            _ => {}
        }
    }
}

fn open_up(folder: &Folder, owner: Owner) -> Result<(), Errno> {
    let stat = folder.look()?;
    let list = folder.has_synology_list();
    match needed(mode(&stat), (stat.st_uid, stat.st_gid), owner, 0o5) {
        None if !list => Ok(()),
        None => folder.set_mode(mode(&stat)),
        Some((group, bits)) => {
            if let Some(gid) = group {
                folder.own(Owner { uid: stat.st_uid, gid })?;
            }
            folder.set_mode(bits)
        }
    }
}

/// What must change so that the services may use `bits` (read, or read and enter): the group,
/// where it is another, and the mode. None where they may already.
fn needed(
    mode: u32,
    (uid, gid): (u32, u32),
    owner: Owner,
    bits: u32,
) -> Option<(Option<u32>, u32)> {
    let allowed = if uid == owner.uid {
        mode >> 6
    } else if gid == owner.gid {
        mode >> 3
    } else {
        mode
    };
    if allowed & bits == bits {
        return None;
    }
    if uid == owner.uid {
        return Some((None, mode | (bits << 6)));
    }
    Some(((gid != owner.gid).then_some(owner.gid), mode | (bits << 3)))
}

fn unreadable(path: &std::path::Path, error: Errno, report: &mut Report) {
    report.warn(
        path,
        words(
            format!("may not be readable for the services ({error})"),
            format!("を、サービスが読めないかもしれません（{error}）"),
        ),
        words(
            "let everyone read it (File Station: Properties → Permission), or make the folder \
             writable for `prepare` once",
            "File Station の「プロパティ」→「権限」で、だれでも読めるようにしてください",
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner = Owner { uid: 1000, gid: 1000 };

    #[test]
    fn a_person_s_file_stays_theirs_and_the_services_get_to_read_it() {
        assert_eq!(needed(0o600, (1026, 100), OWNER, 4), Some((Some(1000), 0o640)));
        assert_eq!(needed(0o700, (1026, 100), OWNER, 5), Some((Some(1000), 0o750)));
        assert_eq!(needed(0o640, (1026, 1000), OWNER, 4), None);
        assert_eq!(needed(0o600, (1026, 1000), OWNER, 4), Some((None, 0o640)));
        assert_eq!(needed(0o644, (0, 0), OWNER, 4), None);
        assert_eq!(needed(0o000, (1000, 1000), OWNER, 4), Some((None, 0o400)));
    }
}
