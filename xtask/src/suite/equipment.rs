//! What the tests stand on: built programs, a nats-server, a browser, other people's library and model.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian;
use crate::external;
use crate::fault::Interrupted;
use crate::nats;
use crate::python;
use crate::real_model::RealModel;
use crate::say;
use crate::suite::far_sides::FarSides;
use crate::suite::litestream::Litestream;
use crate::surroundings::{self, System};

/// A Discord library that is not ours, to hold the simulator to.
const CLIENT_LIBRARY: &str = "discord.py==2.7.1";
/// Names under which systems have Chromium or its sibling.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// What the page tests drive, and fonts so that Japanese has its real widths.
const BROWSER_PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-noto-cjk"];

/// The real things tests run against, found or fetched.
#[derive(Debug)]
pub(crate) struct Equipment {
    /// Cargo's target folder.
    pub(crate) target_folder: PathBuf,
    workspace: PathBuf,
    nats_server: PathBuf,
    browser: Option<Browser>,
    client_environment: Option<PathBuf>,
    restic: Option<PathBuf>,
    far_sides: FarSides,
    litestream: Option<Litestream>,
    model: Option<RealModel>,
}

impl Equipment {
    /// Finds, fetches and builds. What only some tests need may be missing: they then say so.
    pub(crate) fn gather(workspace: &Path) -> Result<Self> {
        let server = nats::provide()?;
        say::aside(&format!("nats-server {} at {}", server.version, server.path.display()));
        let browser = optional("the browser", Browser::provide())?;
        let client_environment =
            optional("discord.py", python::environment("client-venv", &[CLIENT_LIBRARY], &[]))?;
        let restic = optional("restic", restic())?;
        let far_sides = FarSides::provide(optional("the far store", FarSides::store())?);
        let litestream = optional("litestream", Litestream::provide())?;
        let target_folder = target_folder(workspace)?;
        let scratch = target_folder.join("model-of-tests");
        let log = scratch.join("model.log");
        let model = optional("the real model", RealModel::start(&scratch, log))?;
        let equipment = Self {
            target_folder,
            workspace: workspace.to_path_buf(),
            nats_server: server.path,
            browser,
            client_environment,
            restic,
            far_sides,
            litestream,
            model,
        };
        // Not ourselves: the program that is running need not be replaced.
        let mut build = equipment.cargo("build");
        external::show(build.args(["--workspace", "--exclude", "xtask", "--bins"]))?;
        Ok(equipment)
    }

    /// Cargo in the workspace, with the names under which tests find the real things.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = Command::new("cargo");
        command
            .arg(verb)
            .current_dir(&self.workspace)
            .env("KOTONOHA_BIN_DIR", self.target_folder.join("debug"))
            .env(nats::VARIABLE, &self.nats_server);
        if let Some(browser) = &self.browser {
            command.env("KOTONOHA_CHROMIUM", &browser.program);
            command.env("KOTONOHA_CHROMEDRIVER", &browser.driver);
        }
        if let Some(folder) = &self.client_environment {
            command.env("KOTONOHA_CLIENT_VENV", folder);
        }
        if let Some(program) = &self.restic {
            command.env("KOTONOHA_RESTIC", program);
        }
        self.far_sides.name_in(&mut command);
        if let Some(litestream) = &self.litestream {
            litestream.name_in(&mut command);
        }
        if let Some(model) = &self.model {
            command.env("KOTONOHA_REAL_MODEL_URL", &model.base_url);
        }
        command
    }
}

/// The stock program that reads our repositories, and whose repositories we read.
fn restic() -> Result<PathBuf> {
    if let Some(found) = surroundings::find_on_path("restic") {
        return Ok(found);
    }
    ensure!(debian::can_install(), "install restic with this system's package manager");
    debian::install(&["restic"])?;
    surroundings::find_on_path("restic").context("find the restic that was just installed")
}

/// The folder cargo builds into, wherever the person put it.
pub(crate) fn target_folder(workspace: &Path) -> Result<PathBuf> {
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(workspace);
    let text = external::quiet(&mut metadata)?;
    let value: serde_json::Value = serde_json::from_str(&text).context("read cargo's metadata")?;
    let folder = value["target_directory"].as_str().context("find cargo's target folder")?;
    Ok(PathBuf::from(folder))
}

/// Goes on without a thing that only some tests need, after saying why it is missing.
fn optional<T>(name: &str, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(thing) => Ok(Some(thing)),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            say::aside(&format!("going on without {name}: {error:#}"));
            Ok(None)
        }
    }
}

/// A browser and the program that drives it.
#[derive(Debug)]
struct Browser {
    program: PathBuf,
    driver: PathBuf,
}

impl Browser {
    /// Finds them; on Debian, root has them installed.
    fn provide() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        // Ubuntu's `chromium` is a hollow package that asks for snap.
        ensure!(
            surroundings::system() == System::Debian && debian::can_install(),
            "install Chromium and its chromedriver with this system's package manager"
        );
        debian::install(&BROWSER_PACKAGES)?;
        Self::find().context("find the browser that was just installed")
    }

    fn find() -> Option<Self> {
        let program = BROWSERS.iter().find_map(|name| surroundings::find_on_path(name))?;
        Some(Self { program, driver: surroundings::find_on_path("chromedriver")? })
    }
}
