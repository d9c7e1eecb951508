//! `cargo xtask workflows`: the files under `.github`, held to their schemas and to zizmor's rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::external;
use crate::fault::Interrupted;
use crate::python;
use crate::say;
use crate::surroundings;

/// Both linters and all they stand on, each file held to its hash.
const LIST: &str = include_str!("../assets/workflow-linters.txt");
/// The virtual environment's name in the cache folder.
const ENVIRONMENT: &str = "workflow-linters";

/// What a folder's files are held to: the folder, an ending, and the names of the schemas.
const SCHEMAS: [(&str, &[&str]); 2] = [
    (".github/workflows", &["vendor.github-workflows", "custom.github-workflows-require-timeout"]),
    (".github", &["vendor.dependabot"]),
];

/// Checks them; linters that cannot be had here are named and are no failure.
pub(crate) fn run() -> Result<()> {
    match python::environment_of_list(ENVIRONMENT, LIST) {
        Ok(linters) => lint(&linters.join("bin"), &surroundings::workspace()?),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            say::aside(&format!(
                "workflows: SKIPPED: zizmor and check-jsonschema could not be installed: {error:#}"
            ));
            Ok(())
        }
    }
}

/// Checks them where being unable to is a failure: before something is deployed.
pub(crate) fn insist() -> Result<()> {
    let linters = python::environment_of_list(ENVIRONMENT, LIST).context("install the linters")?;
    lint(&linters.join("bin"), &surroundings::workspace()?)
}

fn lint(linters: &Path, workspace: &Path) -> Result<()> {
    for (folder, schemas) in SCHEMAS {
        let files = yaml_files(&workspace.join(folder))?;
        for schema in schemas {
            let mut check = Command::new(linters.join("check-jsonschema"));
            check.args(["--quiet", "--builtin-schema", schema]).args(&files);
            // Its findings stand on standard output, which `quiet` repeats.
            external::quiet(check.current_dir(workspace))
                .with_context(|| format!("hold {folder} to its schema"))?;
        }
    }
    let mut audit = Command::new(linters.join("zizmor"));
    // Offline, so that the same files are judged the same everywhere.
    audit.args(["--offline", "--quiet", "--persona", "auditor", "--color", "never", ".github"]);
    external::show(audit.current_dir(workspace))
}

/// The files of one folder, without those of the folders below it.
fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::LIST;

    #[test]
    fn every_linter_is_held_to_a_version_and_to_hashes() {
        let packages: Vec<&str> =
            LIST.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
        assert!(packages.iter().any(|line| line.starts_with("zizmor==")), "{packages:?}");
        assert!(packages.iter().any(|line| line.starts_with("check-jsonschema==")), "{packages:?}");
        for line in &packages {
            assert!(line.contains("==") && line.ends_with('\\'), "{line}: no version or no hash");
        }
    }
}
