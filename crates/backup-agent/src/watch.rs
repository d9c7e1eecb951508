//! The watch shows on `/health` and `/metrics` how the backups stand.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Health;
use jiff::Timestamp;
use replica::follow::Status;
use tokio_util::sync::CancellationToken;

use crate::checks::{self, Room};
use crate::config::Config;
use crate::follow::Handle;
use crate::job::Job;
use crate::runner::Journal;
use crate::sheet;

/// How often figures are brought up to date.
const EVERY: Duration = Duration::from_secs(5);

/// Declares the checks of everything but the followers, whose own they are. None waits for
/// anything: each is worked out when it is asked for.
pub fn declare(health: &Health, config: &Config, journal: &Journal, elsewhere: usize) {
    let (its, limits) = (journal.clone(), config.limits.clone());
    health.computed("full", move || checks::full(&its.record(), Timestamp::now(), &limits));
    for job in [Job::Differential, Job::Audit] {
        let its = journal.clone();
        health.computed(job.word(), move || checks::job(job, &its.record()));
    }
    let (its, limits) = (journal.clone(), config.limits.clone());
    health.computed("verification", move || {
        checks::verification(&its.record(), Timestamp::now(), &limits)
    });
    let (repository, limits) = (config.repository.clone(), config.limits.clone());
    health.computed("disk", move || checks::disk(room(&repository), &limits));
    let state = config.state.clone();
    health.computed("sheet", move || checks::sheet(sheet::is_confirmed(&state)));
    let repository = config.repository.clone();
    let databases: Vec<PathBuf> =
        config.databases.iter().map(|database| database.path.clone()).collect();
    health.computed("copies", move || {
        let beside = databases.iter().any(|database| on_one_volume(&repository, database));
        checks::copies(beside, elsewhere)
    });
}

/// Brings the figures up to date until `stop`.
pub async fn figures(
    config: Config,
    journal: Journal,
    followed: Vec<Handle>,
    stop: CancellationToken,
) {
    describe();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        for handle in &followed {
            of_follower(&handle.place.name, &handle.status());
        }
        let record = journal.record();
        for job in Job::ALL {
            let standing = record.of(job);
            if let Some(succeeded) = standing.succeeded {
                gauge("backup_last_success_timestamp_seconds", job, succeeded.as_second());
            }
            if let Some(took_ms) = standing.took_ms {
                let took_s = Duration::from_millis(took_ms).as_secs_f64();
                metrics::gauge!("backup_last_duration_seconds", "job" => job.word()).set(took_s);
            }
            let failures = standing.failure.as_ref().map_or(0, |failure| failure.times.max(1));
            gauge("backup_failures_in_a_row", job, i64::from(failures));
            let running = journal.running().is_some_and(|(runs, _)| runs == job);
            gauge("backup_job_running", job, i64::from(running));
        }
        if let Some(room) = room(&config.repository) {
            metrics::gauge!("backup_repository_free_bytes").set(float(room.free));
            metrics::gauge!("backup_repository_disk_bytes").set(float(room.total));
        }
        let confirmed = sheet::is_confirmed(&config.state);
        metrics::gauge!("backup_recovery_sheet_confirmed").set(f64::from(u8::from(confirmed)));
    }
}

fn of_follower(database: &str, status: &Status) {
    let gauge = |name: &'static str, value: f64| {
        metrics::gauge!(name, "database" => database.to_owned()).set(value);
    };
    gauge("backup_lag_seconds", status.lag(Timestamp::now()).as_secs_f64());
    gauge("backup_transaction", float(status.txid));
    gauge("backup_wal_bytes", float(status.log_bytes));
    gauge("backup_gaps_repaired", float(status.gaps));
    gauge("backup_shipped_files", float(status.files));
    gauge("backup_shipped_bytes", float(status.bytes));
    gauge("backup_follower_faults", float(status.faults.len() as u64));
}

fn describe() {
    metrics::describe_gauge!("backup_lag_seconds", "How long a write has waited to be copied.");
    metrics::describe_gauge!("backup_transaction", "The last transaction that is copied.");
    metrics::describe_gauge!("backup_wal_bytes", "The length of the database's log of writes.");
    metrics::describe_gauge!("backup_gaps_repaired", "Gaps repaired since the start.");
    metrics::describe_gauge!("backup_shipped_files", "Files of history written since the start.");
    metrics::describe_gauge!("backup_shipped_bytes", "Their bytes.");
    metrics::describe_gauge!("backup_follower_faults", "What keeps a database from being copied.");
    metrics::describe_gauge!(
        "backup_last_success_timestamp_seconds",
        "When the job last ended well, in Unix seconds."
    );
    metrics::describe_gauge!("backup_last_duration_seconds", "How long that took.");
    metrics::describe_gauge!("backup_failures_in_a_row", "Failures since the job last ended well.");
    metrics::describe_gauge!("backup_job_running", "Whether the job runs now.");
    metrics::describe_gauge!("backup_repository_free_bytes", "Room left for copies.");
    metrics::describe_gauge!("backup_repository_disk_bytes", "Size of the disk of the copies.");
    metrics::describe_gauge!(
        "backup_recovery_sheet_confirmed",
        "Whether somebody has put the recovery sheet away."
    );
}

fn gauge(name: &'static str, job: Job, value: i64) {
    #[expect(clippy::cast_precision_loss, reason = "seconds and small counts are exact in a float")]
    let value = value as f64;
    metrics::gauge!(name, "job" => job.word()).set(value);
}

#[expect(clippy::cast_precision_loss, reason = "sizes of disks need no last byte")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

/// The disk that holds `path`.
pub fn room(path: &Path) -> Option<Room> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Room { free: bytes(disk.f_bavail), total: bytes(disk.f_blocks) })
}

/// Whether two paths lie on one volume, as far as they, or their folders, can be looked at.
fn on_one_volume(one: &Path, other: &Path) -> bool {
    let volume = |path: &Path| {
        path.ancestors().find_map(|part| std::fs::metadata(part).ok()).map(|about| about.dev())
    };
    volume(one).is_some_and(|its| volume(other) == Some(its))
}
