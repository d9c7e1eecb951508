//! What of a tree may go: a pure rule that tells of each file why it stays or why it need not.

use std::collections::HashSet;
use std::time::Duration;

use super::catalogue::{Catalogue, Entry};
use super::error::TreeError;
use super::{MINUTES, SHIPPED, Tree};

const DAY: Duration = Duration::from_hours(24);

/// How long what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How many fulls at least, and at most where none is needed for another reason; at least 1.
    pub fulls: usize,
    /// How long every single transaction stays a point of its own.
    pub transactions: Duration,
    /// How long every minute does.
    pub minutes: Duration,
    /// Nothing is kept longer than this but what the newest point needs.
    pub age_max: Option<Duration>,
    /// The newest transaction that a verification has brought back; the newest full at it or
    /// before stays until a newer one is proven too.
    pub proven_txid: Option<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            fulls: 7,
            transactions: DAY,
            minutes: 14 * DAY,
            age_max: Some(35 * DAY),
            proven_txid: None,
        }
    }
}

/// Why a file stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It stays: the newest full, without which nothing can be brought back.
    NewestFull,
    /// It stays: one of the fulls that are kept.
    OneOfTheFulls,
    /// It stays: the newest full that a verification has proven.
    Proven,
    /// It stays: young enough to be a point of its own.
    Recent,
    /// It stays: no kept file of a higher level holds what is in it.
    OnlyCopy,
    /// It stays: a restore that is under way needs it.
    InUse,
    /// It stays: there is no full yet.
    NoFullYet,
    /// It goes: more fulls than are kept.
    TooManyFulls,
    /// It goes: older than anything is kept.
    TooOld,
    /// It goes: it lies before the oldest full that is kept, and nothing can be built on it.
    BeforeTheOldestFull,
    /// It goes: what is in it is also in a kept file of this level.
    Merged {
        /// The level.
        level: u8,
    },
}

impl Reason {
    /// Whether the file stays.
    pub fn stays(self) -> bool {
        !matches!(
            self,
            Self::TooManyFulls | Self::TooOld | Self::BeforeTheOldestFull | Self::Merged { .. }
        )
    }

    /// One word for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewestFull => "newest_full",
            Self::OneOfTheFulls => "one_of_the_fulls",
            Self::Proven => "proven",
            Self::Recent => "recent",
            Self::OnlyCopy => "only_copy",
            Self::InUse => "in_use",
            Self::NoFullYet => "no_full_yet",
            Self::TooManyFulls => "too_many_fulls",
            Self::TooOld => "too_old",
            Self::BeforeTheOldestFull => "before_the_oldest_full",
            Self::Merged { .. } => "merged",
        }
    }
}

/// What is to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The file.
    pub entry: Entry,
    /// Why it stays or goes.
    pub reason: Reason,
}

impl Catalogue {
    /// Tells of each file whether it stays. `in_use` are those that restores under way need.
    pub fn judge(&self, rules: &Rules, now_ms: i64, in_use: &HashSet<Entry>) -> Vec<Verdict> {
        let judging = Judging { catalogue: self, rules, now_ms };
        let mut verdicts = judging.fulls();
        let oldest = verdicts.iter().filter(|verdict| verdict.reason.stays());
        let oldest = oldest.map(|verdict| verdict.entry.max_txid).min();
        // From above, so that a file is only let go for one that stays.
        let mut others: Vec<Entry> =
            self.entries().iter().filter(|entry| !entry.is_full()).copied().collect();
        others.sort_by_key(|entry| (std::cmp::Reverse(entry.level), entry.min_txid));
        let mut holders = Holders::default();
        holders.add(&judging, &verdicts);
        for level in others.chunk_by(|one, other| one.level == other.level) {
            let judged = level.iter().map(|entry| {
                let reason = match oldest {
                    None => Reason::NoFullYet,
                    Some(oldest) => judging.other(entry, oldest, &holders),
                };
                Verdict { entry: *entry, reason }
            });
            let judged: Vec<Verdict> = judged.collect();
            holders.add(&judging, &judged);
            verdicts.extend(judged);
        }
        for verdict in &mut verdicts {
            let used = in_use.iter().any(|used| same_file(used, &verdict.entry));
            if used && !verdict.reason.stays() {
                verdict.reason = Reason::InUse;
            }
        }
        verdicts.sort_by_key(|verdict| verdict.entry);
        verdicts
    }
}

fn same_file(one: &Entry, other: &Entry) -> bool {
    (one.level, one.min_txid, one.max_txid) == (other.level, other.min_txid, other.max_txid)
}

struct Judging<'a> {
    catalogue: &'a Catalogue,
    rules: &'a Rules,
    now_ms: i64,
}

