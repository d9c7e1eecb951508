//! Copies elsewhere: every history, in real time, at any number of targets, each by itself.
//!
//! Each target has a [`Queue`] of its own, which knows nothing of the others: one that is slow,
//! full or gone delays neither them nor what is kept here. What a target lacks is found by
//! comparing two listings, so that there is no state that could lie about it. First goes what leads
//! to the newest recovery point, by the fewest and largest files, then the history behind it,
//! newest first. What was forgotten here is forgotten there too, but never what the newest recovery
//! point there needs, nor what was last verified there.
//!
//! What leaves is wrapped by [`objects::Envelope`]. A history lies at
//! `databases/<name>/<timeline>-<when it began>/` in the layout that stock litestream restores,
//! with `.age` behind each name. When a timeline began is part of the name because a house that was
//! built anew begins with timeline 1 again, and must not write over the one that was lost.

mod bring_back;
mod decide;
mod far;
mod queue;
mod queues;
mod settings;
mod standing;

pub use bring_back::{BringBackError, FarTimeline, bring_back, bring_back_newest, timelines};
pub use queue::{Limits, Proven, Queue, Source};
pub use queues::{LAG_MAX, Queues, QueuesError, outcome};
pub use settings::Elsewhere;
pub use standing::{Lag, Standing, Trouble};
