//! Stories told to the whole system.
#![expect(clippy::print_stdout, reason = "stories print their seed, and why they are skipped")]

mod a_destroyed_database_comes_back;
mod a_full_disk_loses_nothing;
mod a_mention_becomes_a_reply;
mod bad_input_is_survived;
mod bad_settings_are_named;
mod killed_in_the_middle;
mod logs_are_found;
mod one_slow_channel;
mod one_trace_for_one_question;
mod one_version_back_by_hand;
mod silence_where_not_invited;
mod the_example_settings_are_true;
mod the_worker_knows_the_gateway;

use system_tests::{House, until};

/// Waits until the worker has no turn under way.
async fn settled(house: &House) -> anyhow::Result<()> {
    let url = format!("sqlite://{}?mode=ro", house.database().display());
    let pool = sqlx::SqlitePool::connect(&url).await?;
    until("no turn is under way", || async {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM turns WHERE state NOT IN ('done', 'dead', 'cancelled')",
        )
        .fetch_one(&pool)
        .await?;
        Ok((open == 0).then_some(()))
    })
    .await
}
