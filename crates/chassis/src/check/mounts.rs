//! Which file system a path lies on, as the kernel's table of mounts names it.

use std::path::{Path, PathBuf};

/// One line of `/proc/self/mountinfo` (its manual page is `proc_pid_mountinfo`), as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: PathBuf,
    /// The file system's name, such as `ext4` or `fuse.mergerfs`.
    pub(super) kind: String,
}

/// The mount that `path`, which must be absolute and free of links, lies on.
pub(super) fn of(path: &Path, table: &str) -> Option<Mount> {
    // Of mounts on the same point the last one covers the others.
    table
        .lines()
        .filter_map(parse)
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let point = left.split(' ').nth(4)?;
    let kind = right.split(' ').next()?;
    Some(Mount { point: unescape(point).into(), kind: unescape(kind) })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| behind.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &behind[3..] } else { behind };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 0:21 / / rw,relatime - overlay overlay rw,lowerdir=/a
30 22 8:1 /volume1/docker/data /data rw,relatime shared:1 master:2 - btrfs /dev/md2 rw
31 22 0:44 / /mnt/my\\040pool rw - fuse.mergerfs a:b rw
32 22 0:45 / /stacked rw - ext4 /dev/sda rw
33 32 0:46 / /stacked rw - nfs4 nas:/share rw
a line that is none
";

    #[test]
    fn the_deepest_mount_over_a_path_is_its_own() {
        let kind = |path: &str| of(Path::new(path), TABLE).unwrap().kind;
        assert_eq!(kind("/etc"), "overlay");
        assert_eq!(kind("/data/conversation.db"), "btrfs");
        assert_eq!(kind("/database"), "overlay", "a name that only begins alike is another");
        assert_eq!(kind("/mnt/my pool/x"), "fuse.mergerfs");
        assert_eq!(kind("/stacked/x"), "nfs4", "the later mount covers the earlier one");
    }

    #[test]
    fn a_table_that_cannot_be_read_names_nothing() {
        assert_eq!(of(Path::new("/"), ""), None);
        assert_eq!(of(Path::new("/"), "1 2 3 - x"), None);
    }
}
