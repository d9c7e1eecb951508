//! The simulator, seen from outside.

mod clients;
mod contract;
mod control;
mod gateway;
mod harness;
mod limits;
mod models;
mod page;
mod rest;
mod twilight;
