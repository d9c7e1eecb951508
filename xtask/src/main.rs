//! The chores of the workspace, run as `cargo xtask <chore>`.
//!
//! Owns everything between a fresh checkout and a running system: finding a nats-server, running
//! the tests, the checks of CI and the demo. It never holds logic of the services themselves, and
//! nothing outside this crate depends on it.

#![forbid(unsafe_code)]

mod bench;
mod checklist;
mod ci;
mod containers;
mod debian;
mod demo;
mod deny;
mod docker;
mod external;
mod fault;
mod http;
mod images;
mod interrupt;
mod nats;
mod process;
mod python;
mod real_model;
mod release;
mod say;
mod ship;
mod suite;
mod surroundings;
mod tidy;
mod workflows;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The chores of the Kotonoha workspace.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run the whole system on this machine, stand-ins for Discord and the model included.
    Demo(demo::Options),
    /// Run the whole test suite; arguments after `--` go to the test runner.
    Test {
        /// Filters and options for the test runner.
        #[arg(last = true)]
        filter: Vec<OsString>,
    },
    /// Measure the release programs beside baselines: forwarding, turns, memory, start, history.
    Bench(bench::Arguments),
    /// Build the container images and the archive for a NAS.
    Images(images::Arguments),
    /// Check images and Compose files on a Docker engine.
    Containers(containers::Arguments),
    /// Run everything CI runs: fmt, tidy, workflows, deny, clippy, docs, test, demo, containers.
    Ci,
    /// Check the rules of this codebase that no compiler knows.
    Tidy,
    /// Check licences, sources, advisories and which crate may use what.
    Deny,
    /// Hold the workflows to their schemas and to zizmor's rules.
    Workflows,
    /// Make the next version here: notes, changelog, commit and tag; nothing is pushed.
    Release(release::Options),
    /// Check one point of the list before a deployment.
    #[command(subcommand)]
    Checklist(checklist::Point),
    /// Bring images to an environment, step by step.
    #[command(subcommand)]
    Ship(ship::Step),
    /// Print the path of a suitable nats-server, fetching one if there is none.
    NatsServer,
    /// Become the given command, and die with the process that started it.
    #[command(hide = true)]
    Leash(interrupt::Leash),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            say::aside(error.to_string().trim_end());
            return ExitCode::from(fault::USAGE);
        }
        Err(help) => {
            say::line(help.to_string().trim_end());
            return ExitCode::SUCCESS;
        }
    };
    match run(cli.chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(message) = fault::message(&error) {
                say::aside(&message);
            }
            ExitCode::from(fault::exit_code(&error))
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test { filter } => suite::run(&filter),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Images(arguments) => images::run(&arguments),
        Chore::Containers(arguments) => containers::run(&arguments),
        Chore::Ci => ci::run(),
        Chore::Tidy => tidy::run(),
        Chore::Deny => deny::run(),
        Chore::Workflows => workflows::run(),
        Chore::Release(options) => release::run(&options),
        Chore::Checklist(point) => checklist::run(&point),
        Chore::Ship(step) => ship::run(&step),
        Chore::NatsServer => {
            say::line(&nats::provide()?.path.display().to_string());
            Ok(())
        }
        Chore::Leash(leash) => leash.become_command(),
    }
}