impl Judging<'_> {
    fn fulls(&self) -> Vec<Verdict> {
        let fulls: Vec<Entry> = self.catalogue.fulls().copied().collect();
        let proven = self.rules.proven_txid;
        let proven = fulls.iter().rfind(|full| proven.is_some_and(|txid| full.max_txid <= txid));
        let reason = |(place, full): (usize, &Entry)| {
            let reason = if place == 0 {
                Reason::NewestFull
            } else if Some(full) == proven {
                Reason::Proven
            } else if self.rules.age_max.is_some_and(|age| self.is_older(full, age)) {
                Reason::TooOld
            } else if place < self.rules.fulls.max(1) {
                Reason::OneOfTheFulls
            } else {
                Reason::TooManyFulls
            };
            Verdict { entry: *full, reason }
        };
        fulls.iter().rev().enumerate().map(reason).collect()
    }

    fn other(&self, entry: &Entry, oldest_full: u64, holders: &Holders) -> Reason {
        if entry.max_txid <= oldest_full {
            return Reason::BeforeTheOldestFull;
        }
        if !self.is_older(entry, self.window(entry.level)) {
            return Reason::Recent;
        }
        match holders.level_of(entry) {
            Some(level) => Reason::Merged { level },
            None => Reason::OnlyCopy,
        }
    }

    /// How long the files of a level are points of their own.
    fn window(&self, level: u8) -> Duration {
        let window = if level == SHIPPED { self.rules.transactions } else { self.rules.minutes };
        self.rules.age_max.map_or(window, |age| age.min(window))
    }

    fn is_older(&self, entry: &Entry, than: Duration) -> bool {
        is_older(self.now_ms, entry.time_ms, than)
    }
}

/// The files that stay and stand for those of lower levels, level by level. There may be hundreds
/// of thousands of small files, so that each is looked up and not searched for.
#[derive(Default)]
struct Holders(Vec<Holder>);

/// Those of one level by where they begin: first transactions, and how far one that begins there or
/// before leads.
struct Holder {
    level: u8,
    begins: Vec<u64>,
    leads: Vec<u64>,
}

impl Holders {
    fn add(&mut self, judging: &Judging<'_>, judged: &[Verdict]) {
        let Some(level) = judged.first().map(|verdict| verdict.entry.level) else { return };
        // Points inside a holder that are promised still are built on what it holds.
        let window = judging.window(level.saturating_sub(1));
        let stay = judged.iter().filter(|verdict| verdict.reason.stays());
        let old = stay.filter(|verdict| judging.is_older(&verdict.entry, window));
        let mut spans: Vec<(u64, u64)> =
            old.map(|verdict| (verdict.entry.min_txid, verdict.entry.max_txid)).collect();
        spans.sort_unstable();
        let mut farthest = 0;
        let mut leads = Vec::with_capacity(spans.len());
        for (_, max_txid) in &spans {
            farthest = farthest.max(*max_txid);
            leads.push(farthest);
        }
        let begins = spans.iter().map(|(min_txid, _)| *min_txid).collect();
        self.0.push(Holder { level, begins, leads });
    }

    /// The level of a file that holds everything in `entry`.
    fn level_of(&self, entry: &Entry) -> Option<u8> {
        let holds = |holder: &&Holder| {
            let before = holder.begins.partition_point(|begin| *begin <= entry.min_txid);
            before > 0 && holder.leads[before - 1] >= entry.max_txid
        };
        self.0.iter().find(holds).map(|holder| holder.level)
    }
}

/// Whether more than `age` has passed since `time_ms`.
pub(crate) fn is_older(now_ms: i64, time_ms: i64, age: Duration) -> bool {
    now_ms.saturating_sub(time_ms) > i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}

impl Tree {
    /// Tells what [`forget`](Self::forget) would do.
    ///
    /// # Errors
    /// What the disk said.
    pub fn judge(&self, rules: &Rules, now_ms: i64) -> Result<Vec<Verdict>, TreeError> {
        Ok(self.list()?.judge(rules, now_ms, &self.pinned()?))
    }

    /// Removes what need not be kept, and tells of every file why it stayed or went. What is on
    /// top of others goes first, so that there is no moment in which a chain lacks its beginning.
    ///
    /// # Errors
    /// What the disk said; what it let be removed before is gone.
    pub fn forget(&self, rules: &Rules, now_ms: i64) -> Result<Vec<Verdict>, TreeError> {
        let verdicts = self.judge(rules, now_ms)?;
        let mut gone: Vec<&Verdict> =
            verdicts.iter().filter(|verdict| !verdict.reason.stays()).collect();
        gone.sort_by_key(|verdict| (verdict.entry.level > MINUTES, verdict.entry.max_txid));
        for verdict in gone {
            // A restore may have begun since: what it needs, it says before it looks.
            if self.pinned()?.iter().any(|pinned| same_file(pinned, &verdict.entry)) {
                continue;
            }
            let path = self.path_of(&verdict.entry);
            self.disk.remove(&path).map_err(TreeError::io("remove", &path))?;
        }
        Ok(verdicts)
    }

    /// Removes what was half written when the agent died. Only for who holds the lease: nobody
    /// else may be writing.
    ///
    /// # Errors
    /// What the disk said.
    pub fn sweep(&self) -> Result<usize, TreeError> {
        let oddities = self.list()?;
        let half = oddities.oddities().iter().filter(|oddity| oddity.half_written);
        let mut swept = 0;
        for oddity in half {
            let path = &oddity.path;
            self.disk.remove(path).map_err(TreeError::io("remove", path))?;
            swept += 1;
        }
        Ok(swept)
    }
}

#[cfg(test)]
mod tests;
