//! The messages and subjects as pure data: no I/O, no clock, no async.
