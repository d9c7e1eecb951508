//! A real git repository in a folder of its own, for the tests of what reads one.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The repository; it is gone with this value.
pub(crate) struct Repository(TempDir);

impl Repository {
    /// An empty one, on `main`, that follows nobody's own settings.
    pub(crate) fn create() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in [
            ("user.name", "Test"),
            ("user.email", "test@example.org"),
            ("commit.gpgsign", "false"),
            ("tag.gpgsign", "false"),
        ] {
            repository.git(&["config", key, value]);
        }
        repository
    }

    /// One with the files that a release reads, committed as a feature.
    pub(crate) fn with_project() -> Self {
        let repository = Self::create();
        repository.write("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n");
        repository.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- It answers.\n");
        repository.write(".gitignore", "/target\n");
        repository.write(".env.example", "DISCORD_TOKEN=\n");
        repository.write("docs/releases/upgrade.md", "# Steps\n\nOne a line.\n");
        repository.write("docs/releases/known-issues.md", "# Known\n");
        repository.write("compose.yaml", "image: k/a:${KOTONOHA_VERSION:-0.1.0}\n");
        repository.write("deploy/nas/env", "KOTONOHA_VERSION=0.1.0\n");
        repository.commit("feat(worker): answer (#1)");
        repository
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, folders included.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let place = self.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// Commits everything, also when nothing changed.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Runs git here and gives what it said.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}
