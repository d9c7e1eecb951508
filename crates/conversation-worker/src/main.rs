//! Starts the `conversation-worker` service.

use std::process::ExitCode;

use conversation_worker::config::Config;
use conversation_worker::migrate;

fn main() -> ExitCode {
    chassis::main_with(
        chassis::service!(log = "kotonoha"),
        &[migrate::COMMAND],
        Config::read,
        conversation_worker::run,
    )
}
