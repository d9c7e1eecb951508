//! A release that does not exist yet, to try moving to it and back again.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::Schema;

/// The schema of a release after the one of `schema`: one revision more, with its way back.
///
/// For tests: what it is made of is never given back.
pub fn next_release(schema: &Schema, up: &'static str, down: &'static str) -> Schema {
    let newest = schema.migrations.iter().map(|revision| revision.version).max().unwrap_or(0);
    let revision = |kind, sql: &'static str| {
        Migration::new(newest + 1, "of the next release".into(), kind, sql.into_sql_str(), false)
    };
    let next =
        [revision(MigrationType::ReversibleUp, up), revision(MigrationType::ReversibleDown, down)];
    let all = schema.migrations.iter().cloned().chain(next).collect();
    let migrations = Box::leak(Box::new(Migrator::with_migrations(all)));
    Schema { release: "99.0.0", migrations, ..*schema }
}
