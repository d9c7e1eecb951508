//! What the owner sets for the backups, and the limits they keep to.

mod place;

use std::path::PathBuf;
use std::time::Duration;

use chassis::{Reader, SecretString};
use snapshots::{Class, Rules};

use crate::job::Job;
use crate::offsite::Elsewhere;
use crate::schedule::{Pattern, Schedule};

use place::Places;

pub use place::Place;

/// The wall-clock times of each job.
const TIMES: [(Job, &str, &str); 4] = [
    (Job::Full, "BACKUP_FULL_AT", "0 2 * * *"),
    (Job::Differential, "BACKUP_DIFFERENTIAL_AT", "0 */6 * * *"),
    (Job::Audit, "BACKUP_AUDIT_AT", "30 3 * * *"),
    (Job::Verification, "BACKUP_VERIFY_AT", "0 4 * * 0"),
];

/// The settings of the agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where copies are kept (`BACKUP_DIR`).
    pub repository: PathBuf,
    /// The agent's own folder, for what must not lie beside the copies (`BACKUP_STATE_DIR`).
    pub state: PathBuf,
    /// Where commands reach the running agent (`BACKUP_SOCKET`).
    pub socket: PathBuf,
    /// The databases to follow (`BACKUP_DATABASES`).
    pub databases: Vec<Place>,
    /// The folders to take snapshots of (`BACKUP_FOLDERS`).
    pub folders: Vec<Place>,
    /// What locks the snapshots (`BACKUP_REPOSITORY_PASSWORD`).
    pub password: SecretString,
    /// When what runs.
    pub schedule: Schedule,
    /// How long what is kept.
    pub keep: Keep,
    /// The code of the recovery sheet, where somebody gives it here (`BACKUP_SHEET_CODE`).
    pub sheet_code: Option<String>,
    /// The targets elsewhere.
    pub elsewhere: Elsewhere,
    /// The limits it keeps to.
    pub limits: Limits,
}

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Conversations, in days (`BACKUP_KEEP_CONVERSATIONS_DAYS`): people's words do not lie in
    /// archives for years unasked.
    pub conversations_days: u32,
    /// Of everything else, the last of so many days (`BACKUP_KEEP_DAILY`),
    pub daily: usize,
    /// weeks (`BACKUP_KEEP_WEEKLY`),
    pub weekly: usize,
    /// months (`BACKUP_KEEP_MONTHLY`),
    pub monthly: usize,
    /// and years (`BACKUP_KEEP_YEARLY`).
    pub yearly: usize,
}

impl Keep {
    /// What the history of a database is kept by. It holds what people said, so that nothing in
    /// it is kept longer than conversations are.
    pub fn history(&self) -> replica::tree::Rules {
        replica::tree::Rules {
            fulls: self.daily.max(1),
            age_max: Some(Duration::from_hours(u64::from(self.conversations_days) * 24)),
            ..replica::tree::Rules::default()
        }
    }

    /// What snapshots of a class are kept by.
    pub fn rules(&self, class: Class) -> Rules {
        match class {
            Class::Conversations => {
                let days_max = Some(self.conversations_days);
                Rules { daily: self.daily, weekly: self.weekly, monthly: 0, yearly: 0, days_max }
            }
            // What passes through the bus is gone from there after days, too.
            Class::Events => Rules::of(Class::Events),
            Class::Settings | Class::Metrics | Class::Volume => Rules {
                daily: self.daily,
                weekly: self.weekly,
                monthly: self.monthly,
                yearly: self.yearly,
                days_max: None,
            },
        }
    }
}

/// Limits that only tests change.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How old the newest write may be that is not yet copied.
    pub lag_max: Duration,
    /// How old the last full copy may be.
    pub full_age_max: Duration,
    /// How old the last verification that ended well may be.
    pub verification_age_max: Duration,
    /// How large a database's log of writes may grow.
    pub wal_bytes_max: u64,
    /// How much of the disk must stay free, in percent.
    pub free_percent_min: u64,
    /// How often the clock is looked at, to see what is due.
    pub look_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lag_max: Duration::from_secs(5),
            full_age_max: Duration::from_hours(26),
            verification_age_max: Duration::from_hours(8 * 24),
            wal_bytes_max: 64 * 1024 * 1024,
            free_percent_min: 10,
            look_every: Duration::from_secs(20),
        }
    }
}

