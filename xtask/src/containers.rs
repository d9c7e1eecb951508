//! `cargo xtask containers`: the images and Compose files on a real Docker engine, claim by claim.

mod book;
mod cgroup;
mod conversation;
mod demo;
mod dev;
mod engine;
mod home;
mod plugins;
mod project;
mod shape;
mod stage;
mod tree;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::docker::Docker;
use crate::external;
use crate::fault::AlreadySaid;
use crate::images::{self, Built, Profile};
use crate::interrupt;
use crate::say;
use crate::suite;
use crate::suite::Tally;
use crate::surroundings;
use book::Book;
use engine::Engine;
use project::Project;

/// How long silence is watched unless somebody asks for another time.
const IDLE_SECONDS: u64 = 45;

/// Build the images, run the Compose profiles on a Docker engine, and check what they promise.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long nothing is said while writes to disk are counted; 0 leaves it out.
    #[arg(long, value_name = "SECONDS", default_value_t = IDLE_SECONDS)]
    idle: u64,
    /// Build the images as they are released, not faster.
    #[arg(long)]
    release: bool,
    /// Take the programs of the last build as they are.
    #[arg(long)]
    as_built: bool,
    /// Check only these parts: files, demo, dev, home.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = ["files", "demo", "dev", "home"])]
    only: Vec<String>,
}

impl Arguments {
    /// What every change is held to. Silence is left out: it takes five minutes of waiting.
    pub(crate) fn of_ci() -> Self {
        Self { idle: 0, release: false, as_built: false, only: Vec::new() }
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == part)
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.idle)
    }
}

/// Checks everything and closes with one line of counts.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tally = perform(arguments)?;
    say::line(&tally.closing_line());
    if tally.failed == 0 { Ok(()) } else { Err(AlreadySaid.into()) }
}

/// Checks everything; an error here means that it could not be checked at all.
pub(crate) fn perform(arguments: &Arguments) -> Result<Tally> {
    interrupt::listen()?;
    let mut book = Book::default();
    let Some(mut engine) = Engine::provide()? else {
        book.skip("containers", "no Docker engine");
        return Ok(book.into_tally());
    };
    let outcome = check_all(&mut book, &mut engine, arguments);
    let stopped = engine.stop();
    // What went wrong first is what people have to know.
    outcome.and(stopped)?;
    Ok(book.into_tally())
}

fn check_all(book: &mut Book, engine: &mut Engine, arguments: &Arguments) -> Result<()> {
    let docker = engine.docker().clone();
    let profile = if arguments.release { Profile::Small } else { Profile::Quick };
    let mut built = None;
    book.hold("the_images_are_built_from_static_programs", || {
        let make = if arguments.as_built { images::assemble } else { images::build };
        built = Some(make(&docker, profile)?);
        Ok(())
    })?;
    let Some(built) = built else { return Ok(()) };
    if arguments.wants("files") {
        files(book, &docker, &built)?;
    }
    if arguments.wants("demo") {
        demo::check(book, &docker)?;
    }
    if arguments.wants("dev") {
        dev::check(book, &docker)?;
    }
    if arguments.wants("home") {
        home::check(book, engine, &built, arguments.idle())?;
    }
    Ok(())
}

/// What can be said without starting anything.
fn files(book: &mut Book, docker: &Docker, built: &Built) -> Result<()> {
    book.hold("a_second_build_gives_the_same_layers", || {
        images::expect_same_layers(docker, &built.context)
    })?;
    book.hold("images_hold_no_path_of_the_machine_they_were_built_on", || {
        expect_no_machine_path(built)
    })?;
    book.hold("the_engine_is_sent_neither_settings_nor_data", || ignored(docker))?;
    book.hold("every_combination_of_files_and_profiles_is_valid", || combinations(docker))?;
    book.hold("the_one_file_of_the_zip_says_what_the_two_files_say", || same_reading(docker))
}

