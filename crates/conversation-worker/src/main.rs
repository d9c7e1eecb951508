//! Starts the `conversation-worker` service.

fn main() {}
