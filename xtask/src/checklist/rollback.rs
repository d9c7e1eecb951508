//! The preparation of a rollback: the digests that an environment runs now, written down.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::say;
use crate::ship::registry;
use crate::ship::released::Released;

/// Which environment, and where its images are.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where images are kept: host/owner.
    #[arg(long)]
    registry: String,
    /// dev, staging or production.
    #[arg(long)]
    name: String,
    /// The file to write; `cargo xtask ship point --name <environment> <file>` goes back to it.
    #[arg(long)]
    write: PathBuf,
}

/// Asks the registry what the environment's tag means now, and writes that down.
pub(crate) fn prepare(options: &Options) -> Result<()> {
    let mut now = Released::default();
    for service in registry::services() {
        let repository = format!("{}/{service}", options.registry);
        if let Some(digest) = registry::digest(&format!("{repository}:{}", options.name))? {
            now.services.insert(service, format!("{repository}@{digest}"));
        } else {
            say::aside(&format!("rollback: {service} does not run in {} yet", options.name));
        }
    }
    if now.services.is_empty() {
        say::aside("rollback: this is the first deployment, so there is nothing to go back to");
    }
    now.write(&options.write)
}
