//! LTX files: written and read back, damaged, merged, and one that litestream itself wrote.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod damage;
mod database;
mod merging;
mod round_trip;
mod stock;
