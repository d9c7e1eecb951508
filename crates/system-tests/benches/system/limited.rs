//! (b) once more, under Discord's limits: the floor is requests divided by 50 a second.

use std::time::Duration;

use crate::Scope;
use crate::figures::{Figure, Section, as_f64};
use crate::pace::Pace;
use crate::stage::Stage;

const MODEL_MS: u64 = 20;
const GLOBAL_PER_SECOND: f64 = 50.0;
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks many questions at once and compares the time until all are answered with the floor.
pub(crate) async fn measure(scope: &Scope, section: &mut Section) -> anyhow::Result<()> {
    let count = scope.sized(200, 60);
    scope.say(&format!("(b) {count} turns under Discord's limits"));
    let mut stage = Stage::build(true, Vec::new()).await?;
    stage.script(&[MODEL_MS]).await?;
    stage.start().await?;
    let round = stage.round(Pace { count, per_second: None }, MODEL_MS, PATIENCE).await?;
    let floor = as_f64(round.requests - round.limited) / GLOBAL_PER_SECOND;
    section.add(
        Figure::new(
            format!("{count} at once under Discord's limits, all answered"),
            round.seconds,
            "s",
        )
        .against(floor),
    );
    section.remark(format!(
        "Under Discord's limits (50 requests a second in all, 5 messages in 5 s for a channel): {} \
         requests for {count} turns, {} of them refused with 429, {} turns not answered in time. \
         The baseline is the floor: the requests that were taken, divided by 50 a second.",
        round.requests, round.limited, round.incomplete,
    ));
    stage.house.worker.stop().await?;
    stage.house.gateway.stop().await?;
    Ok(())
}
