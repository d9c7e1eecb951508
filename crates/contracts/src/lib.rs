//! The messages and subjects as pure data: no I/O, no clock, no async.
//!
//! Everything that two services say to each other is a type of this crate. It owns the names
//! (subjects, streams, buckets, header names, ids) and the shapes of the bodies, each with a
//! schema version; it never opens a socket, reads a clock or knows how a message is carried.

pub mod access;
pub mod command;
pub mod dead_letter;
pub mod discord;
pub mod draft;
pub mod envelope;
pub mod event;
pub mod heartbeat;
pub mod id;
pub mod nonce;
pub mod setting;
pub mod status;
pub mod stream;
pub mod subject;
pub mod trace;
pub mod usage;
