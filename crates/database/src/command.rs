//! `migrate`: the operator's way from one revision to another.

mod render;
mod request;

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, SqliteConnection};

use crate::change::{self, Change};
use crate::held::Held;
use crate::revisions::{self, Applied, Comparison};
use crate::{OpenError, Schema};
use request::{Action, Request, Target};

pub use request::USAGE;

/// What a command has to say, and the exit code; whoever shows it puts the service's name first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub complaint: String,
    /// 0 where it was done, 1 where something stood in the way, 64 where it was asked wrongly.
    pub code: u8,
}

/// Does what `words`, the arguments after `migrate`, ask for; `default` is the database where they
/// name none.
pub async fn migrate(schema: &Schema, default: &Path, words: &[String]) -> Answer {
    let request = match request::parse(words) {
        Ok(request) => request,
        Err(problem) => return render::misunderstood(schema, &problem),
    };
    let path = request.database.clone().unwrap_or_else(|| default.to_owned());
    match run(schema, &path, &request).await {
        Ok(report) => render::done(&request, &path, &report),
        Err(refusal) => render::refused(&request, &refusal),
    }
}

/// What a command did or found.
#[derive(Debug, Default)]
struct Report {
    /// The newest revision of the file before and after; 0 for none.
    before: i64,
    after: i64,
    /// The newest revision the program knows.
    head: i64,
    /// The revisions that were applied, taken back or entered, in that order.
    changed: Vec<(i64, String)>,
    /// The revisions that are known or applied, newest first.
    history: Vec<Line>,
    /// The copy that was made before.
    copy: Option<PathBuf>,
    notes: Vec<String>,
}

/// A revision in the history.
#[derive(Debug)]
struct Line {
    version: i64,
    description: String,
    applied: Option<Applied>,
    known: bool,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    #[error("revision {0:04} is not known; known are {1}")]
    Unknown(i64, String),
    #[error("the database is at revision {0:04}, which lies before {1:04}")]
    WrongWay(i64, i64),
    #[error("there is no way back from revision {0:04} in this release")]
    NoWayBack(i64),
    #[error("this way back loses for good: {}", .0.join("; "))]
    Loses(Vec<String>),
}

async fn run(schema: &Schema, path: &Path, request: &Request) -> Result<Report, Refusal> {
    let exists = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if !exists && !matches!(request.action, Action::Upgrade(_)) {
        return Err(Refusal::Missing(path.to_owned()));
    }
    let Held { lock, mut writer, notes } = Held::take(path, schema).await?;
    let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
    let applied = revisions::applied(&mut writer).await.map_err(unusable)?;
    let task = Task { schema, path, alone: lock.is_alone(), applied: &applied };
    let mut report = match request.action {
        Action::Current | Action::History => task.look(),
        Action::Upgrade(target) => task.upgrade(&mut writer, target).await?,
        Action::Downgrade(target) => task.downgrade(&mut writer, target, request.yes).await?,
        Action::Stamp(target) => task.stamp(&mut writer, target).await?,
    };
    report.notes = notes;
    if lock.is_alone() {
        settle(&mut writer).await.map_err(unusable)?;
    }
    writer.close().await.map_err(unusable)?;
    Ok(report)
}

/// Takes the mark of use off a file that its service left by a crash: closing now removes the log,
/// and at the next start the file would look parted from it.
async fn settle(writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *writer).await?;
    if version & 1 == 1 {
        let mark = format!("PRAGMA user_version = {}", version & !1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(writer).await?;
    }
    Ok(())
}

struct Task<'a> {
    schema: &'a Schema,
    path: &'a Path,
    /// Whether nobody else has the database in use.
    alone: bool,
    applied: &'a [Applied],
}

