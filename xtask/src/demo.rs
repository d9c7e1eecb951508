//! `cargo xtask demo`: the whole system on this machine, from one command.

mod control;
mod conversation;
mod fleet;
mod folder;
mod model;
mod phrases;
mod summary;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::external;
use crate::fault::{Interrupted, Usage};
use crate::interrupt;
use crate::nats;
use crate::say;
use crate::suite;
use crate::surroundings;
pub(crate) use control::Control;
use conversation::Conversation;
use fleet::Fleet;
use folder::Folder;
use model::Choice;
use phrases::Phrases;
pub(crate) use summary::expect_whole as expect_whole_summary;

/// What the person asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Stop after the first conversation.
    #[arg(long)]
    once: bool,
    /// Print one JSON object on standard output; everything else goes to standard error.
    #[arg(long)]
    json: bool,
    /// Folder for everything the system keeps [default: demo in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What answers: `played` (the simulator), `real` (a small language model on this machine),
    /// or the base URL of an OpenAI-style server, such as `http://127.0.0.1:11434/v1`.
    #[arg(long, value_name = "MODEL", default_value = "played")]
    model: String,
    /// The model's name at that server [default: the first one it lists].
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// Port of the chat page [default: a free one].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Build and run with optimisation.
    #[arg(long)]
    release: bool,
}

/// Where the demo says things: results for people go to standard output unless that is for JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    json: bool,
}

impl Voice {
    fn line(self, text: &str) {
        if self.json { say::aside(text) } else { say::line(text) }
    }

    fn piece(self, text: &str) {
        if self.json { say::aside_piece(text) } else { say::piece(text) }
    }
}

/// Builds, starts, plays, and stays until the person has seen enough.
pub(crate) fn run(options: &Options) -> Result<()> {
    interrupt::listen()?;
    let voice = Voice { json: options.json };
    let choice = Choice::parse(&options.model, options.model_name.clone())?;
    let phrases = Phrases::for_person(matches!(choice, Choice::Real));
    if let Some(port) = options.port {
        refuse_taken(port)?;
    }
    let workspace = surroundings::workspace()?;
    let target = suite::target_folder(&workspace)?;
    let folder = Folder::open(options.data.as_ref().unwrap_or(&target.join("demo")))?;
    let nats_server = nats::provide()?;
    voice.line(phrases.building);
    build(&workspace, options.release)?;
    let model = choice.prepare(&folder)?;

    voice.line(phrases.starting);
    let plan = fleet::Plan {
        folder: &folder,
        programs: target.join(if options.release { "release" } else { "debug" }),
        nats_server: nats_server.path,
        port: options.port,
        phrases,
    };
    let mut fleet = Fleet::start(&plan, model)?;
    let played = Conversation::play(&mut fleet, voice, phrases)?;
    let mut summary = summary::gather(&mut fleet, &played, &folder)?;
    if options.once {
        summary["stopped"] = fleet.stop();
        if options.json {
            say::line(&summary.to_string());
        } else {
            voice.line(phrases.done);
        }
        return Ok(());
    }
    if options.json {
        say::line(&summary.to_string());
    }
    voice.line(&phrases.addresses(&fleet, &folder, &played));
    stay(&mut fleet)?;
    voice.line(phrases.stopping);
    fleet.stop();
    voice.line(phrases.done);
    Ok(())
}

/// Waits for Ctrl-C; a service that ends by itself ends the demo too.
fn stay(fleet: &mut Fleet) -> Result<()> {
    loop {
        fleet.expect_running()?;
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            match interrupt::tick() {
                Ok(()) => {}
                Err(error) if error.is::<Interrupted>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn build(workspace: &std::path::Path, release: bool) -> Result<()> {
    let mut cargo = std::process::Command::new("cargo");
    cargo.current_dir(workspace).args(["build", "--bins"]);
    for service in fleet::PROGRAMS {
        cargo.args(["--package", service]);
    }
    if release {
        cargo.arg("--release");
    }
    external::show(&mut cargo)
}

/// Says so before anything is built, rather than after.
fn refuse_taken(port: u16) -> Result<()> {
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Usage(format!(
            "port {port} cannot be used ({error}): stop what listens there, give another --port, \
             or leave --port out for a free one"
        ))
        .into()),
    }
}
