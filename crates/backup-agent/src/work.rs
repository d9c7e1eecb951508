//! The workshop does the jobs: what is made, in which order, and what counts as a failure.
//!
//! Nothing that fails keeps the rest from being done: one database in trouble, or one file that
//! cannot be read, is no reason to have no copy of the others. At the end all of it is told.

mod minutes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use replica::follow::Scan;
use replica::tree::{Judged, Timelines};
use serde::Serialize;
use serde_json::{Value, json};
use snapshots::{Depth, Image, Taken};
use tokio::runtime::Handle as Runtime;

use crate::archive::Archive;
use crate::config::{Config, Place};
use crate::follow::Handle;
use crate::job::Job;
use crate::offsite::Queues;
use crate::runner::{Done, Journal, Stop};
use crate::verify::{self, Tier};
use crate::{copies, exports};

/// How long a first full copy waits for a database that its service is about to make.
const DATABASE_WITHIN: Duration = Duration::from_mins(1);
/// What a trial restores, in the folder of all copies.
const SCRATCH: &str = ".trial";
/// How much may be lost at most (R91); what is really lost is a fraction of a second.
const RPO: SignedDuration = SignedDuration::from_hours(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Everything jobs need.
#[derive(Debug)]
pub struct Workshop {
    config: Config,
    followed: Vec<Handle>,
    journal: Journal,
    elsewhere: Arc<Queues>,
    runtime: Runtime,
    /// Up to which transaction minutes are merged, by database; held while they are, so that no
    /// two merge the same.
    merged: Mutex<BTreeMap<String, u64>>,
}

/// What a job has done so far.
struct Bench<'a> {
    stop: &'a Stop,
    say: &'a dyn Fn(&str),
    lines: Vec<String>,
    faults: Vec<String>,
    report: BTreeMap<String, Value>,
}

impl Workshop {
    /// A workshop over what is followed and where it is sent; to be made within the runtime that
    /// asks far sides.
    pub fn new(
        config: Config,
        followed: Vec<Handle>,
        journal: Journal,
        elsewhere: Arc<Queues>,
    ) -> Self {
        let (runtime, merged) = (Runtime::current(), Mutex::default());
        Self { config, followed, journal, elsewhere, runtime, merged }
    }

    /// Does a job.
    ///
    /// # Errors
    /// Everything that failed, in one text.
    pub fn work(&self, job: Job, stop: &Stop, say: &dyn Fn(&str)) -> anyhow::Result<Done> {
        let mut bench =
            Bench { stop, say, lines: Vec::new(), faults: Vec::new(), report: BTreeMap::new() };
        match job {
            Job::Full => self.full(&mut bench),
            Job::Differential => self.differential(&mut bench),
            Job::Audit => self.audit(&mut bench),
            Job::Verification => self.verification(&mut bench),
        }
        bench.end()
    }

    fn full(&self, bench: &mut Bench<'_>) {
        // A repository that is gone after it was there is a loss to be told, not to be papered
        // over by a new one.
        let may_begin = self.journal.record().of(Job::Full).succeeded.is_none();
        let archive = Archive::open(&self.config.repository, &self.config.password, may_begin);
        let archive = bench.keep("snapshots", archive.map_err(Into::into));
        for handle in &self.followed {
            let name = handle.place.name.clone();
            if bench.step(&format!("{name}: full copy")) {
                let outcome = full_of(handle, bench);
                bench.keep(&name, outcome);
            }
            let Some(archive) = archive.as_ref() else { continue };
            if bench.step(&format!("{name}: snapshot")) {
                let outcome = image_of(handle, archive, bench);
                bench.keep(&name, outcome);
            }
        }
        if let Some(archive) = &archive {
            self.folders(archive, bench);
        }
        self.let_go(archive.as_ref(), bench);
    }

    fn folders(&self, archive: &Archive, bench: &mut Bench<'_>) {
        let held: Vec<PathBuf> =
            self.config.databases.iter().map(|place| place.path.clone()).collect();
        for place in &self.config.folders {
            if bench.step(&format!("{}: snapshot", place.name)) {
                let taken = archive.take_folder(place, &held, None, Timestamp::now());
                let outcome =
                    taken.map_err(Into::into).and_then(|taken| bench.taken(place, &taken));
                bench.keep(&place.name, outcome);
            }
        }
    }

