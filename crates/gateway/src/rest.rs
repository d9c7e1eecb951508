//! Our client for Discord's REST API, with a policy of its own towards limits and failures.

mod breaker;
mod buckets;
mod call;
mod client;
mod failure;
mod retry_after;

pub(crate) use call::{Call, SentMessage};
pub(crate) use client::Rest;
pub(crate) use failure::{Failure, Rejection};
