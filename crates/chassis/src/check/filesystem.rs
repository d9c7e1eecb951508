//! Whether SQLite can trust the file system that holds its file.
//!
//! In WAL mode every reader and writer shares an index through `mmap` of the `-shm` file, and
//! relies on POSIX locks and on `fsync`. Network file systems and most FUSE ones keep at least one
//! of the three promises badly (SQLite, "Write-Ahead Logging", 1; "How To Corrupt", 2).

use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, Verdict, mounts};

/// A file system as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// The number `statfs` gives, see statfs(2).
    pub magic: u64,
    /// Its name in the table of mounts, such as `ext4` or `fuse.mergerfs`, where it is known.
    pub name: Option<String>,
}

/// Why a file system is not for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Its files lie on another machine.
    Network,
    /// Several machines write it at once.
    Cluster,
    /// A program plays it, usually a network or a pool of disks.
    Fuse,
    /// A folder of another system, handed into a virtual machine.
    Shared,
    /// A program plays a local disk.
    LocalFuse,
    /// Memory, gone at the next start.
    Memory,
    /// The container's own layer, gone when the container is made anew.
    Layer,
}

/// By number. FUSE has one number for all of its kinds, virtiofs among them; names tell them apart.
const MAGICS: [(u64, &str, Nature); 21] = [
    (0x6969, "NFS", Nature::Network),
    (0x517b, "SMB", Nature::Network),
    (0xff53_4d42, "CIFS (SMB)", Nature::Network),
    (0xfe53_4d42, "SMB 2/3", Nature::Network),
    (0x564c, "NCP", Nature::Network),
    (0x5346_414f, "AFS", Nature::Network),
    (0x6b41_4653, "AFS", Nature::Network),
    (0x7375_7245, "Coda", Nature::Network),
    (0x00c3_6400, "Ceph", Nature::Cluster),
    (0x0bd0_0bd0, "Lustre", Nature::Cluster),
    (0x0116_1970, "GFS2", Nature::Cluster),
    (0x7461_636f, "OCFS2", Nature::Cluster),
    (0x4750_4653, "GPFS", Nature::Cluster),
    (0x1983_0326, "BeeGFS", Nature::Cluster),
    (0x0102_1997, "9p", Nature::Shared),
    (0x786f_4256, "vboxsf", Nature::Shared),
    (0x6573_5546, "FUSE", Nature::Fuse),
    (0x0102_1994, "tmpfs", Nature::Memory),
    (0x8584_58f6, "ramfs", Nature::Memory),
    (0x794c_7630, "overlay", Nature::Layer),
    (0x6163_6673, "ACFS", Nature::Cluster),
];

/// By the name in the table of mounts.
const NAMES: [(&str, &str, Nature); 32] = [
    ("nfs", "NFS", Nature::Network),
    ("nfs4", "NFS", Nature::Network),
    ("cifs", "CIFS (SMB)", Nature::Network),
    ("smb3", "SMB 2/3", Nature::Network),
    ("smbfs", "SMB", Nature::Network),
    ("afs", "AFS", Nature::Network),
    ("davfs", "WebDAV", Nature::Network),
    ("fuse.sshfs", "sshfs (FUSE)", Nature::Network),
    ("fuse.rclone", "rclone (FUSE)", Nature::Network),
    ("fuse.s3fs", "s3fs (FUSE)", Nature::Network),
    ("fuse.goofys", "goofys (FUSE)", Nature::Network),
    ("fuse.gcsfuse", "gcsfuse (FUSE)", Nature::Network),
    ("fuse.davfs2", "davfs2 (FUSE)", Nature::Network),
    ("fuse.curlftpfs", "curlftpfs (FUSE)", Nature::Network),
    ("fuse.glusterfs", "GlusterFS (FUSE)", Nature::Cluster),
    ("fuse.ceph-fuse", "Ceph (FUSE)", Nature::Cluster),
    ("fuse.juicefs", "JuiceFS (FUSE)", Nature::Cluster),
    ("ceph", "Ceph", Nature::Cluster),
    ("lustre", "Lustre", Nature::Cluster),
    ("fuse.mergerfs", "mergerfs (FUSE)", Nature::Fuse),
    ("fuse.shfs", "Unraid's /mnt/user (FUSE)", Nature::Fuse),
    ("fuse.unionfs", "unionfs (FUSE)", Nature::Fuse),
    ("fuse.encfs", "encfs (FUSE)", Nature::Fuse),
    ("fuse.gocryptfs", "gocryptfs (FUSE)", Nature::Fuse),
    ("fuse.bindfs", "bindfs (FUSE)", Nature::Fuse),
    ("fuseblk", "NTFS or exFAT (FUSE)", Nature::LocalFuse),
    ("virtiofs", "virtiofs", Nature::Shared),
    ("fakeowner", "Docker Desktop's file sharing", Nature::Shared),
    ("fuse.grpcfuse", "Docker Desktop's file sharing", Nature::Shared),
    ("fuse.osxfs", "Docker Desktop's file sharing", Nature::Shared),
    ("vmhgfs", "VMware's shared folders", Nature::Shared),
    ("prl_fs", "Parallels' shared folders", Nature::Shared),
];

