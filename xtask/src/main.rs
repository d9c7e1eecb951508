//! The chores of the workspace, run as `cargo xtask <chore>`.

fn main() {}
