//! Starts the `conversation-worker` service.

use std::process::ExitCode;

use conversation_worker::config::Config;

fn main() -> ExitCode {
    chassis::main(chassis::service!(log = "kotonoha"), Config::read, conversation_worker::run)
}
