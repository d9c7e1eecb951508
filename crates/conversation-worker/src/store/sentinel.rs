//! The sign of life that a backup must give back: written with what people said, never alone.

use sqlx::SqliteConnection;

use super::{Step, StoreError};

/// Writes the sign of life, if this process has changed anything since the last one.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
    /// How many messages and replies are kept, at least: another process may have added more.
    pub kept: u64,
    /// What the last one gave; 0 at first.
    pub since: i64,
}

impl Step for Beat {
    /// How many rows this process had changed, this one included: what the next is given.
    type Output = i64;

    const HURRIES: bool = false;

    async fn run(self, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
        let changed = "SELECT total_changes()";
        // A transaction that changes nothing writes nothing.
        let now: i64 = sqlx::query_scalar(changed).fetch_one(&mut *connection).await?;
        if now == self.since {
            return Ok(now);
        }
        sqlx::query(
            "UPDATE sentinel SET beats = beats + 1, written_unix_ms = ?, kept = ?, \
             removed_before = removed",
        )
        .bind(self.now_unix_ms)
        .bind(self.kept.cast_signed())
        .execute(&mut *connection)
        .await?;
        Ok(sqlx::query_scalar(changed).fetch_one(connection).await?)
    }
}
