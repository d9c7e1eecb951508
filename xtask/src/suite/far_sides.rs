//! Real far sides for the tests of what keeps copies elsewhere: a bucket, an SSH server, rclone, age.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian;
use crate::python;
use crate::say;
use crate::surroundings;

/// A stand-in for Amazon's store that is not ours.
const STORE: &str = "moto[server]==5.2.5";
/// Programs, and Debian's packages that hold them.
const PROGRAMS: [(&str, &str); 3] =
    [("rclone", "rclone"), ("sshd", "openssh-server"), ("age", "age")];

/// The one among them that Debian runs as a service.
const SERVER: &str = "sshd";

/// What was found or fetched; what is missing is skipped by name.
#[derive(Debug)]
pub(crate) struct FarSides {
    store: Option<PathBuf>,
}

impl FarSides {
    /// Finds and fetches them; the programs are found by the tests themselves, on `PATH`.
    pub(crate) fn provide(store: Option<PathBuf>) -> Self {
        if let Err(error) = programs() {
            say::aside(&format!("going on without some far sides: {error:#}"));
        }
        Self { store }
    }

    /// The store's environment, which may be out of reach.
    pub(crate) fn store() -> Result<PathBuf> {
        python::environment("moto-venv", &[STORE], &[])
    }

    /// Gives a chore the names under which tests find them.
    pub(crate) fn name_in(&self, command: &mut Command) {
        if let Some(folder) = &self.store {
            command.env("KOTONOHA_MOTO_SERVER", folder.join("bin").join("moto_server"));
        }
    }
}

/// Has Debian's packages installed for the programs that are missing.
fn programs() -> Result<()> {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        // A server that is installed where services are looked after is started, and stays.
        .filter(|(program, _)| *program != SERVER || !are_services_started())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    ensure!(debian::can_install(), "install {names} with this system's package manager");
    debian::install(&missing).with_context(|| format!("install {names}"))
}

/// Whether this machine starts the services it gets (source: `sd_booted(3)`): nobody who runs tests
/// has asked for an open port.
fn are_services_started() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Servers stand where only root's `PATH` leads.
fn is_there(program: &str) -> bool {
    surroundings::find_on_path(program).is_some()
        || surroundings::is_executable(&Path::new("/usr/sbin").join(program))
}
