//! The chores as a person runs them: commands in, words and exit codes out.

mod demo_faults;
mod leash;
mod nats_server;

use std::process::Command;

/// The program under test, without the settings of the machine the tests run on.
fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env_remove("KOTONOHA_NATS_SERVER");
    command
}

/// Runs it; gives its exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("run xtask");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("words");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
