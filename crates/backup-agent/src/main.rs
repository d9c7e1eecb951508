//! Starts the `backup-agent` service, or does one of its commands.

use std::process::ExitCode;

use backup_agent::{Config, command};

fn main() -> ExitCode {
    chassis::main_with(chassis::service!(), &command::COMMANDS, Config::read, backup_agent::run)
}
