//! The contracts, pinned: a change of the wire shows as a change of a snapshot.

mod access;
mod names;
mod shapes;
mod twilight;
