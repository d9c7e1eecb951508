//! Starts the `simulator` service.

fn main() {}
