//! Starts the `simulator`: one process that is Discord and the model providers on loopback.

fn main() -> std::process::ExitCode {
    simulator::cli::main()
}