/// The file system on which `path`, or the nearest folder above it that exists, lies.
pub fn of(path: &Path) -> io::Result<Filesystem> {
    let there = existing(path)?;
    // The number's width and sign differ between machines; what it means is in 32 bits.
    let magic = i128::from(rustix::fs::statfs(&there)?.f_type) & 0xffff_ffff;
    let magic = u64::try_from(magic).unwrap_or_default();
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts::of(&there, &String::from_utf8_lossy(&table));
    Ok(Filesystem { magic, name: mount.map(|mount| mount.kind) })
}

fn existing(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    loop {
        match path.canonicalize() {
            // Missing, forbidden or broken: what lies above decides where it would be made.
            Err(_) if path.pop() => {}
            outcome => return outcome,
        }
    }
}

/// Looks at the file system under the database that the setting `key` places in `folder`.
pub fn look(key: &str, folder: &Path, contained: bool) -> Option<Finding> {
    // A folder that cannot be looked at is told of by the check that it can be written.
    let filesystem = of(folder).ok()?;
    judge(folder, &filesystem, contained).about(key)
}

/// Whether a database in `folder` is safe on `filesystem`; `contained` says whether we run in a
/// container, where its own layer is no place for data.
pub fn judge(folder: &Path, filesystem: &Filesystem, contained: bool) -> Verdict {
    let place = folder.display();
    let Some((shown, nature)) = classify(filesystem) else { return Verdict::Fit };
    let unfit = |english: &str, japanese: &str| Verdict::Unfit {
        problem: (
            format!("lies in {place}, on {shown}: {english}; SQLite would damage the database"),
            format!(
                "の場所 {place} は {shown} の上にあります。{japanese}ため、データベースが壊れます"
            ),
        )
            .into(),
        remedy: (
            "keep the project's folder on a disk of this machine itself (on a NAS a volume such as \
             /volume1/docker/…, on Unraid /mnt/cache/… or /mnt/disk1/…), not on a mounted share \
             or a pool",
            "プロジェクトのフォルダを、共有やプールではなく、この機器自身のディスクに置いてください\
             (NAS では /volume1/docker/… など、Unraid では /mnt/cache/… か /mnt/disk1/…)",
        )
            .into(),
    };
    match nature {
        Nature::Network => unfit(
            "a network file system shares no memory between processes and loses locks",
            "ネットワーク経由のファイルシステムは、メモリの共有とロックを正しく行えない",
        ),
        Nature::Cluster => unfit(
            "a cluster's file system shares no memory between its machines",
            "クラスタのファイルシステムは、メモリの共有を正しく行えない",
        ),
        Nature::Fuse => unfit(
            "such a file system (FUSE) does not keep SQLite's locks and shared memory reliably",
            "FUSE のファイルシステムは、ロックとメモリの共有を確実には行えない",
        ),
        Nature::Shared | Nature::LocalFuse => Verdict::Doubtful {
            problem: (
                format!("lies in {place}, on {shown}, which is for trying out, not for keeping"),
                format!(
                    "の場所 {place} は {shown} の上にあり、試用向けです(長期の保存には向きません)"
                ),
            )
                .into(),
            remedy: (
                "for daily use keep it on a disk with a file system of Linux, such as ext4, xfs, \
                 btrfs or zfs, or in a Docker volume",
                "日常の利用では、ext4・xfs・btrfs・zfs などのディスクか、Docker のボリュームに\
                 置いてください",
            )
                .into(),
        },
        Nature::Layer if !contained => Verdict::Fit,
        Nature::Memory | Nature::Layer => Verdict::Doubtful {
            problem: (
                format!(
                    "lies in {place}, on {shown}, which does not last: everything is gone when \
                     the container is made anew or the machine restarts"
                ),
                format!(
                    "の場所 {place} は {shown} の上にあり、保存されません。コンテナの作り直しや\
                     再起動ですべて消えます"
                ),
            )
                .into(),
            remedy: (
                "mount a folder of the machine there, as compose.yaml does with \
                 ./data/<service>:/data",
                "compose.yaml の ./data/<サービス名>:/data のように、機器のフォルダをそこに\
                 マウントしてください",
            )
                .into(),
        },
    }
}

