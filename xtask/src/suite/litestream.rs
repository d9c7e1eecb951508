//! Stock litestream, which restores and queries what our backups write: two Python wheels, held to
//! their hashes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian;
use crate::python;
use crate::say;
use crate::surroundings;

const PROGRAM: &str = include_str!("../../assets/litestream.txt");
/// Its wheels want glibc 2.35 and a Python that they know.
const QUERY: &str = include_str!("../../assets/litestream-vfs.txt");
/// Where a wheel's environment has the library with which SQLite queries a history.
const LIBRARY: [&str; 2] =
    ["litestream_vfs/litestream-vfs.so", "litestream_vfs/litestream-vfs.dylib"];

/// What was fetched; what is missing is skipped by name.
#[derive(Debug)]
pub(crate) struct Litestream {
    program: PathBuf,
    vfs: Option<PathBuf>,
}

impl Litestream {
    /// Fetches the program, and where that goes the library too.
    pub(crate) fn provide() -> Result<Self> {
        let folder = python::environment_of_list("litestream-venv", PROGRAM)?;
        let program = folder.join("bin").join("litestream");
        let vfs = match library() {
            Ok(library) => Some(library),
            Err(error) => {
                say::aside(&format!("going on without litestream's library: {error:#}"));
                None
            }
        };
        Ok(Self { program, vfs })
    }

    /// Gives a chore the names under which tests find them.
    pub(crate) fn name_in(&self, command: &mut Command) {
        command.env("KOTONOHA_LITESTREAM", &self.program);
        if let Some(vfs) = &self.vfs {
            command.env("KOTONOHA_LITESTREAM_VFS", vfs);
        }
    }
}

/// The library, and the shell that loads it: SQLite itself, since few Pythons may load libraries.
fn library() -> Result<PathBuf> {
    if surroundings::find_on_path("sqlite3").is_none() {
        ensure!(debian::can_install(), "install sqlite3 with this system's package manager");
        debian::install(&["sqlite3"])?;
    }
    let folder = python::environment_of_list("litestream-vfs-venv", QUERY)?;
    let versions = std::fs::read_dir(folder.join("lib")).context("look for its library")?;
    let versions = versions.collect::<Result<Vec<_>, _>>().context("look for its library")?;
    let candidates = versions.iter().flat_map(|version| {
        let packages = version.path().join("site-packages");
        LIBRARY.map(|name| packages.join(Path::new(name)))
    });
    candidates.into_iter().find(|path| path.is_file()).context("find its library")
}
