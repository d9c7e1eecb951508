//! Follows a live SQLite database into LTX files and brings it back from them.

pub mod disk;
pub mod follow;
pub mod gate;
pub mod inspect;
pub mod lease;
mod log;
pub mod pages;
pub mod restore;
mod source;
pub mod tree;

pub use follow::{FollowConfig, Follower};
pub use source::SourceError;
