//! Says how the gateway is: on the bus every few seconds, and on its own `/health`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Bus, Standing};
use chassis::{Check, Health, Outcome};
use contracts::status::{GatewayStatus, STATUS_EVERY_SECONDS, ShardState};
use contracts::{envelope, subject};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::directory::Directory;
use crate::forward::Forwarder;
use crate::outbound::Sender;
use crate::rest::Rest;
use crate::session::{Gate, Refusal, Report, Snapshot};

/// How often things are looked at that say nothing of themselves.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When the status is said again: a little early, since we look only once a second.
const SPEAK_AFTER: Duration = Duration::from_millis(STATUS_EVERY_SECONDS * 1_000 - 500);
/// How long a session may be away before that counts as a failure: a resume takes a moment.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// The checks of the gateway's `/health`.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    discord: Check,
    bus: Check,
    sender: Check,
}

impl Checks {
    /// Declares them; until they are set they say that the gateway is starting.
    pub(crate) fn declare(health: &Health) -> Self {
        health.headline("discord", "connected", "disconnected");
        Self {
            discord: health.check("discord"),
            bus: health.check("bus"),
            sender: health.check("sender"),
        }
    }

    /// Says why Discord refuses us, and when the next login is tried (Unix milliseconds).
    pub(crate) fn refused(&self, refusal: Refusal, again_unix_ms: Option<u64>) {
        self.discord.set(refused(refusal, again_unix_ms));
    }

    /// Says how the bus is.
    pub(crate) fn bus(&self, standing: &Standing) {
        self.bus.set(standing.explanation().map_or(Outcome::Ok, |explanation| {
            Outcome::failing(explanation.reason, explanation.remedy)
        }));
    }
}

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The bus.
    pub bus: Bus,
    /// The shards' words on themselves.
    pub reports: Vec<Report>,
    /// Counts logins.
    pub gate: Gate,
    /// The client for Discord.
    pub rest: Rest,
    /// Who we are.
    pub directory: Arc<Directory>,
    /// Whether we send.
    pub sender: Sender,
    /// What is held for the bus.
    pub forwarder: Forwarder,
    /// Notified when a shard's state changes.
    pub changed: Arc<Notify>,
}

/// Looks every second and speaks every few, and whenever someone asks, until told to stop.
pub(crate) async fn watch(watched: Watched, checks: Checks, stop: CancellationToken) {
    let mut spoken: Option<(Instant, Vec<ShardState>)> = None;
    let mut interval = tokio::time::interval(LOOK_EVERY);
    let mut questions = match watched.bus.subscribe(subject::GATEWAY_ASK).await {
        Ok(questions) => Some(questions),
        Err(error) => {
            tracing::warn!(%error, "nobody can ask for the status; it is said every few seconds");
            None
        }
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
            () = watched.changed.notified() => {}
            () = asked(questions.as_mut()) => spoken = None,
        }
        let snapshots: Vec<Snapshot> = watched.reports.iter().map(Report::snapshot).collect();
        if snapshots.is_empty() || !snapshots.iter().all(is_starting) {
            checks.discord.set(discord(&snapshots));
        }
        checks.sender.set(sender(&watched));
        let held = u32::try_from(watched.forwarder.held_bytes()).unwrap_or(u32::MAX);
        metrics::gauge!("gateway_held_bytes").set(f64::from(held));
        let states: Vec<ShardState> = snapshots.iter().map(|snapshot| snapshot.state).collect();
        // A change is said at once: others wait for it.
        let is_due =
            spoken.as_ref().is_none_or(|(at, said)| at.elapsed() >= SPEAK_AFTER || *said != states);
        if is_due {
            spoken = Some((Instant::now(), states));
            speak(&watched, &snapshots).await;
        }
    }
}

