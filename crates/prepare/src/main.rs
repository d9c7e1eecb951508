//! Starts one chore of `prepare`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    prepare::run::main(&words, chassis::Source::from_environment())
}
