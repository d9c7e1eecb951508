//! The contracts, pinned: a change of the wire shows as a change of a snapshot.

mod names;
mod shapes;
mod twilight;
