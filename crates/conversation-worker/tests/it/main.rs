//! The worker as a whole: a real nats-server, a real database, a model on the wire, and a test in
//! the place of Discord.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod caps;
mod crashes;
mod deletions;
mod disk;
mod failures;
mod health;
mod house;
mod isolation;
mod journey;
mod malformed;
mod migrations;
mod order;
mod past;
mod prompts;
mod restart;
mod store;
mod tidying;
