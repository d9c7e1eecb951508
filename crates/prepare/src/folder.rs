//! An open folder: everything below it is reached name by name, and never through a link.
//!
//! Each step opens one name with `O_NOFOLLOW` on the folder before it, so that no link, old or
//! put there while we run, can lead outside. (`openat2` would say the same in one call, but the
//! kernels of many NAS machines do not have it.)

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, Stat, Uid,
};
use rustix::io::Errno;

/// Who owns what the services use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// An open folder and the path it is shown by.
#[derive(Debug)]
pub(crate) struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NOT_LINKED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
/// A text longer than this is none of ours.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// The marks of Synology's own access lists (`linux/syno_acl_xattr_ds.h`).
const SYNOLOGY_MARKS: [&str; 2] = ["system.syno_acl_self", "system.syno_acl_inherit"];

impl Folder {
    /// Opens the folder everything stands in. It alone may be reached through links.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let descriptor = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self { descriptor, path: path.to_owned() })
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it.
    pub(crate) fn path_of(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// Opens a folder in it.
    pub(crate) fn enter(&self, name: impl AsRef<OsStr>) -> Result<Self, Errno> {
        let descriptor = rustix::fs::openat(
            &self.descriptor,
            name.as_ref().as_bytes(),
            FOLDER | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        Ok(Self { descriptor, path: self.path_of(name) })
    }

    /// Opens a folder in it, which is made first where it is missing: true where it was.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<(Self, bool), Errno> {
        // First, because a read-only disk refuses to make even a folder that is there.
        match self.enter(name) {
            Ok(folder) => return Ok((folder, false)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let outcome = self.with_writing(|| {
            rustix::fs::mkdirat(&self.descriptor, name, Mode::from_raw_mode(mode))
        })?;
        match outcome {
            Ok(()) => Ok((self.enter(name)?, true)),
            Err(Errno::EXIST) => Ok((self.enter(name)?, false)),
            Err(error) => Err(error),
        }
    }

    /// What is known of the folder itself.
    pub(crate) fn look(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&self.descriptor)
    }

    /// What is known of a name in it, links not followed.
    pub(crate) fn look_at(&self, name: impl AsRef<OsStr>) -> Result<Stat, Errno> {
        let name = name.as_ref().as_bytes();
        rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Whether Synology's own access lists decide here, rather than mode bits.
    pub(crate) fn has_synology_list(&self) -> bool {
        let mut nothing = [0_u8; 0];
        SYNOLOGY_MARKS
            .iter()
            .any(|mark| rustix::fs::fgetxattr(&self.descriptor, *mark, &mut nothing).is_ok())
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<Box<CStr>>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name.into());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Gives the folder itself an owner.
    pub(crate) fn own(&self, owner: Owner) -> Result<(), Errno> {
        rustix::fs::fchown(&self.descriptor, Some(uid(owner)), Some(gid(owner)))
    }

    /// Gives a name in it an owner; a link itself, never what it points to.
    pub(crate) fn own_name(
        &self,
        name: impl AsRef<OsStr>,
        user: Option<u32>,
        group: Option<u32>,
    ) -> Result<(), Errno> {
        rustix::fs::chownat(
            &self.descriptor,
            name.as_ref().as_bytes(),
            user.map(Uid::from_raw),
            group.map(Gid::from_raw),
            AtFlags::SYMLINK_NOFOLLOW,
        )
    }

    /// Sets the folder's own mode bits.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        rustix::fs::fchmod(&self.descriptor, Mode::from_raw_mode(mode))
    }

    /// Sets a file's mode bits, by an open file: a link is refused.
    pub(crate) fn set_mode_of(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | NOT_LINKED;
        let file =
            rustix::fs::openat(&self.descriptor, name.as_ref().as_bytes(), flags, Mode::empty())?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
    }

    /// The text of a file in it; none where there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | NOT_LINKED;
        let file = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(|error| errno(&error))?;
        Ok(Some(text))
    }

    /// Writes a file whole or not at all: beside its place, synced, owned, then moved there.
    ///
    /// With `replace` unset, a file that is there stays: false.
    pub(crate) fn write(
        &self,
        name: &str,
        text: &str,
        (owner, mode): (Owner, u32),
        replace: bool,
    ) -> Result<bool, Errno> {
        self.with_writing(|| self.write_beside(name, text, (owner, mode), replace))?
    }

    /// Does something while we may write into the folder, and leaves its mode as it was.
    fn with_writing<T>(&self, work: impl FnOnce() -> T) -> Result<T, Errno> {
        let lent = self.lend_writing()?;
        let outcome = work();
        if let Some(before) = lent {
            self.set_mode(before)?;
        }
        Ok(outcome)
    }

    /// Root writes anywhere; anyone else who owns a folder without the right to write must lend
    /// it to themselves. The mode before, where that was needed.
    fn lend_writing(&self) -> Result<Option<u32>, Errno> {
        let stat = self.look()?;
        let us = rustix::process::geteuid();
        if us.is_root() || us.as_raw() != stat.st_uid || mode(&stat) & 0o200 != 0 {
            return Ok(None);
        }
        self.set_mode(mode(&stat) | 0o200)?;
        Ok(Some(mode(&stat)))
    }

    fn write_beside(
        &self,
        name: &str,
        text: &str,
        (owner, mode): (Owner, u32),
        replace: bool,
    ) -> Result<bool, Errno> {
        let here = &self.descriptor;
        let draft = format!(".{name}.new");
        // What a run that was killed has left; the lock says that nobody else is writing it.
        match rustix::fs::unlinkat(here, &draft, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let outcome = self.write_draft(&draft, text, owner, mode).and_then(|()| {
            if replace {
                rustix::fs::renameat(here, &draft, here, name)?;
                return Ok(true);
            }
            self.move_if_free(&draft, name)
        });
        let written = match outcome {
            Ok(true) => true,
            unmoved => {
                // It may never have been made, and the next run removes it otherwise.
                if let Err(error) = rustix::fs::unlinkat(here, &draft, AtFlags::empty()) {
                    tracing::debug!(%error, "draft was not there");
                }
                unmoved?
            }
        };
        rustix::fs::fsync(here)?;
        Ok(written)
    }

    fn write_draft(&self, name: &str, text: &str, owner: Owner, mode: u32) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NOT_LINKED;
        let file = rustix::fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(text.as_bytes()).map_err(|error| errno(&error))?;
        let now = rustix::fs::fstat(&file)?;
        if (now.st_uid, now.st_gid) != (owner.uid, owner.gid) {
            rustix::fs::fchown(&file, Some(uid(owner)), Some(gid(owner)))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.sync_all().map_err(|error| errno(&error))
    }

    fn move_if_free(&self, draft: &str, name: &str) -> Result<bool, Errno> {
        let here = &self.descriptor;
        match rustix::fs::renameat_with(here, draft, here, name, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            // Not every file system knows it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
        match self.look_at(name) {
            Ok(_there) => Ok(false),
            Err(Errno::NOENT) => rustix::fs::renameat(here, draft, here, name).map(|()| true),
            Err(error) => Err(error),
        }
    }

    /// Waits until no other `prepare` works here, and keeps others out while it lives.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        match rustix::fs::flock(&self.descriptor, FlockOperation::LockExclusive) {
            // A file system without locks is rare, and two runs at once are rarer.
            Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The kind of what `stat` saw.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// The permission bits of what `stat` saw.
pub(crate) fn mode(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

fn uid(owner: Owner) -> Uid {
    Uid::from_raw(owner.uid)
}

fn gid(owner: Owner) -> Gid {
    Gid::from_raw(owner.gid)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