impl Config {
    /// Reads the settings; `None` where a fault was recorded.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let repository = reader.path_or("BACKUP_DIR", "backups");
        reader.needs_folder("BACKUP_DIR", &repository);
        let state = reader.path_or("BACKUP_STATE_DIR", "data/backup-agent");
        reader.needs_folder("BACKUP_STATE_DIR", &state);
        let socket = socket(reader);
        let databases = databases(reader);
        for database in &databases {
            reader.needs_database("BACKUP_DATABASES", &database.path);
        }
        let folders = Places::read(reader, "BACKUP_FOLDERS", Places(Vec::new()));
        let password = password(reader);
        let sheet_code = reader.optional("BACKUP_SHEET_CODE");
        let schedule = schedule(reader);
        let keep = Keep::read(reader);
        let elsewhere = Elsewhere::read(reader, &state);
        Some(Self {
            repository,
            state,
            socket,
            databases,
            folders,
            password: password?,
            schedule: schedule?,
            keep,
            sheet_code,
            elsewhere,
            limits: Limits::default(),
        })
    }
}

/// The databases (`BACKUP_DATABASES`).
fn databases(reader: &mut Reader) -> Vec<Place> {
    let path = PathBuf::from("data/conversation.db");
    let default = Place { name: "conversations".to_owned(), class: None, path };
    Places::read(reader, "BACKUP_DATABASES", Places(vec![default]))
}

/// Where commands reach the running agent (`BACKUP_SOCKET`), which they need without all the rest.
pub(crate) fn socket(reader: &mut Reader) -> PathBuf {
    reader.path_or("BACKUP_SOCKET", "data/backup-agent/agent.sock")
}

fn password(reader: &mut Reader) -> Option<SecretString> {
    let before = reader.has_faults();
    let password = reader.optional_secret("BACKUP_REPOSITORY_PASSWORD");
    if password.is_none() && reader.has_faults() == before {
        reader.fault(
            "BACKUP_REPOSITORY_PASSWORD",
            (
                "is not set, nor is BACKUP_REPOSITORY_PASSWORD_FILE",
                "(BACKUP_REPOSITORY_PASSWORD_FILE も)が設定されていません",
            ),
            (
                "set BACKUP_REPOSITORY_PASSWORD_FILE to a file with a long random text, as `prepare folders` \
                 makes one; whoever loses that text loses the snapshots",
                "長くてでたらめな文字列を書いたファイルを BACKUP_REPOSITORY_PASSWORD_FILE に指定してください\
                 (`prepare folders` が作ります)。失くすとスナップショットを開けなくなります",
            ),
        );
    }
    password
}

fn schedule(reader: &mut Reader) -> Option<Schedule> {
    let patterns: Option<Vec<(Job, Pattern)>> = TIMES
        .into_iter()
        .map(|(job, key, default)| {
            let default: Pattern = default.parse().ok()?;
            Some((job, reader.or(key, default)))
        })
        .collect();
    // Read whatever is wrong with the patterns: all faults are told at once.
    let zone = reader.time_zone();
    Some(Schedule { patterns: patterns?, zone: zone? })
}

impl Keep {
    fn read(reader: &mut Reader) -> Self {
        Self {
            conversations_days: reader.in_range("BACKUP_KEEP_CONVERSATIONS_DAYS", 35, 1..=3_650),
            daily: reader.in_range("BACKUP_KEEP_DAILY", 7, 1..=1_000),
            weekly: reader.in_range("BACKUP_KEEP_WEEKLY", 4, 0..=1_000),
            monthly: reader.in_range("BACKUP_KEEP_MONTHLY", 12, 0..=1_000),
            yearly: reader.in_range("BACKUP_KEEP_YEARLY", 5, 0..=1_000),
        }
    }
}

#[cfg(test)]
mod tests;
