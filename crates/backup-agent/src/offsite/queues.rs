//! All queues of the agent together: their start, what `/health` says of them, and their figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chassis::{Health, Outcome};
use jiff::Timestamp;
use objects::{Envelope, EnvelopeError, Fault, Target};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::queue::{Limits, Proven, Queue, Source};
use super::settings::Elsewhere;
use super::standing::Standing;

/// How old a write may be that is not there yet, before that is a failure and no nuisance.
pub const LAG_MAX: Duration = Duration::from_mins(15);
/// How often figures are brought up to date.
const FIGURES_EVERY: Duration = Duration::from_secs(5);

/// The queues that work.
#[derive(Debug)]
pub struct Queues {
    targets: Vec<Target>,
    envelope: Arc<Envelope>,
    standings: Vec<watch::Receiver<Standing>>,
    proven: BTreeMap<String, watch::Sender<Proven>>,
}

/// Why the queues cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueuesError {
    /// A target that is set up wrongly.
    #[error(transparent)]
    Target(#[from] Fault),
    /// A recipient or an identity that is none.
    #[error("BACKUP_RECIPIENTS or BACKUP_IDENTITY: {0}")]
    Envelope(#[from] EnvelopeError),
}

impl Queues {
    /// Sets every target up and lets its queue work until `stop`. `recipient` is the public half of
    /// the key on the recovery sheet.
    ///
    /// # Errors
    /// A target or a key that cannot be one. That a target cannot be reached is none.
    pub fn start(
        elsewhere: &Elsewhere,
        recipient: &str,
        sources: &[Source],
        state: &Path,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> Result<Self, QueuesError> {
        let recipients: Vec<String> =
            elsewhere.recipients.iter().cloned().chain([recipient.to_owned()]).collect();
        let identities: Vec<_> = elsewhere.identity.iter().cloned().collect();
        let envelope = Arc::new(Envelope::new(&recipients, &identities)?);
        let targets: Vec<Target> =
            elsewhere.targets.iter().map(Target::open).collect::<Result<_, _>>()?;
        let mut queues = Self { targets, envelope, standings: Vec::new(), proven: BTreeMap::new() };
        for target in &queues.targets {
            let staging = state.join("staging").join(target.name());
            let limits = Limits::new(elsewhere.interval, &staging);
            let (proven, receiver) = watch::channel(Proven::new());
            let envelope = Some(Arc::clone(&queues.envelope));
            let queue = Queue::new(target.clone(), envelope, sources.to_vec(), limits, receiver);
            queues.standings.push(queue.standing());
            queues.proven.insert(target.name().to_owned(), proven);
            tasks.spawn(queue.run(stop.clone()));
        }
        Ok(queues)
    }

    /// The targets, for whoever brings something back.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What wraps what leaves; it opens it again only where the agent was given the key.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// How each target stands now.
    pub fn standings(&self) -> Vec<Standing> {
        self.standings.iter().map(|standing| standing.borrow().clone()).collect()
    }

    /// Notes that a verification has brought a transaction back from a target.
    pub fn prove(&self, target: &str, database: &str, timeline: u32, txid: u64) {
        if let Some(proven) = self.proven.get(target) {
            proven.send_modify(|proven| {
                proven.insert(database.to_owned(), (timeline, txid));
            });
        }
    }

    /// Declares a check for each target, `target-<name>`.
    pub fn declare(&self, health: &Health) {
        for standing in &self.standings {
            let (name, its) = (standing.borrow().target.clone(), standing.clone());
            health.computed(&format!("target-{name}"), move || {
                outcome(&its.borrow(), Timestamp::now())
            });
        }
    }

    /// Brings the figures up to date until `stop`.
    pub async fn figures(standings: Vec<watch::Receiver<Standing>>, stop: CancellationToken) {
        describe();
        while stop.run_until_cancelled(tokio::time::sleep(FIGURES_EVERY)).await.is_some() {
            for standing in &standings {
                show(&standing.borrow(), Timestamp::now());
            }
        }
    }

    /// What the figures are taken from.
    pub fn watched(&self) -> Vec<watch::Receiver<Standing>> {
        self.standings.clone()
    }
}

/// What `/health` says of a target: how far it lies behind decides, and not each fault on the way.
pub fn outcome(standing: &Standing, now: Timestamp) -> Outcome {
    let name = &standing.target;
    let age = standing.lag.map_or(Duration::ZERO, |lag| lag.age(now));
    let (why, since) = match &standing.fault {
        Some(fault) => (format!(": {}", fault.text), Some(fault.since)),
        None => (String::new(), None),
    };
    let faulty = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    let longest = age.max(faulty.unwrap_or_default());
    let minutes = longest.as_secs() / 60;
    let remedy = (
        "do what the message says; everything is still kept here, and is sent once the target \
         can be reached",
        "上の内容に従ってください。控えは手元に残っていて、送れるようになれば自動で送られます",
    );
    if longest > LAG_MAX {
        let reason = (
            format!("the copy on {name} lies {minutes} min behind{why}"),
            format!("{name} への控えが {minutes} 分遅れています{why}"),
        );
        return Outcome::failing(reason, remedy);
    }
    let removal = standing.removal_fault.as_ref().map(|fault| &fault.text);
    match (&standing.fault, removal) {
        (Some(_), _) => Outcome::degraded(
            (
                format!("{name} cannot be written to now{why}"),
                format!("{name} に今は書き込めません{why}"),
            ),
            remedy,
        ),
        (None, Some(text)) => Outcome::degraded(
            (
                format!("what is no longer kept cannot be removed from {name}: {text}"),
                format!("残さないことになったものを {name} から消せません: {text}"),
            ),
            (
                "give the account there the right to remove, unless it is kept away on purpose",
                "そのアカウントに削除の権限を与えてください(わざと外している場合は除きます)",
            ),
        ),
        (None, None) => Outcome::Ok,
    }
}

fn describe() {
    metrics::describe_gauge!(
        "backup_target_lag_seconds",
        "How old the oldest write is that is not on the target yet."
    );
    metrics::describe_gauge!(
        "backup_target_pending_bytes",
        "Bytes that lead to the newest recovery point and are not on the target yet."
    );
    metrics::describe_gauge!("backup_target_bytes", "Bytes that lie on the target.");
    metrics::describe_gauge!(
        "backup_target_up",
        "Whether the target could be written to when it was last tried."
    );
    metrics::describe_gauge!(
        "backup_target_sent_bytes",
        "Bytes that were sent to the target since the agent began."
    );
}

fn show(standing: &Standing, now: Timestamp) {
    let gauge = |figure: &'static str| metrics::gauge!(figure, "target" => standing.target.clone());
    if let Some(lag) = standing.lag {
        gauge("backup_target_lag_seconds").set(lag.age(now).as_secs_f64());
        gauge("backup_target_pending_bytes").set(float(lag.bytes));
    }
    gauge("backup_target_bytes").set(float(standing.bytes_there));
    gauge("backup_target_sent_bytes").set(float(standing.sent_bytes));
    gauge("backup_target_up").set(if standing.fault.is_some() { 0.0 } else { 1.0 });
}

#[expect(clippy::cast_precision_loss, reason = "figures need no last byte")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use objects::FaultKind;

    use super::super::standing::{Lag, Trouble};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_target_is_yellow_while_it_fails_and_red_once_it_lies_behind() {
        let now = at("2026-11-22T12:00:00Z");
        let mut standing = Standing::of("nas");
        assert_eq!(outcome(&standing, now), Outcome::Ok);
        let told = "put x on target \"nas\": it has no room left".to_owned();
        Trouble::meet(&mut standing.fault, FaultKind::NoRoom, told, at("2026-11-22T11:50:00Z"));
        let Outcome::Degraded { reason, .. } = outcome(&standing, now) else {
            panic!("not yellow")
        };
        assert!(format!("{reason:?}").contains("no room left"));
        let since = Some(at("2026-11-22T11:40:00Z"));
        standing.lag = Some(Lag { since, ..Lag::default() });
        let Outcome::Failing { reason, .. } = outcome(&standing, now) else { panic!("not red") };
        assert!(format!("{reason:?}").contains("lies 20 min behind"), "{reason:?}");
    }

    #[test]
    fn a_target_that_fails_before_it_was_ever_looked_at_gets_red_too() {
        let mut standing = Standing::of("nas");
        let began = at("2026-11-22T11:00:00Z");
        Trouble::meet(&mut standing.fault, FaultKind::Refused, "no".to_owned(), began);
        assert!(outcome(&standing, at("2026-11-22T12:00:00Z")).is_failing());
    }
}
