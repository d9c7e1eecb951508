//! Keeps the tables that only matter for a while from growing for ever.

use sqlx::SqliteConnection;

use super::{Step, StoreError};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Events, commands and results live for 72 hours on the bus; what refers to them need not
/// outlive them by much.
const KEPT_MS: i64 = 7 * DAY_MS;
/// How many rows one run removes of each, so that nobody waits for it.
const ROWS_MAX: i64 = 1000;

/// Removes what has outlived its use.
#[derive(Debug, Clone, Copy)]
pub struct Tidy {
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

impl Step for Tidy {
    /// How many rows went.
    type Output = u64;

    const HURRIES: bool = false;

    async fn run(self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        let before = self.now_unix_ms - KEPT_MS;
        let mut removed = 0;
        for sql in [
            "DELETE FROM tombstones WHERE message_id IN (SELECT message_id FROM tombstones \
             WHERE deleted_unix_ms < ? ORDER BY deleted_unix_ms LIMIT ?)",
            "DELETE FROM copies WHERE (message_id, stream_sequence) IN (SELECT message_id, \
             stream_sequence FROM copies WHERE stored_unix_ms < ? ORDER BY stored_unix_ms LIMIT ?)",
            // Sequences grow with time: from the first row that is young enough on, all are, and
            // the table is not read to its end.
            "DELETE FROM outbox WHERE sequence IN (SELECT sequence FROM outbox WHERE sequence < \
             coalesce((SELECT sequence FROM outbox WHERE created_unix_ms >= ? ORDER BY sequence \
             LIMIT 1), 9223372036854775807) AND result IS NOT NULL AND payload IS NULL \
             ORDER BY sequence LIMIT ?)",
        ] {
            let done =
                sqlx::query(sql).bind(before).bind(ROWS_MAX).execute(&mut *connection).await?;
            removed += done.rows_affected();
        }
        Ok(removed)
    }
}
