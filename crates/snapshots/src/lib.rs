//! Keeps snapshots of databases and folders in restic repositories.
//!
//! A repository is a folder or a far side in the format that stock `restic` reads, so that
//! everything kept here can be brought back without this crate. Two kinds stand side by side: one
//! cuts into fixed pieces and is for database images, whose pages stay where they are; the other
//! cuts by content and is for folders of files.
//!
//! What the crate promises: a snapshot appears only when everything in it was read to its end and
//! lies safely in the repository; nothing is forgotten before a successor is proven; what is
//! damaged is named. It knows no schedule, no database and no service: images of databases come
//! in as readers, and a live database file is never opened here.
//!
//! Everything blocks: callers run it beside, not on, an asynchronous runtime's own threads.
#![forbid(unsafe_code)]

mod check;
mod error;
mod forget;
mod keep;
mod key;
mod label;
mod repository;
mod restore;
mod store;
mod take;

pub use check::{Depth, Fault, Findings};
pub use error::Error;
pub use forget::{Forgotten, Pruned};
pub use keep::{Decision, Due, Kept, Point, Rules, decide};
pub use label::{Class, Label, Snapshot};
pub use repository::{Kind, Listing, Repository};
pub use restore::Restored;
pub use store::Place;
pub use take::{Folder, Image, ImageOf, Stream, Taken, Trouble};
