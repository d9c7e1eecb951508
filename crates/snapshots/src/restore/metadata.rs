//! Owner, permissions, attributes and times of what was brought back.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustic_core::repofile::Node;
use rustix::fs::{
    AtFlags, CWD, Gid, Timespec, Timestamps, Uid, XattrFlags, chownat, lsetxattr, utimensat,
};

use crate::take::Trouble;

/// Sets them in the one order that works: an owner clears special bits, and everything changes
/// times. Answers what could not be set.
pub(super) fn apply(path: &Path, node: &Node) -> Vec<Trouble> {
    let mut differences = Vec::new();
    let mut differs = |what: &str, error: std::io::Error| {
        let what = format!("its {what} could not be set: {error}");
        differences.push(Trouble { path: path.to_owned(), what });
    };
    if let Err(error) = owner(path, node) {
        differs("owner", error);
    }
    if let Some(mode) = node.meta.mode.filter(|_| !node.is_symlink()) {
        let permissions = std::fs::Permissions::from_mode(unix_mode(mode));
        if let Err(error) = std::fs::set_permissions(path, permissions) {
            differs("permissions", error);
        }
    }
    for attribute in &node.meta.extended_attributes {
        let value = attribute.value.as_deref().unwrap_or_default();
        let name: &OsStr = attribute.name.as_ref();
        if let Err(error) = lsetxattr(path, name, value, XattrFlags::empty()) {
            differs("extended attributes", error.into());
        }
    }
    if let Err(error) = times(path, node) {
        differs("times", error);
    }
    differences
}

fn owner(path: &Path, node: &Node) -> std::io::Result<()> {
    let (Some(uid), Some(gid)) = (node.meta.uid, node.meta.gid) else { return Ok(()) };
    let found = std::fs::symlink_metadata(path)?;
    if (std::os::unix::fs::MetadataExt::uid(&found), std::os::unix::fs::MetadataExt::gid(&found))
        == (uid, gid)
    {
        return Ok(());
    }
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    Ok(chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(path: &Path, node: &Node) -> std::io::Result<()> {
    let Some(changed) = node.meta.mtime else { return Ok(()) };
    let spec = |time: jiff::Timestamp| Timespec {
        tv_sec: time.as_second(),
        tv_nsec: time.subsec_nanosecond().max(0).into(),
    };
    let times = Timestamps {
        last_access: spec(node.meta.atime.unwrap_or(changed)),
        last_modification: spec(changed),
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A mode from restic's numbering of its bits (Go's `io/fs.FileMode`).
fn unix_mode(mode: u32) -> u32 {
    let special = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
    let bits = special.iter().filter(|(go, _)| mode & go != 0).map(|(_, unix)| unix);
    bits.fold(mode & 0o777, |all, bit| all | bit)
}
