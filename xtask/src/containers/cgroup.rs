//! What the kernel counts for a container: anonymous memory by its control group, bytes written.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Memory of a process's control group that is not page cache, in bytes.
pub(super) fn anonymous_bytes(pid: u32) -> Result<u64> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .with_context(|| format!("read the control groups of process {pid}"))?;
    let (file, key) = memory_file(&groups).context("find the memory's control group")?;
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    number(&text, key).with_context(|| format!("find {key} in {}", file.display()))
}

/// The file and the line that hold it, for both generations of control groups.
///
/// Source: the kernel's `cgroup-v1/memory.rst` (`total_rss`) and `cgroup-v2.rst` (`anon`).
fn memory_file(groups: &str) -> Option<(PathBuf, &'static str)> {
    let mut lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let root = PathBuf::from("/sys/fs/cgroup");
    let old = lines.clone().find(|(names, _)| names.split(',').any(|name| name == "memory"));
    if let Some((_, path)) = old {
        return Some((root.join("memory").join(path).join("memory.stat"), "total_rss"));
    }
    let (_, path) = lines.find(|(names, _)| names.is_empty())?;
    Some((root.join(path).join("memory.stat"), "anon"))
}

/// Bytes that a process had the kernel write to disks so far.
pub(super) fn written_bytes(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))
        .with_context(|| format!("read what process {pid} wrote: this needs root"))?;
    number(&text, "write_bytes:").context("find write_bytes")
}

fn number(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{memory_file, number};

    #[test]
    fn both_generations_are_found() {
        let old = "12:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
        let (file, key) = memory_file(old).unwrap();
        assert_eq!(file.to_str(), Some("/sys/fs/cgroup/memory/docker/abc/memory.stat"));
        assert_eq!(key, "total_rss");
        let (file, key) = memory_file("0::/system.slice/docker-abc.scope\n").unwrap();
        assert!(file.starts_with("/sys/fs/cgroup/system.slice") && key == "anon");
    }

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let text = "cache 1\nrss 2\ntotal_rss 3\nrchar: 4\n";
        assert_eq!(number(text, "total_rss"), Some(3));
        assert_eq!(number(text, "rss"), Some(2));
        assert_eq!(number(text, "rchar:"), Some(4));
        assert_eq!(number(text, "anon"), None);
    }
}
