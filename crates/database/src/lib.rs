//! Opens a service's SQLite file safely and keeps its tables at the service's revision.
//!
//! Every service that owns a database opens it here, so that all of them are durable in the same
//! way, are migrated by the same rules, and survive the same accidents: a file that is copied back
//! with `cp`, swapped while it is in use, or parted from its write-ahead log. The crate knows no
//! table of any service and writes no row that people said; what a service keeps is its own
//! business.
//!
//! Beside the database at `x.db` stand `x.db.identity` (which file was last in use here),
//! `x.db.lock` (who uses it), `before-migration/` (copies made before every change) and, after an
//! accident, `set-aside/` (what did not belong to the file).
#![forbid(unsafe_code)]

mod change;
mod command;
mod copies;
mod error;
mod guard;
mod header;
mod held;
mod life;
mod lock;
mod log;
mod open;
#[cfg(feature = "rehearsal")]
pub mod rehearsal;
mod restored;
mod revisions;

use sqlx::migrate::Migrator;

pub use command::{Answer, USAGE, migrate};
pub use error::OpenError;
pub use guard::{Exchanged, Guard};
pub use open::{Opened, open};

/// What makes a file the database of one service.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The service that owns the database, e.g. `conversation-worker`.
    pub service: &'static str,
    /// Its release, which is written down with every revision it applies.
    pub release: &'static str,
    /// Its mark in the file's header, as the first revision sets it (`PRAGMA application_id`).
    pub application_id: u32,
    /// Its revisions, each with a way back.
    pub migrations: &'static Migrator,
}