/// The name tells more than the number, except where it is a name nobody knows.
fn classify(filesystem: &Filesystem) -> Option<(String, Nature)> {
    let name = filesystem.name.as_deref().unwrap_or_default();
    if let Some((_, shown, nature)) = NAMES.iter().find(|(known, _, _)| *known == name) {
        return Some(((*shown).to_owned(), *nature));
    }
    let by_number = MAGICS.iter().find(|(magic, _, _)| *magic == filesystem.magic);
    match by_number {
        Some((_, shown, Nature::Fuse)) if name.contains("fuse") => {
            Some((format!("{shown} ({name})"), Nature::Fuse))
        }
        Some((_, shown, nature)) => Some(((*shown).to_owned(), *nature)),
        None if name.starts_with("fuse") => Some((name.to_owned(), Nature::Fuse)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(magic: u64, name: Option<&str>) -> Verdict {
        let filesystem = Filesystem { magic, name: name.map(str::to_owned) };
        judge(Path::new("/data"), &filesystem, true)
    }

    #[test]
    fn disks_of_the_machine_are_fit() {
        for (magic, name) in [
            (0xef53, "ext4"),
            (0x5846_5342, "xfs"),
            (0x9123_683e, "btrfs"),
            (0x2fc1_2fc1, "zfs"),
            (0xf2f5_2010, "f2fs"),
            (0xca45_1a4e, "bcachefs"),
            (0x1234_5678, "something-new"),
        ] {
            assert_eq!(verdict(magic, Some(name)), Verdict::Fit, "{name}");
        }
    }

    #[test]
    fn network_cluster_and_fuse_file_systems_are_refused_by_name_with_the_reason() {
        for (magic, name, shown) in [
            (0x6969, Some("nfs4"), "NFS"),
            (0x6969, None, "NFS"),
            (0xff53_4d42, Some("cifs"), "CIFS"),
            (0xfe53_4d42, None, "SMB"),
            (0x517b, None, "SMB"),
            (0x00c3_6400, Some("ceph"), "Ceph"),
            (0x6573_5546, None, "FUSE"),
            (0x6573_5546, Some("fuse.mergerfs"), "mergerfs"),
            (0x6573_5546, Some("fuse.shfs"), "Unraid"),
            (0x6573_5546, Some("fuse.sshfs"), "sshfs"),
            (0x6573_5546, Some("fuse.brand-new"), "fuse.brand-new"),
            (0x1234, Some("fuse.brand-new"), "fuse.brand-new"),
        ] {
            let Verdict::Unfit { problem, remedy } = verdict(magic, name) else {
                panic!("{magic:x} {name:?} was taken");
            };
            assert!(problem.english().contains(shown), "{problem}");
            assert!(problem.contains("/data") && problem.contains("壊れます"), "{problem}");
            assert!(remedy.contains("/volume1/docker/") && remedy.contains("置いて"), "{remedy}");
        }
    }

    #[test]
    fn what_is_for_trying_out_or_does_not_last_is_doubtful() {
        for (magic, name) in [
            (0x6573_5546, Some("virtiofs")),
            (0x6573_5546, Some("fakeowner")),
            (0x6573_5546, Some("fuseblk")),
            (0x0102_1997, Some("9p")),
            (0x0102_1994, Some("tmpfs")),
            (0x794c_7630, Some("overlay")),
        ] {
            assert!(matches!(verdict(magic, name), Verdict::Doubtful { .. }), "{name:?}");
        }
    }

    #[test]
    fn an_overlay_is_an_ordinary_disk_outside_a_container() {
        let overlay = Filesystem { magic: 0x794c_7630, name: Some("overlay".to_owned()) };
        assert_eq!(judge(Path::new("/data"), &overlay, false), Verdict::Fit);
    }
}
