//! `restore`: brings a database back, to a new file, into the live one, or in its place.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use chassis::{Answer, Command, Reader};
use jiff::Timestamp;
use replica::restore::{self, Check, Options, Progress, Restored, Stage};
use serde_json::json;

use super::plan::Wished;
use super::words::Words;
use super::{Refusal, answer, config, progress};
use crate::config::Config;
use crate::copies;
use crate::runner::Done;

/// `backup-agent restore`.
pub(super) const COMMAND: Command = Command {
    name: "restore",
    usage: "restore [--at WHEN] [--database NAME] --to FILE          into a new file\n\
            restore [--at WHEN] [--database NAME] --online --yes     into the live database; it can be undone\n\
            restore [--at WHEN] [--database NAME] --swap --yes       in its place, while everything is stopped",
    run,
};

const KNOWN: [&str; 6] = ["--at=", "--database=", "--to=", "--online", "--swap", "--yes"];
/// How often people hear how far it is.
const SAY_EVERY_S: u64 = 2;

/// Where the database goes.
enum Goal {
    File(PathBuf),
    Online,
    Swap,
}

impl Goal {
    fn read(words: &Words) -> Result<Self, Refusal> {
        match (words.value("--to="), words.has("--online"), words.has("--swap")) {
            (Some(file), false, false) => Ok(Self::File(PathBuf::from(file))),
            (None, true, false) => Ok(Self::Online),
            (None, false, true) => Ok(Self::Swap),
            _ => Err(Refusal::usage(
                "say where it goes: --to FILE, --online (into the live database), or --swap (in \
                 its place, while everything is stopped)",
            )),
        }
    }
}

fn run(reader: &mut Reader, words: &[String]) -> Answer {
    answer(words, &KNOWN, |words| {
        words.no_more().map_err(Refusal::usage)?;
        let goal = Goal::read(words)?;
        let config = config(reader)?;
        let wished = Wished::read(&config, words)?;
        let plan = wished.lines(&config);
        if !matches!(goal, Goal::File(_)) && !words.has("--yes") {
            return Ok(unasked(&config, &wished, plan));
        }
        for line in &plan {
            progress(line);
        }
        bring(&config, &wished, &goal)
    })
}

/// What would happen, and what to say so that it does.
fn unasked(config: &Config, wished: &Wished<'_>, mut lines: Vec<String>) -> Done {
    let live = wished.database.path.display();
    lines.push(format!("this would replace what {live} holds now; nothing was done"));
    lines.push("add --yes to do it / 実行するには --yes を付けてください".to_owned());
    let timelines = copies::timelines(&config.repository, wished.database);
    if let Ok(now) = timelines.plan(replica::tree::At::Latest) {
        let txid = now.txid;
        lines.push(format!("what is there now is kept as transaction {txid}: --at txid:{txid}"));
    }
    let mut report = wished.report();
    report["done"] = false.into();
    Done { lines, report }
}

fn bring(config: &Config, wished: &Wished<'_>, goal: &Goal) -> Result<Done, Refusal> {
    let options = Options { check: Check::Full, ..Options::default() };
    let said = Mutex::new((Instant::now(), None));
    let watch = |now: Progress| {
        tell(&said, now);
        ControlFlow::Continue(())
    };
    let (plan, live) = (&wished.plan, wished.database.path.as_path());
    let (restored, more) = match goal {
        Goal::File(file) => {
            let restored = restore::to_file(plan, file, &options, &watch);
            (restored.map_err(Refusal::failed)?, Vec::new())
        }
        Goal::Online => {
            let scratch = scratch(config)?;
            let file = scratch.path().join("restored.db");
            let restored = restore::online(plan, live, (&file, &options), &watch);
            (restored.map_err(Refusal::failed)?, Vec::new())
        }
        Goal::Swap => swap(config, wished, &options, &watch)?,
    };
    Ok(done(config, wished, &restored, more))
}

