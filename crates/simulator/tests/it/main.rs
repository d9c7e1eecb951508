//! The simulator, seen from outside.

mod models;
mod page;