    /// Only after everything else went well: nothing goes before its successor is there.
    fn let_go(&self, archive: Option<&Archive>, bench: &mut Bench<'_>) {
        if !bench.faults.is_empty() {
            bench.line("nothing old was let go, as not everything new is there".to_owned());
            return;
        }
        let (now, zone) = (Timestamp::now(), &self.config.schedule.zone);
        for handle in &self.followed {
            if bench.step(&format!("{}: retention", handle.place.name)) {
                let outcome = self.thin(&handle.place, now, bench);
                bench.keep(&handle.place.name, outcome);
            }
        }
        if let Some(archive) = archive
            && bench.step("snapshots: retention")
        {
            let let_go = archive.let_go(&self.config.keep, now, zone, false);
            for one in bench.keep("snapshots", let_go.map_err(Into::into)).into_iter().flatten() {
                let all = &one.forgotten.decisions;
                let gone = all.iter().filter(|(_, decision)| !decision.keeps()).count();
                let (name, freed) = (one.name, one.pruned.bytes_removed);
                bench.line(format!("{name}: {gone} snapshots let go, {freed} bytes freed"));
            }
        }
        let old = exports::let_go(&self.config.repository, &now.to_zoned(zone.clone()));
        for file in bench.keep("exports", old.map_err(Into::into)).into_iter().flatten() {
            bench.line(format!("{} is older than a week and was removed", file.display()));
        }
    }

    /// Merges what was shipped in single files, and lets go what is kept no longer.
    fn thin(&self, place: &Place, now: Timestamp, bench: &mut Bench<'_>) -> anyhow::Result<()> {
        let timelines = copies::timelines(&self.config.repository, place);
        let (rules, now_ms) = (self.config.keep.history(), now.as_millisecond());
        for timeline in timelines.list()? {
            self.merge(&timeline.tree, now_ms)?;
        }
        // All together: a timeline that was left goes whole once it is too old.
        let judged = timelines.forget(&rules, now_ms)?;
        let goes = |one: &Judged| {
            let files = one.verdicts.iter();
            files.filter(|verdict| one.goes_whole || !verdict.reason.stays()).count()
        };
        let gone: usize = judged.iter().map(goes).sum();
        bench.line(format!("{}: {gone} files of its history let go", place.name));
        Ok(())
    }

    fn differential(&self, bench: &mut Bench<'_>) {
        for handle in &self.followed {
            let name = handle.place.name.clone();
            if bench.step(&format!("{name}: differential copy")) {
                let outcome = self.differential_of(&handle.place, bench);
                bench.keep(&name, outcome);
            }
        }
    }

    fn differential_of(&self, place: &Place, bench: &mut Bench<'_>) -> anyhow::Result<()> {
        let timelines = copies::timelines(&self.config.repository, place);
        let Some(timeline) = timelines.current()? else {
            bail!("there is no history yet; the first full copy begins it");
        };
        self.merge(&timeline.tree, Timestamp::now().as_millisecond())?;
        let name = &place.name;
        match timeline.tree.differential()? {
            None => bench.line(format!("{name}: nothing changed since the last copy")),
            Some(entry) => {
                let (txid, bytes) = (entry.max_txid, entry.bytes);
                bench.line(format!("{name}: changes up to transaction {txid}, {bytes} bytes"));
                let report = json!({ "txid": txid, "bytes": bytes });
                bench.report.insert(format!("{name}.differential"), report);
            }
        }
        Ok(())
    }

    fn verification(&self, bench: &mut Bench<'_>) {
        let outcome = self.trial(bench);
        if let Some(report) = bench.keep("verification", outcome) {
            for line in report.lines() {
                bench.line(line);
            }
            bench.faults.extend(report.all_faults());
            if report.points.is_empty() {
                bench.faults.push("there is nothing yet that could be restored".to_owned());
            }
            bench.note("verification", &report);
        }
    }

    /// A real restore of everything, into a folder beside the copies that goes away again.
    fn trial(&self, bench: &Bench<'_>) -> anyhow::Result<verify::Report> {
        let config = &self.config;
        let archive = Archive::open(&config.repository, &config.password, false)?;
        let [(_, images), (_, folders)] = archive.repositories();
        let timelines: Vec<Timelines> = config
            .databases
            .iter()
            .map(|place| copies::timelines(&config.repository, place))
            .collect();
        let names: Vec<String> = config.databases.iter().map(Archive::image_name).collect();
        let databases = config.databases.iter().zip(&timelines).zip(&names);
        let databases = databases.map(|((place, timelines), image)| verify::Database {
            name: &place.name,
            live: place.path.exists().then_some(place.path.as_path()),
            timelines,
            image,
        });
        let whole = |repository| verify::Snapshots {
            tier: Tier::Snapshots,
            repository,
            depth: Depth::Everything,
        };
        let dice = |below: usize| rand::random_range(0..below.max(1));
        // One far side each time: of several each has its turn some week.
        let targets = self.elsewhere.targets();
        let target = targets.get(dice(targets.len()));
        let fetch = |database: &str, into: &Path| {
            let target = target.context("name a target in BACKUP_TARGETS")?;
            verify::fetch(target, Some(self.elsewhere.envelope()), &self.runtime, database, into)
        };
        let elsewhere =
            target.map(|target| verify::Elsewhere { name: target.name(), fetch: &fetch });
        let copies = verify::Copies {
            databases: databases.collect(),
            images: vec![whole(images)],
            folders: if config.folders.is_empty() { Vec::new() } else { vec![whole(folders)] },
            elsewhere: elsewhere.into_iter().collect(),
        };
        let how = verify::How {
            scratch: config.repository.join(SCRATCH),
            rpo: RPO,
            dice: &dice,
            stop: &|| bench.stop.is_told(),
            say: bench.say,
        };
        verify::run(&copies, &how)
    }

