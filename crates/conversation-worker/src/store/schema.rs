//! What makes a file this service's database: its mark and its revisions.

use database::Schema;
use sqlx::migrate::Migrator;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/conversation-worker");

/// "konn", as the first revision writes it into the file's header.
const APPLICATION_ID: u32 = 1_802_464_878;

/// The conversation database.
pub static SCHEMA: Schema = Schema {
    service: "conversation-worker",
    release: env!("CARGO_PKG_VERSION"),
    application_id: APPLICATION_ID,
    migrations: &MIGRATIONS,
};
