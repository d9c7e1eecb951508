//! The Docker command line: which engine is spoken to, and how.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::external;
use crate::surroundings;

/// One engine, and where the command line finds its plugins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Docker {
    /// The engine's socket; none = the one the command line finds by itself.
    socket: Option<PathBuf>,
    /// A folder with `cli-plugins`, where the system has none.
    plugins: Option<PathBuf>,
}

impl Docker {
    /// The engine that answers on this machine already, if one does.
    pub(crate) fn found() -> Option<Self> {
        surroundings::find_on_path("docker")?;
        let docker = Self::default();
        docker.answers().then_some(docker)
    }

    /// The engine behind a socket of ours.
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: Some(socket.to_owned()), plugins: None }
    }

    /// The same engine with plugins from this folder.
    pub(crate) fn with_plugins(self, folder: &Path) -> Self {
        Self { plugins: Some(folder.to_owned()), ..self }
    }

    /// Whether the engine answers now.
    pub(crate) fn answers(&self) -> bool {
        self.ask(&["info", "--format", "{{.ServerVersion}}"]).is_ok()
    }

    /// Whether a plugin such as `compose` is there.
    pub(crate) fn has_plugin(&self, name: &str) -> bool {
        self.ask(&[name, "version"]).is_ok()
    }

    /// The command line, with words still to come.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("docker");
        if let Some(socket) = &self.socket {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        if let Some(folder) = &self.plugins {
            command.env("DOCKER_CONFIG", folder);
        }
        command
    }

    /// Runs a command out of sight and gives what it printed, without the last line's end.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String> {
        let output = external::quiet(self.command().args(words))?;
        Ok(output.trim_end().to_owned())
    }

    /// What the engine knows about a container, an image or a network.
    pub(crate) fn inspect(&self, kind: &str, name: &str) -> Result<Value> {
        let text = self.ask(&[kind, "inspect", name])?;
        let list: Value = serde_json::from_str(&text).context("read what docker inspect says")?;
        list.get(0).cloned().with_context(|| format!("find {kind} {name}"))
    }
}
