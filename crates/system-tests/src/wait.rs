//! Waiting for something to become true, with a deadline instead of a hope.

use std::time::{Duration, Instant};

/// How long a story waits for something that should happen soon. Generous, as test machines are
/// slow and busy; nothing is ever measured with it.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer, for at most [`PATIENCE`].
pub async fn until<T, F>(what: &str, ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    until_within(PATIENCE, what, ask).await
}

/// Asks again and again until there is an answer, for at most `patience`.
pub async fn until_within<T, F>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
