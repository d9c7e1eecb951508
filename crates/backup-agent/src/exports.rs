//! Exports are plain files beside the copies, under the names people have always used.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::{SignedDuration, Zoned};

/// How long an export stays: scripts that expect `find -mtime +7` find what they expect.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
const STAMP: &str = "%Y%m%d_%H%M%S";
const KINDS: [(&str, &str); 2] = [("kotonoha_", ".db"), ("backup_", ".tar.gz")];

/// The name of a database that is exported now.
pub fn database_name(now: &Zoned) -> String {
    name(KINDS[0], now)
}

/// The name of an archive that is made now.
pub fn archive_name(now: &Zoned) -> String {
    name(KINDS[1], now)
}

fn name((before, after): (&str, &str), now: &Zoned) -> String {
    format!("{before}{}{after}", now.strftime(STAMP))
}

/// When a file of that name was exported, on the wall clock; none for other people's files.
fn exported(name: &str) -> Option<DateTime> {
    KINDS.iter().find_map(|(before, after)| {
        let stamp = name.strip_prefix(before)?.strip_suffix(after)?;
        let plain = stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        plain.then(|| DateTime::strptime(STAMP, stamp).ok())?
    })
}

/// Removes exports that are older than a week; gives those that went.
///
/// # Errors
/// What the disk said.
pub fn let_go(folder: &Path, now: &Zoned) -> std::io::Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    for item in fs::read_dir(folder)? {
        let item = item?;
        let name = item.file_name();
        let Some(time) = name.to_str().and_then(exported) else { continue };
        let age = now.datetime().duration_since(time);
        if age > KEPT && item.file_type()?.is_file() {
            fs::remove_file(item.path())?;
            gone.push(item.path());
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_exports_go_and_only_after_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let now: Zoned = "2026-11-22T21:05:33+09:00[Asia/Tokyo]".parse().unwrap();
        assert_eq!(database_name(&now), "kotonoha_20261122_210533.db");
        assert_eq!(archive_name(&now), "backup_20261122_210533.tar.gz");
        let old = ["kotonoha_20261115_210532.db", "backup_20250101_020000.tar.gz"];
        let kept = [
            "kotonoha_20261115_210533.db",
            "kotonoha_20261122_210533.db",
            "kotonoha_20261199_210533.db",
            "kotonoha_2026.db",
            "backup_20250101_020000.tar.gz.txt",
            "holiday.jpg",
        ];
        for name in old.iter().chain(&kept) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let mut gone = let_go(folder.path(), &now).unwrap();
        gone.sort();
        let mut expected = old.map(|name| folder.path().join(name));
        expected.sort();
        assert_eq!(gone, expected);
        assert!(kept.iter().all(|name| folder.path().join(name).exists()));
    }
}
