//! The kernel's table of mounts, as far as it tells which kind of file system a path lies on.

use std::path::{Path, PathBuf};

/// The kind of file system that `path`, absolute and without links, lies on by `table`, the content
/// of `/proc/self/mountinfo` (its format: `proc_pid_mountinfo(5)`).
pub(super) fn kind_of(path: &Path, table: &str) -> Option<String> {
    let mounts = table.lines().filter_map(parse).filter(|(point, _)| path.starts_with(point));
    // Of two at one point the later lies on top.
    let deepest = mounts.max_by_key(|(point, _)| point.components().count());
    deepest.map(|(_, kind)| kind.to_owned())
}

/// Where a line's file system is mounted, and its kind.
fn parse(line: &str) -> Option<(PathBuf, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    Some((PathBuf::from(unescape(point)), after.split(' ').next()?))
}

/// Spaces and the like stand as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code.filter(u8::is_ascii) {
            plain.push(char::from(code));
            rest = &after[3..];
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /data rw shared:20 - nfs4 nas:/share rw
41 40 0:36 / /data/in\\040side rw - xfs /dev/vdb rw
42 22 0:37 / /twice rw - cifs //nas/one rw
43 22 0:38 / /twice rw - btrfs /dev/vdc rw
odd line";

    #[test]
    fn the_deepest_and_latest_mount_over_a_path_tells() {
        let kind = |path: &str| kind_of(Path::new(path), TABLE);
        assert_eq!(kind("/var/lib"), Some("ext4".to_owned()));
        assert_eq!(kind("/data/a.db"), Some("nfs4".to_owned()));
        assert_eq!(kind("/database"), Some("ext4".to_owned()));
        assert_eq!(kind("/data/in side/a.db"), Some("xfs".to_owned()));
        assert_eq!(kind("/twice/a.db"), Some("btrfs".to_owned()));
        assert_eq!(kind_of(Path::new("/a"), ""), None);
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape("a\\04b\\134c\\"), "a\\04b\\c\\");
        assert_eq!(unescape("\\日本"), "\\日本");
    }
}