/// A build from the project's own folder sees what `.dockerignore` lets through, and no more.
fn ignored(docker: &Docker) -> Result<()> {
    const KEPT_HOME: [&str; 5] = [".env", "config/settings.toml", "data/a.db", "logs/a", ".git/a"];
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("containers/context");
    demo::fresh(&folder)?;
    let write = |name: &str, text: &str| -> Result<()> {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().context("name a folder")?)?;
        std::fs::write(path, text).with_context(|| format!("write {name}"))
    };
    for name in KEPT_HOME {
        write(name, "private")?;
    }
    write("deploy/nats/nats.conf", "")?;
    write("deploy/Dockerfile", "FROM scratch\nCOPY . /\nCMD [\"/none\"]\n")?;
    std::fs::copy(workspace.join(".dockerignore"), folder.join(".dockerignore"))?;
    let place = folder.display().to_string();
    let image = docker.ask(&[
        "build",
        "--quiet",
        "--file",
        &format!("{place}/deploy/Dockerfile"),
        &place,
    ])?;
    let container = docker.ask(&["create", &image])?;
    let archive = folder.join("all.tar").display().to_string();
    docker.ask(&["export", "--output", &archive, &container])?;
    docker.ask(&["rm", &container])?;
    docker.ask(&["image", "rm", &image])?;
    let listed = external::quiet(Command::new("tar").args(["-tf", &archive]))?;
    for name in KEPT_HOME {
        ensure!(!listed.lines().any(|line| line == name), "keep {name} from the engine");
    }
    ensure!(listed.contains("deploy/nats/nats.conf"), "send what images are made of: {listed}");
    Ok(())
}

/// Files that are laid over one another, in order.
const FILES: [&str; 3] = ["compose.yaml", "compose.nas.yaml", "deploy/cpu-limit.yaml"];

fn combinations(docker: &Docker) -> Result<()> {
    let workspace = surroundings::workspace()?;
    for over in 0..4_usize {
        let mut files = vec![workspace.join(FILES[0])];
        for (bit, name) in FILES[1..].iter().enumerate() {
            if over & (1 << bit) != 0 {
                files.push(workspace.join(name));
            }
        }
        for profile in ["home", "demo", "dev", "*"] {
            let project = Project::over(docker, &workspace, files.clone(), profile);
            project.compose(&["config", "--quiet"])?;
        }
    }
    Ok(())
}

/// Compose reads the flat file as it reads the two it was made from.
fn same_reading(docker: &Docker) -> Result<()> {
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("images/flat");
    std::fs::create_dir_all(&folder)?;
    let flat = folder.join("compose.yaml");
    std::fs::write(&flat, images::flat_compose_file(&workspace)?)?;
    let two = FILES[..2].iter().map(|name| workspace.join(name)).collect();
    let read = |files: Vec<std::path::PathBuf>| {
        let mut project = Project::over(docker, &folder, files, "home");
        project.set("COMPOSE_PROFILES", "home");
        let text = project.compose(&["config", "--format", "json"])?;
        let mut value: serde_json::Value = serde_json::from_str(&text)?;
        for service in
            value["services"].as_object_mut().into_iter().flat_map(|map| map.values_mut())
        {
            service.as_object_mut().map(|fields| fields.remove("profiles"));
        }
        Ok::<_, anyhow::Error>(value["services"].take())
    };
    let (one, other) = (read(vec![flat])?, read(two)?);
    ensure!(one == other, "read the same services: {one} and {other}");
    Ok(())
}

fn expect_no_machine_path(built: &Built) -> Result<()> {
    let workspace = surroundings::workspace()?.display().to_string();
    for program in images::PROGRAMS {
        let bytes = std::fs::read(built.context.join(program))?;
        let found = bytes.windows(workspace.len()).any(|part| part == workspace.as_bytes());
        ensure!(!found, "keep {workspace} out of {program}");
    }
    Ok(())
}