    fn audit(&self, bench: &mut Bench<'_>) {
        for handle in &self.followed {
            let name = handle.place.name.clone();
            if bench.step(&format!("{name}: comparing every page")) {
                let outcome = audit_of(handle, bench);
                bench.keep(&name, outcome);
            }
        }
    }
}

fn full_of(handle: &Handle, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    wait_for(&handle.place, bench)?;
    let done = handle.scan()?.full()?;
    let (name, txid, bytes) = (&handle.place.name, done.entry.max_txid, done.entry.bytes);
    bench.line(format!("{name}: full copy at transaction {txid}, {bytes} bytes"));
    bench.report.insert(format!("{name}.full"), json!({ "txid": txid, "bytes": bytes }));
    let differing = done.differing.len();
    if differing > 0 {
        bail!(
            "{differing} pages were not what had been copied before; they are right in this \
             full copy. Run `backup-agent audit`, and look at the disk's health"
        );
    }
    Ok(())
}

fn audit_of(handle: &Handle, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let audit = handle.scan()?.audit()?;
    let name = &handle.place.name;
    bench.line(format!(
        "{name}: {} pages compared at transaction {}: {} differ live, {} in the history",
        audit.pages,
        audit.txid,
        audit.live.len(),
        audit.history.len()
    ));
    let report = json!({
        "txid": audit.txid, "pages": audit.pages, "live": audit.live, "history": audit.history,
    });
    bench.report.insert(format!("{name}.audit"), report);
    if !audit.history.is_empty() {
        bail!(
            "{} pages of the history are not what was copied: something changed its files. Ask for \
             a full copy (`backup-agent now`), and bring the history back from a copy elsewhere",
            audit.history.len()
        );
    }
    if !audit.live.is_empty() {
        bail!(
            "{} pages of the database were not what was copied; they are copied again now",
            audit.live.len()
        );
    }
    Ok(())
}

fn image_of(handle: &Handle, archive: &Archive, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let scan: Scan = handle.scan()?;
    let txid = scan.txid;
    let time = Timestamp::from_millisecond(scan.time_ms()).context("read the copy's time")?;
    let image = scan.into_image();
    let image = Image { bytes: image.bytes(), reader: Box::new(image) };
    let taken = archive.take_database(&handle.place, image, (time, txid))?;
    bench.taken(&handle.place, &taken)
}

/// Waits for a database that is not there yet: at the first start of a house all begin at once.
fn wait_for(place: &Place, bench: &Bench<'_>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !place.path.exists() {
        if bench.stop.is_told() {
            bail!("told to stop");
        }
        if begun.elapsed() > DATABASE_WITHIN {
            bail!("there is no database at {}; start its service", place.path.display());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

impl Bench<'_> {
    /// Begins a step, unless it is time to end.
    fn step(&mut self, what: &str) -> bool {
        if self.stop.is_told() {
            self.faults.push(format!("told to stop before {what}"));
            return false;
        }
        (self.say)(what);
        true
    }

    fn line(&mut self, line: String) {
        (self.say)(&line);
        self.lines.push(line);
    }

    /// The result, or its error noted under `name`.
    fn keep<T>(&mut self, name: &str, outcome: anyhow::Result<T>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.faults.push(format!("{name}: {error:#}"));
                None
            }
        }
    }

    /// Adds something to the report for programs.
    fn note(&mut self, name: &str, what: &impl Serialize) {
        let value = serde_json::to_value(what).unwrap_or(Value::Null);
        self.report.insert(name.to_owned(), value);
    }

    /// Tells of a snapshot. What could not be read in it makes the job fail: it is not whole.
    fn taken(&mut self, place: &Place, taken: &Taken) -> anyhow::Result<()> {
        let (name, id) = (&place.name, &taken.snapshot.id[..8]);
        self.line(format!("{name}: snapshot {id}, {} bytes written", taken.bytes_written));
        self.report.insert(format!("{name}.snapshot"), serde_json::to_value(taken)?);
        if taken.troubles.is_empty() {
            return Ok(());
        }
        let troubles: Vec<String> = taken
            .troubles
            .iter()
            .map(|trouble| format!("{}: {}", trouble.path.display(), trouble.what))
            .collect();
        bail!("the snapshot is not whole: {}", troubles.join("; "))
    }

    fn end(self) -> anyhow::Result<Done> {
        if !self.faults.is_empty() {
            bail!("{}", self.faults.join("; "));
        }
        Ok(Done { lines: self.lines, report: serde_json::to_value(self.report)? })
    }
}
