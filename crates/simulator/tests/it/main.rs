//! The simulator, seen from outside.

mod harness;
mod models;
mod page;
mod twilight;
