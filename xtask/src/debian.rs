//! Debian's package manager, used where the person running the chore may change the system.

use std::process::Command;

use anyhow::Result;

use crate::external;
use crate::say;
use crate::surroundings::{self, System};

/// Whether packages can be installed here without asking anybody.
pub(crate) fn can_install() -> bool {
    matches!(surroundings::system(), System::Debian | System::DebianLike)
        && surroundings::is_root()
        && surroundings::find_on_path("apt-get").is_some()
}

/// Installs packages, quietly.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    say::aside(&format!("installing {} with apt-get", packages.join(", ")));
    external::quiet(Command::new("apt-get").args(["-qq", "update"]))?;
    external::quiet(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "install", "-y", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(())
}