/// A folder beside the copies, which goes away with its content.
fn scratch(config: &Config) -> Result<tempfile::TempDir, Refusal> {
    tempfile::Builder::new()
        .prefix(".restore-")
        .tempdir_in(&config.repository)
        .map_err(|error| Refusal::failed(format!("cannot make a folder in BACKUP_DIR: {error}")))
}

/// Puts the file in the live one's place and begins a new timeline with it, so that what came
/// after the point stays a point of the old one.
fn swap(
    config: &Config,
    wished: &Wished<'_>,
    options: &Options,
    watch: restore::Watch<'_>,
) -> Result<(Restored, Vec<String>), Refusal> {
    let stamp = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
    let live: &Path = &wished.database.path;
    let options = Options { user_version: closed_mark(live), ..options.clone() };
    let swapped =
        restore::swap(&wished.plan, live, (&stamp, &options), watch).map_err(Refusal::failed)?;
    let timelines = copies::timelines(&config.repository, wished.database);
    let begun = timelines
        .branch(&wished.plan, Timestamp::now(), env!("CARGO_PKG_VERSION"))
        .map_err(Refusal::failed)?;
    let mut lines: Vec<String> = swapped
        .aside
        .iter()
        .map(|file| format!("what stood there before is now {}", file.display()))
        .collect();
    lines.push(format!("a new timeline begins: {}", begun.number));
    Ok((swapped.restored, lines))
}

/// What the header of a file says that was closed in a life of its own, where the database's owner
/// keeps that there (docs/migrations.md): a file that comes from the middle of a life would be taken
/// for one whose log was left behind.
fn closed_mark(live: &Path) -> Option<u32> {
    let mut identity = live.as_os_str().to_owned();
    identity.push(".identity");
    Path::new(&identity).exists().then(|| rand::random_range(1..1_u32 << 30) << 1)
}

fn done(config: &Config, wished: &Wished<'_>, restored: &Restored, more: Vec<String>) -> Done {
    let point = copies::shown(restored.time_ms, &config.schedule.zone);
    let mut lines = vec![format!(
        "Restore completed: {} (transaction {}, {point}, {} pages, {:.1} s, every check passed)",
        restored.path.display(),
        restored.txid,
        restored.pages,
        restored.took.as_secs_f64()
    )];
    if let Some(orphans) = restored.orphans.filter(|count| *count > 0) {
        lines.push(format!("{orphans} rows point to rows that are not there, as they did before"));
    }
    lines.extend(more);
    let mut report = wished.report();
    report["done"] = true.into();
    report["restored"] = json!({
        "path": restored.path, "txid": restored.txid, "time_ms": restored.time_ms,
        "pages": restored.pages, "page_size": restored.page_size, "orphans": restored.orphans,
        "took_ms": u64::try_from(restored.took.as_millis()).unwrap_or(u64::MAX),
    });
    Done { lines, report }
}

/// Says how far it is, at each new stage and every few seconds.
fn tell(said: &Mutex<(Instant, Option<Stage>)>, now: Progress) {
    let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if said.1 == Some(now.stage) && said.0.elapsed().as_secs() < SAY_EVERY_S {
        return;
    }
    *said = (Instant::now(), Some(now.stage));
    let stage = match now.stage {
        Stage::Read => "reading",
        Stage::Sync => "making durable",
        Stage::Check => "checking",
        Stage::Copy => "writing into the live database",
    };
    match (now.done * 100).checked_div(now.total) {
        Some(percent) => progress(&format!("{stage}: {percent} %")),
        None => progress(stage),
    }
}

#[cfg(test)]
mod tests {
    use super::closed_mark;

    #[test]
    fn only_databases_of_ours_are_marked_and_as_closed() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("conversation.db");
        assert_eq!(closed_mark(&live), None);
        std::fs::write(folder.path().join("conversation.db.identity"), "7\n").unwrap();
        let marks = [closed_mark(&live), closed_mark(&live)].map(Option::unwrap);
        assert!(marks.iter().all(|mark| mark % 2 == 0 && *mark > 0), "{marks:?}");
        assert_ne!(marks[0], marks[1]);
    }
}
