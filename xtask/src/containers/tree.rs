//! Processes of this machine by their number: who descends from whom, and the end of all of them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// Ends one process at once.
pub(super) fn kill(pid: u32) -> Result<()> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).context("name a process")?;
    match kill_process(number, Signal::KILL) {
        // Gone already is as good as killed.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => bail!("kill process {pid}: {error}"),
    }
}

/// One process: its number, its parent's, its command line.
#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    command: String,
}

/// Every process whose command line names `folder`, and everything that descends from one.
pub(super) fn around(folder: &Path) -> Result<Vec<u32>> {
    let all = processes()?;
    let name = folder.display().to_string();
    Ok(descendants(&all, |process| process.command.contains(&name)))
}

fn descendants(all: &[Process], is_root: impl Fn(&Process) -> bool) -> Vec<u32> {
    let mut found: Vec<u32> = all.iter().filter(|it| is_root(it)).map(|it| it.pid).collect();
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|it| found.contains(&it.parent) && !found.contains(&it.pid))
            .map(|it| it.pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn processes() -> Result<Vec<Process>> {
    let own = std::process::id();
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list the processes")? {
        let Some(pid) = entry.ok().and_then(|it| it.file_name().to_str()?.parse().ok()) else {
            continue;
        };
        // A process may end while we look at it, and is none then.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let parent = field(&status, "PPid:").and_then(|text| text.parse().ok()).unwrap_or(0);
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // A leash carries the command line of what it holds for a moment; we are never meant.
        if pid != own {
            all.push(Process { pid, parent, command });
        }
    }
    Ok(all)
}

/// A line of `/proc/<pid>/status`.
pub(super) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{Process, descendants, field, processes};

    #[test]
    fn children_of_children_are_found() {
        let of = |pid, parent, command: &str| Process { pid, parent, command: command.to_owned() };
        let all = [
            of(5, 4, "service"),
            of(2, 1, "dockerd --exec-root E"),
            of(3, 2, "containerd"),
            of(4, 1, "shim E"),
            of(6, 1, "somebody else"),
        ];
        assert_eq!(descendants(&all, |it| it.command.contains('E')), [2, 4, 5, 3]);
    }

    #[test]
    fn other_processes_of_this_machine_are_seen_but_not_our_own() {
        let own = std::process::id();
        assert!(processes().unwrap().iter().all(|it| it.pid != own));
        assert_eq!(field("Name:\tx\nCapEff:\t0000\n", "CapEff:"), Some("0000"));
    }
}
