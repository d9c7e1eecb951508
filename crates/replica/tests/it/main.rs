//! Histories on real disks: trees, restores, and other people's tools on the same files.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod following;
mod history;
mod logs;
mod restores;
mod stock;
mod swaps;
mod trees;
