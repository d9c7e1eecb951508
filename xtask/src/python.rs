//! Python as a carrier of tools: finding pip, and virtual environments kept in the cache folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::debian;
use crate::external;
use crate::interrupt;
use crate::say;
use crate::surroundings;

/// Written last into an environment, so that a half-made one is made again.
const COMPLETE: &str = ".complete";

/// Runs pip with these arguments by whichever way this machine has it.
///
/// The ways, in order: `python3 -m pip`, `pip3`, a throw-away virtual environment in `scratch`.
pub(crate) fn pip(arguments: &[&OsStr], scratch: &Path) -> Result<()> {
    let mut faults = Vec::new();
    let mut python = Command::new("python3");
    match external::quiet(python.args(["-m", "pip"]).args(arguments)) {
        Ok(_) => return Ok(()),
        Err(error) => faults.push(format!("{error:#}")),
    }
    match external::quiet(Command::new("pip3").args(arguments)) {
        Ok(_) => return Ok(()),
        Err(error) => faults.push(format!("{error:#}")),
    }
    match environment_with_pip(&scratch.join("venv")).and_then(|python| {
        external::quiet(Command::new(python).args(["-m", "pip"]).args(arguments))
    }) {
        Ok(_) => Ok(()),
        Err(error) => {
            interrupt::check()?;
            faults.push(format!("{error:#}"));
            Err(anyhow!(faults.join("; ")))
        }
    }
}

/// A virtual environment in the cache folder that holds exactly these packages; made once.
pub(crate) fn environment(name: &str, packages: &[&str], options: &[&str]) -> Result<PathBuf> {
    complete(name, &packages.join("\n"), |install, _| {
        install.args(options).args(packages);
        Ok(())
    })
}

/// A virtual environment in the cache folder that holds what a list of pip's names, each file held
/// to its hash; made once for each list.
pub(crate) fn environment_of_list(name: &str, list: &str) -> Result<PathBuf> {
    complete(name, list, |install, folder| {
        let file = folder.join("requirements.txt");
        std::fs::write(&file, list).context("write pip's list")?;
        install.args(["--require-hashes", "--only-binary=:all:", "--requirement"]).arg(file);
        Ok(())
    })
}

/// The environment of that name, made anew unless its mark says what is wanted.
fn complete(
    name: &str,
    wanted: &str,
    ask_for: impl FnOnce(&mut Command, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = surroundings::cache()?.join(name);
    let mark = folder.join(COMPLETE);
    if std::fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    say::aside(&format!("preparing {}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("remove a half-made virtual environment")?;
    }
    let mut install = Command::new(environment_with_pip(&folder)?);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    ask_for(&mut install, &folder)?;
    external::quiet(&mut install)?;
    std::fs::write(&mark, wanted).context("mark the virtual environment as complete")?;
    Ok(folder)
}

/// Makes a virtual environment and gives its Python; lets Debian bring the missing module.
fn environment_with_pip(folder: &Path) -> Result<PathBuf> {
    let make = || external::quiet(Command::new("python3").args(["-m", "venv"]).arg(folder));
    if let Err(error) = make() {
        install_venv_module().with_context(|| format!("{error:#}"))?;
        make()?;
    }
    Ok(folder.join("bin").join("python"))
}

/// Debian keeps `venv` and pip out of its `python3`; root can have them from the system's packages.
fn install_venv_module() -> Result<()> {
    if !debian::can_install() {
        return Err(anyhow!("install Python's venv module with this system's package manager"));
    }
    debian::install(&["python3-venv"])
}
