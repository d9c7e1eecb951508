//! Keeps copies elsewhere: one way to put, get and list, over a folder, S3, WebDAV, SFTP and rclone.
//!
//! A [`Target`] is one such place. Whatever it is made of, it promises the same:
//!
//! - an object is there whole or not at all: what is under way has another name, or none;
//! - what was put is durable on the far side as far as its protocol can say so;
//! - nothing waits for ever: a transfer that does not move ends, however large it is;
//! - no object needs to fit into memory, except where bytes are asked for as bytes;
//! - a [`Fault`] says which target, what it was doing, what is wrong and what may be done.
//!
//! An [`Envelope`] wraps what leaves the house, so that the far side holds nothing it can read.
//!
//! The crate knows no service, no database and no format of what it carries, and it decides
//! neither when something is copied nor how long it is kept.

mod content;
mod envelope;
mod fault;
mod folder;
mod http;
mod location;
mod object;
mod rclone;
mod retry;
mod s3;
mod sftp;
mod side;
mod target;
mod tls;
mod webdav;

pub use envelope::{Envelope, EnvelopeError};
pub use fault::{Fault, FaultKind};
pub use location::{BadLocation, Location, RclonePlace, S3Place, SftpPlace, WebDavPlace};
pub use object::Object;
pub use target::{Patience, RcloneProgram, Settings, Target};
