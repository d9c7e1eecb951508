//! `cargo xtask checklist <point>`: what must hold before something is deployed, one command a point.
//!
//! The first point of the list, the tests, is `cargo xtask ci`.

mod environment;
mod migrations;
mod monitoring;
mod rollback;

use anyhow::Result;
use clap::Subcommand;

use crate::deny;
use crate::say;
use crate::workflows;

/// The points, in the order of the list.
#[derive(Debug, Subcommand)]
pub(crate) enum Point {
    /// Advisories, licences, sources and workflows; what cannot be checked fails.
    Security,
    /// Every migration has a way back, and none that was released has changed.
    Migrations,
    /// Every setting of an environment is there, and its Discord application is its own.
    Environment(environment::Options),
    /// What runs now is written down, so that one command brings it back.
    Rollback(rollback::Options),
    /// Somebody is told when something fails.
    Monitoring,
}

/// Checks one point; every fault of it is said at once.
pub(crate) fn run(point: &Point) -> Result<()> {
    match point {
        Point::Security => {
            deny::insist()?;
            workflows::insist()?;
        }
        Point::Migrations => migrations::check()?,
        Point::Environment(options) => environment::check(options)?,
        Point::Rollback(options) => rollback::prepare(options)?,
        Point::Monitoring => monitoring::check()?,
    }
    say::aside("checklist: this point holds");
    Ok(())
}
