//! Trying again what may be tried again, a little later each time.

use std::time::Duration;

use crate::fault::Trouble;

/// How often a request is made before its fault is told.
const ATTEMPTS: u32 = 3;
/// How long to wait before the second attempt; twice as long before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// Does the work until it is done, or its fault will not pass, or it was tried often enough.
///
/// Only for work that does no harm when it is done twice. Every request of a target is of that
/// kind: a put names its object and its bytes, a delete is content when nothing is there.
pub(crate) async fn again<T, F>(mut work: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(trouble) if trouble.kind.may_pass() => {
                tracing::debug!(error = %trouble.detail, "trying a target again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    work().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultKind;

    async fn asked(kind: FaultKind) -> u32 {
        let mut count = 0;
        let result: Result<(), _> = again(|| {
            count += 1;
            std::future::ready(Err(Trouble::new(kind, "no")))
        })
        .await;
        assert_eq!(result.unwrap_err().kind, kind);
        count
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again() {
        assert_eq!(asked(FaultKind::Unreachable).await, ATTEMPTS);
        assert_eq!(asked(FaultKind::Refused).await, 1);
        assert_eq!(asked(FaultKind::NoRoom).await, 1);
    }
}
