//! What must be true before a live database is followed: a SQLite without a known fault, and a file
//! system that keeps SQLite's promises between containers.
//!
//! `chassis` judges the file system under a service's own database, and takes some that this gate
//! refuses: one process alone may do well on a shared folder, two containers with one log do not.

mod mounts;

use std::io;
use std::path::Path;

/// The first SQLite in which a checkpoint by another process cannot damage the log (its bug of
/// 3.7.0 to 3.51.2), beside the older series it was mended in.
pub const SQLITE_MIN: u32 = 3_051_003;
const MENDED: [std::ops::Range<u32>; 2] = [3_044_006..3_045_000, 3_050_007..3_051_000];
/// Where the first page tells which SQLite wrote it last (SQLite's file format, 1.3.10).
const WRITER_AT: usize = 96;

/// Why a database is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// This program has a SQLite that must not be let near a live log.
    #[error("this program was built with SQLite {}, and {} or later is needed beside other processes: take a newer release", shown(*.0), shown(SQLITE_MIN))]
    Sqlite(u32),
    /// This program's SQLite cannot read single pages.
    #[error(
        "this program was built without SQLite's table of pages (SQLITE_ENABLE_DBPAGE_VTAB): build it as .cargo/config.toml says"
    )]
    NoPages,
    /// Another program wrote the database with such a SQLite.
    #[error("a program with SQLite {} has written this database; before {} a checkpoint can lose what was committed: update that program, or do not let it write", shown(*.0), shown(SQLITE_MIN))]
    Writer(u32),
    /// The file system does not keep locks or shared memory between containers.
    #[error("{place} lies on {kind}: {}; keep the database on a disk of this machine itself, such as ext4, xfs, btrfs or zfs, or in a Docker volume", .why.words())]
    Filesystem {
        /// The database or its folder.
        place: String,
        /// The file system's name.
        kind: String,
        /// What is wrong with it.
        why: Why,
    },
}

/// What a file system does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its files lie on another machine, or are written by several.
    Network,
    /// A program plays it.
    Fuse,
    /// It is a folder of another system, handed into a virtual machine.
    Shared,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Network => {
                "a network file system shares no memory between processes and loses locks, and \
                 SQLite's log would be damaged"
            }
            Self::Fuse => {
                "such a file system (FUSE) does not keep SQLite's locks and shared memory \
                 reliably, and its log would be damaged"
            }
            Self::Shared => {
                "a folder shared into a virtual machine does not keep SQLite's locks and shared \
                 memory between containers, and its log is damaged within minutes"
            }
        }
    }
}

fn shown(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

/// Whether this version may write beside other processes; its form is 3051003 for 3.51.3.
pub fn is_safe(version: u32) -> bool {
    version >= SQLITE_MIN || MENDED.iter().any(|mended| mended.contains(&version))
}

/// Whether the SQLite in this program is fit.
///
/// # Errors
/// Why not.
pub fn check_program() -> Result<(), Unfit> {
    let version = u32::try_from(rusqlite::version_number()).unwrap_or_default();
    if !is_safe(version) {
        return Err(Unfit::Sqlite(version));
    }
    let readable = rusqlite::Connection::open_in_memory()
        .and_then(|memory| memory.prepare("SELECT data FROM sqlite_dbpage").map(drop));
    readable.map_err(|_absent| Unfit::NoPages)
}

/// Whether whoever wrote this first page last was fit. A page that does not tell is taken.
///
/// # Errors
/// The version that is not.
pub fn check_writer(first_page: &[u8]) -> Result<(), Unfit> {
    let told = first_page.get(WRITER_AT..WRITER_AT + 4).and_then(|field| field.try_into().ok());
    match told.map_or(0, u32::from_be_bytes) {
        version if version == 0 || is_safe(version) => Ok(()),
        version => Err(Unfit::Writer(version)),
    }
}

/// A file system as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// The number `statfs` gives, see statfs(2).
    pub magic: u32,
    /// Its name in the table of mounts, such as `ext4` or `fuse.mergerfs`, where it is known.
    pub name: Option<String>,
}

/// By number, for when the table of mounts cannot be read; FUSE has one number for all its kinds,
/// virtiofs among them.
const NUMBERS: [(u32, &str, Why); 15] = [
    (0x6969, "NFS", Why::Network),
    (0x517b, "SMB", Why::Network),
    (0xff53_4d42, "CIFS", Why::Network),
    (0xfe53_4d42, "SMB 2/3", Why::Network),
    (0x564c, "NCP", Why::Network),
    (0x5346_414f, "AFS", Why::Network),
    (0x7375_7245, "Coda", Why::Network),
    (0x00c3_6400, "Ceph", Why::Network),
    (0x0bd0_0bd0, "Lustre", Why::Network),
    (0x0116_1970, "GFS2", Why::Network),
    (0x7461_636f, "OCFS2", Why::Network),
    (0x4750_4653, "GPFS", Why::Network),
    (0x0102_1997, "9p", Why::Shared),
    (0x786f_4256, "vboxsf", Why::Shared),
    (0x6573_5546, "FUSE", Why::Fuse),
];

