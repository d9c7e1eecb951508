//! What answers in the demo: the simulator, a small real model, or a server somebody runs already.

use std::process::Command;

use anyhow::Result;

use super::folder::Folder;
use crate::fault::Usage;
use crate::http::Http;
use crate::real_model::{self, RealModel};
use crate::surroundings;

/// The small model rambles when it is let.
const REAL_OUTPUT_TOKENS: u32 = 64;

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
    Real(RealModel),
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
            Self::Real => {
                RealModel::start(&folder.run("model"), folder.log("model")).map(Model::Real)
            }
            Self::Server { base_url, name } => Ok(Model::Server { base_url, name }),
        }
    }
}

impl Model {
    /// The word for this model in the summary.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Played => "played",
            Self::Real(_) => "real",
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
            Self::Real(real) => worker
                .env("MODEL_BASE_URL", &real.base_url)
                .env("MODEL_API_KEY", "demo-key")
                .env("MODEL_NAME", real_model::NAME)
                .env("MODEL_CONTEXT_TOKENS", real_model::CONTEXT_TOKENS.to_string())
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