impl Task<'_> {
    fn current(&self) -> i64 {
        self.applied.last().map_or(0, |revision| revision.version)
    }

    fn comparison(&self) -> Result<Comparison<'_>, OpenError> {
        revisions::compare(self.schema.migrations, self.applied)
            .map_err(|mismatch| OpenError::mismatch(self.path, mismatch))
    }

    /// What is there, which is told even where it does not go together.
    fn look(&self) -> Report {
        let known = revisions::forward(self.schema.migrations);
        let mut history: Vec<Line> = known
            .map(|revision| Line {
                version: revision.version,
                description: revision.description.to_string(),
                applied: self.applied.iter().find(|a| a.version == revision.version).cloned(),
                known: true,
            })
            .collect();
        let newer = self.applied.iter().filter(|applied| {
            revisions::forward(self.schema.migrations).all(|known| known.version != applied.version)
        });
        let line = |applied: &Applied| Line {
            version: applied.version,
            description: applied.description.clone(),
            applied: Some(applied.clone()),
            known: false,
        };
        let newer: Vec<Line> = newer.map(line).collect();
        history.extend(newer);
        history.sort_by_key(|line| std::cmp::Reverse(line.version));
        let mut report = self.report();
        report.history = history;
        report
    }

    fn report(&self) -> Report {
        let current = self.current();
        let head = revisions::head(self.schema.migrations);
        Report { before: current, after: current, head, ..Report::default() }
    }

    async fn upgrade(
        &self,
        writer: &mut SqliteConnection,
        target: Target,
    ) -> Result<Report, Refusal> {
        let Comparison { current, mut pending } = self.comparison()?;
        let target = self.resolve(target)?;
        if target < current {
            return Err(Refusal::WrongWay(target, current));
        }
        pending.retain(|revision| revision.version <= target);
        if pending.is_empty() {
            return Ok(self.report());
        }
        if !self.alone && !change::additive(&pending, current) {
            return Err(self.in_use().into());
        }
        self.change(writer, Change::Upgrade(pending), target).await
    }

    async fn downgrade(
        &self,
        writer: &mut SqliteConnection,
        target: Target,
        yes: bool,
    ) -> Result<Report, Refusal> {
        let current = self.current();
        let target = match target {
            Target::Back(steps) => {
                let before = self.applied.iter().rev().nth(steps);
                before.map_or(0, |revision| revision.version)
            }
            target => self.resolve(target)?,
        };
        if target > current {
            return Err(Refusal::WrongWay(current, target));
        }
        // What the records say must be true before anything is taken back by them.
        match revisions::compare(self.schema.migrations, self.applied) {
            Ok(_) | Err(revisions::Mismatch::Newer { .. }) => {}
            Err(mismatch) => return Err(OpenError::mismatch(self.path, mismatch).into()),
        }
        let ways = change::ways_back(self.schema.migrations, self.applied, target)
            .map_err(Refusal::NoWayBack)?;
        if ways.is_empty() {
            return Ok(self.report());
        }
        if !self.alone {
            return Err(self.in_use().into());
        }
        let lost: Vec<String> = ways.iter().filter_map(|way| revisions::loses(way)).collect();
        if !lost.is_empty() && !yes {
            return Err(Refusal::Loses(lost));
        }
        self.change(writer, Change::Downgrade(ways), target).await
    }

    async fn stamp(
        &self,
        writer: &mut SqliteConnection,
        target: Target,
    ) -> Result<Report, Refusal> {
        let target = self.resolve(target)?;
        if !self.alone {
            return Err(self.in_use().into());
        }
        let known = revisions::forward(self.schema.migrations);
        let entered = known.filter(|revision| revision.version <= target).collect();
        self.change(writer, Change::Stamp(entered), target).await
    }

    async fn change(
        &self,
        writer: &mut SqliteConnection,
        change: Change<'_>,
        target: i64,
    ) -> Result<Report, Refusal> {
        let copy = change::make(writer, self.path, self.schema, &change).await?;
        let named = |revision: &&sqlx::migrate::Migration| {
            (revision.version, revision.description.to_string())
        };
        let changed = change.revisions().iter().map(named).collect();
        Ok(Report { after: target, changed, copy, ..self.report() })
    }

    fn in_use(&self) -> OpenError {
        OpenError::InUse { path: self.path.to_owned(), service: self.schema.service }
    }

    /// The revision that is meant, which must be known.
    fn resolve(&self, target: Target) -> Result<i64, Refusal> {
        let known: Vec<i64> =
            revisions::forward(self.schema.migrations).map(|known| known.version).collect();
        match target {
            Target::Head => Ok(revisions::head(self.schema.migrations)),
            Target::Base => Ok(0),
            Target::Revision(version) if known.contains(&version) => Ok(version),
            Target::Revision(version) => {
                let known: Vec<String> = known.iter().map(|known| format!("{known:04}")).collect();
                Err(Refusal::Unknown(version, known.join(", ")))
            }
            Target::Back(_) => Ok(self.current()),
        }
    }
}
