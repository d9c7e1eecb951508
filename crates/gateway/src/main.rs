//! Starts the `gateway` service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(chassis::service!(), gateway::Config::read, gateway::run)
}
