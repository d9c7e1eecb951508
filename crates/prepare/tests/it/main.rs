//! `prepare` in temporary folders and against a real nats-server.

mod documents;
mod folders;
mod program;
mod rights;
mod streams;

use contracts::access::ROLES;
use prepare::users::{self, User};

/// The password every user has in these tests.
const PASSWORD: &str = "geheim";

/// nats-server's configuration with every user of the system.
fn users() -> String {
    let users: Vec<User> = ROLES.iter().map(|role| User::of(role, PASSWORD.to_owned())).collect();
    users::configuration(&users)
}
