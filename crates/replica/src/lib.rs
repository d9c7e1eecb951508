//! Follows a live SQLite database into LTX files and brings it back from them.

pub mod disk;
pub mod restore;
pub mod tree;