/// Returns when someone has asked; never, where nobody can.
async fn asked(questions: Option<&mut bus::Subscription>) {
    let asked = match questions {
        Some(questions) => questions.next().await,
        None => None,
    };
    if asked.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn speak(watched: &Watched, snapshots: &[Snapshot]) {
    let shards = u32::try_from(snapshots.len()).unwrap_or(u32::MAX);
    for snapshot in snapshots {
        let status = GatewayStatus {
            shard: snapshot.shard,
            shards,
            state: snapshot.state,
            latency_ms: snapshot
                .latency
                .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            identifies_left: Some(watched.gate.identifies_left()),
            bot: watched.directory.bot(),
            sender: watched.sender.is_held(),
            at_unix_ms: clock::unix_ms(),
        };
        let subject = subject::gateway_status(snapshot.shard);
        if let Err(error) = watched.bus.publish_core(subject, envelope::encode(&status)).await {
            tracing::debug!(%error, "the status was not said");
        }
    }
}

/// Whether a shard is on its way to its first session, as it should be after a start.
fn is_starting(snapshot: &Snapshot) -> bool {
    snapshot.state == ShardState::Connecting
        && snapshot.refusal.is_none()
        && snapshot.login_unix_ms.is_none()
        && snapshot.since.elapsed() < AWAY_MAX
}

/// The worst of all shards.
fn discord(snapshots: &[Snapshot]) -> Outcome {
    let worst = snapshots.iter().map(of_shard).max_by_key(|outcome| match outcome {
        Outcome::Ok => 0,
        Outcome::Degraded { .. } => 1,
        Outcome::Failing { .. } => 2,
    });
    worst.unwrap_or_else(|| {
        Outcome::failing(
            ("no shard is running", "シャードが動いていません"),
            ("read the gateway's log", "ゲートウェイのログをご覧ください"),
        )
    })
}

fn of_shard(snapshot: &Snapshot) -> Outcome {
    if let Some(refusal) = snapshot.refusal {
        return refused(refusal, snapshot.login_unix_ms);
    }
    let shard = snapshot.shard;
    if let Some(at) = snapshot.login_unix_ms {
        let seconds = at.saturating_sub(clock::unix_ms()) / 1_000;
        return Outcome::failing(
            (
                format!(
                    "shard {shard} waits {seconds} s before its next login, to spare the day's \
                     limit"
                ),
                format!(
                    "シャード {shard} は、1 日のログイン回数を守るため、次のログインまで {seconds} 秒\
                     待っています"
                ),
            ),
            (
                "wait; if this lasts, something ends the sessions: read the gateway's log",
                "お待ちください。続く場合はログを確認してください",
            ),
        );
    }
    match snapshot.state {
        ShardState::Connected => Outcome::Ok,
        _ if snapshot.paused => Outcome::failing(
            (
                format!("shard {shard} is paused: the bus takes too little"),
                format!("シャード {shard} は一時停止中です(NATS が受け取りきれません)"),
            ),
            (
                "look after nats-server: its disk may be full",
                "nats-server とディスクの空きを確認してください",
            ),
        ),
        ShardState::Disconnected if snapshot.since.elapsed() < AWAY_MAX => Outcome::degraded(
            (format!("shard {shard} is coming back"), format!("シャード {shard} は再接続中です")),
            ("wait a moment", "しばらくお待ちください"),
        ),
        ShardState::Connecting | ShardState::Disconnected | ShardState::Refused => {
            Outcome::failing(
                (
                    format!("shard {shard} has no session with Discord"),
                    format!("シャード {shard} は Discord に接続できていません"),
                ),
                (
                    "check the network and https://discordstatus.com",
                    "ネットワークと https://discordstatus.com を確認してください",
                ),
            )
        }
    }
}

fn sender(watched: &Watched) -> Outcome {
    if watched.rest.is_unauthorized() {
        return refused(Refusal { code: 401 }, None);
    }
    if let Some(until) = watched.rest.paused_until() {
        let minutes = until.saturating_duration_since(Instant::now()).as_secs().div_ceil(60);
        return Outcome::failing(
            (
                format!(
                    "Discord refused too many requests in ten minutes; nothing is sent for \
                     {minutes} min, to avoid a ban"
                ),
                format!(
                    "Discord に拒否された要求が 10 分間に多すぎました。利用停止を避けるため、あと \
                     {minutes} 分は何も送りません"
                ),
            ),
            (
                "give the bot the permissions it lacks in its channels; sending goes on by itself",
                "ボットのチャンネル権限を確認してください。送信は自動で再開します",
            ),
        );
    }
    if watched.sender.is_held() {
        Outcome::Ok
    } else {
        Outcome::degraded(
            ("another process sends", "別のプロセスが送信を担当しています"),
            ("nothing", "対処は不要です"),
        )
    }
}

fn refused(refusal: Refusal, again_unix_ms: Option<u64>) -> Outcome {
    let (again, again_ja) = again_unix_ms.map_or_else(Default::default, |at| {
        let minutes = at.saturating_sub(clock::unix_ms()).div_ceil(60_000);
        (
            format!("; the next login is tried within {minutes} min"),
            format!("。次のログインは {minutes} 分以内に試します"),
        )
    });
    let (setting, code) = (refusal.setting(), refusal.code);
    Outcome::failing(
        (
            format!("{setting} {} (code {code}){again}", refusal.problem()),
            format!("{setting} {}(コード {code}){again_ja}", refusal.problem_ja()),
        ),
        refusal.remedy(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_shard_decides() {
        let well = Report::new(0, Arc::default()).snapshot();
        let well = Snapshot { state: ShardState::Connected, ..well };
        assert_eq!(discord(std::slice::from_ref(&well)), Outcome::Ok);
        let away = Snapshot { state: ShardState::Disconnected, ..well.clone() };
        assert!(matches!(discord(&[well.clone(), away]), Outcome::Degraded { .. }));
        let refused = Snapshot { refusal: Some(Refusal { code: 4014 }), ..well.clone() };
        let outcome = discord(&[well, refused]);
        assert!(matches!(&outcome, Outcome::Failing { remedy, .. }
            if remedy.contains("Message Content Intent") && remedy.contains("有効")));
        assert!(discord(&[]).is_failing());
    }
}
