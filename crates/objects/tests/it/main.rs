//! Targets against real far sides on loopback.
#![expect(clippy::unwrap_used, reason = "what helpers of a test cannot do fails the test")]

mod conformance;
mod faults;
mod peers;
mod ssh;
mod stock_age;