/// By the beginning of the name. Whatever is called `fuse…` and not here is a FUSE one too.
const NAMES: [(&str, Why); 20] = [
    ("nfs", Why::Network),
    ("cifs", Why::Network),
    ("smb", Why::Network),
    ("ncp", Why::Network),
    ("afs", Why::Network),
    ("coda", Why::Network),
    ("ceph", Why::Network),
    ("lustre", Why::Network),
    ("gfs2", Why::Network),
    ("ocfs2", Why::Network),
    ("gpfs", Why::Network),
    ("davfs", Why::Network),
    ("9p", Why::Shared),
    ("virtiofs", Why::Shared),
    ("vboxsf", Why::Shared),
    ("vmhgfs", Why::Shared),
    ("prl_fs", Why::Shared),
    ("fakeowner", Why::Shared),
    ("grpcfuse", Why::Shared),
    ("osxfs", Why::Shared),
];

impl Filesystem {
    /// The file system on which `path`, which must be there, lies.
    ///
    /// # Errors
    /// What the system said.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        // The number's width and sign differ between machines; what it means is in 32 bits.
        let number = i128::from(rustix::fs::statfs(&path)?.f_type) & 0xffff_ffff;
        let magic = u32::try_from(number).unwrap_or_default();
        let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        Ok(Self { magic, name: mounts::kind_of(&path, &String::from_utf8_lossy(&table)) })
    }

    /// Whether a database at `place` on this file system may be followed.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, place: &Path) -> Result<(), Unfit> {
        let refuse = |kind: &str, why| {
            let place = place.display().to_string();
            Err(Unfit::Filesystem { place, kind: kind.to_owned(), why })
        };
        let name = self.name.as_deref().unwrap_or_default();
        if let Some((_, why)) = NAMES.iter().find(|(known, _)| name.starts_with(known)) {
            return refuse(name, *why);
        }
        if name.starts_with("fuse") {
            return refuse(name, Why::Fuse);
        }
        match NUMBERS.iter().find(|(magic, _, _)| *magic == self.magic) {
            Some((_, shown, why)) if name.is_empty() => refuse(shown, *why),
            Some((_, shown, why)) => refuse(&format!("{shown} ({name})"), *why),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sqlite_in_this_program_is_fit() {
        assert_eq!(check_program(), Ok(()));
    }

    #[test]
    fn versions_with_the_fault_are_refused_and_series_it_was_mended_in_are_taken() {
        for fit in [3_051_003, 3_052_000, 4_000_000, 3_050_007, 3_050_010, 3_044_006] {
            assert!(is_safe(fit), "{fit}");
        }
        for unfit in [3_007_000, 3_040_001, 3_044_005, 3_045_000, 3_046_000, 3_050_006, 3_051_002] {
            assert!(!is_safe(unfit), "{unfit}");
            let mut page = vec![0; 512];
            assert_eq!(check_writer(&page), Ok(()), "a page that tells nothing is taken");
            page[96..100].copy_from_slice(&unfit.to_be_bytes());
            assert_eq!(check_writer(&page), Err(Unfit::Writer(unfit)));
        }
        let said = Unfit::Writer(3_040_001).to_string();
        assert!(said.contains("3.40.1") && said.contains("3.51.3"), "{said}");
    }

    fn check(magic: u32, name: Option<&str>) -> Result<(), Unfit> {
        Filesystem { magic, name: name.map(str::to_owned) }.check(Path::new("/data/a.db"))
    }

    #[test]
    fn disks_of_the_machine_are_taken() {
        for (magic, name) in [
            (0xef53, Some("ext4")),
            (0x5846_5342, Some("xfs")),
            (0x9123_683e, Some("btrfs")),
            (0x2fc1_2fc1, Some("zfs")),
            (0x0102_1994, Some("tmpfs")),
            (0x794c_7630, Some("overlay")),
            (0x1234_5678, Some("something-new")),
            (0xef53, None),
        ] {
            assert_eq!(check(magic, name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn network_fuse_and_shared_folders_are_refused_by_name_with_the_reason() {
        for (magic, name, shown, reason) in [
            (0x6969, Some("nfs4"), "nfs4", "loses locks"),
            (0x6969, None, "NFS", "loses locks"),
            (0xff53_4d42, Some("cifs"), "cifs", "loses locks"),
            (0xfe53_4d42, Some("odd"), "SMB 2/3 (odd)", "loses locks"),
            (0x0102_1997, Some("9p"), "9p", "virtual machine"),
            (0x6573_5546, Some("virtiofs"), "virtiofs", "virtual machine"),
            (0x6573_5546, Some("fuse.mergerfs"), "fuse.mergerfs", "FUSE"),
            (0x6573_5546, Some("fuseblk"), "fuseblk", "FUSE"),
            (0x1234, Some("fuse.brand-new"), "fuse.brand-new", "FUSE"),
            (0x6573_5546, None, "FUSE", "FUSE"),
        ] {
            let said = check(magic, name).unwrap_err().to_string();
            assert!(said.contains(shown) && said.contains(reason), "{said}");
            assert!(said.contains("/data/a.db") && said.contains("ext4"), "{said}");
        }
    }

    #[test]
    fn the_file_system_of_a_path_can_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let found = Filesystem::of(folder.path()).unwrap();
        assert!(found.name.is_some() && found.magic != 0, "{found:?}");
        Filesystem::of(&folder.path().join("missing")).unwrap_err();
    }
}
