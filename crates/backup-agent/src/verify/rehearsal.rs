//! One verification under way: restores one point after the other and looks into what came back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use jiff::Timestamp;
use replica::inspect::{Contents, inspect};
use replica::restore::{Check, Options, to_file};
use replica::tree::{At, PlanError, Tree};
use sha2::{Digest as _, Sha256};
use snapshots::{Depth, Snapshot};

use super::report::{Point, Report, Tier, Which};
use super::sentinel::judge;
use super::{Database, Elsewhere, Fetched, How, Snapshots, moment};

/// Bytes read at a time to make a checksum.
const PIECE_BYTES: usize = 1 << 20;

pub(super) struct Rehearsal<'a> {
    pub(super) how: &'a How<'a>,
    began: Timestamp,
    pub(super) points: Vec<Point>,
    faults: Vec<String>,
    notes: Vec<String>,
}

/// What is to be tried.
pub(super) struct Trial<'a> {
    pub(super) name: &'a str,
    pub(super) tier: Tier,
    pub(super) which: Which,
    pub(super) live: Option<&'a Contents>,
}

/// Which point came back.
pub(super) struct Back {
    pub(super) shows: Option<Timestamp>,
    pub(super) txid: Option<u64>,
}

/// What it was.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) bytes: u64,
    pub(super) checksum: Option<String>,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn begin(how: &'a How<'a>) -> anyhow::Result<Self> {
        clear(&how.scratch).context("empty the scratch folder")?;
        fs::create_dir_all(&how.scratch).context("make the scratch folder")?;
        let began = Timestamp::now();
        Ok(Self { how, began, points: Vec::new(), faults: Vec::new(), notes: Vec::new() })
    }

    pub(super) fn end(mut self) -> Report {
        if let Err(error) = clear(&self.how.scratch) {
            self.faults.push(format!("the scratch folder cannot be removed: {error}"));
        }
        if (self.how.stop)() {
            self.faults.push("it was ended before everything was tried".to_owned());
        }
        let Self { began, points, faults, notes, .. } = self;
        Report { began, ended: Timestamp::now(), points, faults, notes }
    }

    pub(super) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// The history that is written as the database is.
    pub(super) fn continuous(&mut self, database: &Database<'_>, live: Option<&Contents>) {
        match database.timelines.current() {
            Ok(Some(timeline)) => {
                self.tree(database.name, &Tier::Continuous, &timeline.tree, live);
            }
            Ok(None) => self.fault(format!("there is no history of {} yet", database.name)),
            Err(error) => self.fault(format!("the history of {}: {error}", database.name)),
        }
    }

    /// The same from a far side.
    pub(super) fn elsewhere(
        &mut self,
        database: &Database<'_>,
        far: &Elsewhere<'_>,
        live: Option<&Contents>,
    ) {
        if (self.how.stop)() {
            return;
        }
        (self.how.say)(&format!("fetching the history of {} from {}", database.name, far.name));
        let into = self.how.scratch.join("fetched");
        let tier = Tier::Elsewhere(far.name.to_owned());
        match (far.fetch)(database.name, &into) {
            Ok(Fetched::History(tree)) => self.tree(database.name, &tier, &tree, live),
            Ok(Fetched::Sealed { newest }) => self.notes.push(format!(
                "the history of {} from {} is wrapped for a key that is not here: its list leads \
                 without a gap to transaction {newest}, and its content was not looked into",
                database.name, far.name
            )),
            Err(error) => {
                self.fault(format!(
                    "the history of {} from {}: {error:#}",
                    database.name, far.name
                ));
            }
        }
        if let Err(error) = clear(&into) {
            self.fault(format!("what was fetched cannot be removed: {error}"));
        }
    }

    fn tree(&mut self, name: &str, tier: &Tier, tree: &Tree, live: Option<&Contents>) {
        let catalogue = match tree.list() {
            Ok(catalogue) => catalogue,
            Err(error) => return self.fault(format!("the history of {name}: {error}")),
        };
        let Some(oldest) = catalogue.fulls().next() else {
            return self.fault(format!("there is no full copy of {name} in its history"));
        };
        // Every file ends at a point; those after the oldest full can be reached.
        let points: BTreeSet<u64> = catalogue
            .entries()
            .iter()
            .map(|entry| entry.max_txid)
            .filter(|&txid| txid >= oldest.max_txid)
            .collect();
        let random = points.iter().nth((self.how.dice)(points.len())).copied();
        let mut trials = vec![(Which::Latest, At::Latest)];
        trials.extend(random.map(|txid| (Which::Random, At::Txid(txid))));
        trials.push((Which::Oldest, At::Txid(oldest.max_txid)));
        for (which, at) in trials {
            let trial = Trial { name, tier: tier.clone(), which, live };
            self.trial(&trial, |to, _| {
                let plan = catalogue.plan(at)?;
                let back = Back { shows: moment(plan.time_ms), txid: Some(plan.txid) };
                bring_back(&plan, to)?;
                Ok(back)
            });
        }
    }

    /// Snapshots of a database's images.
    pub(super) fn images(
        &mut self,
        database: &Database<'_>,
        images: &Snapshots<'_>,
        live: Option<&Contents>,
    ) {
        let listed = match images.repository.list() {
            Ok(listing) => listing.snapshots,
            Err(error) => return self.fault(error.to_string()),
        };
        let of_it: Vec<&Snapshot> =
            listed.iter().filter(|snapshot| snapshot.name == database.image).collect();
        let (Some(oldest), Some(latest)) = (of_it.first(), of_it.last()) else {
            let place = images.repository.place();
            return self.fault(format!("there is no snapshot of {} at {place}", database.name));
        };
        let random = of_it[(self.how.dice)(of_it.len()).min(of_it.len() - 1)];
        let trials = [(Which::Latest, *latest), (Which::Random, random), (Which::Oldest, *oldest)];
        for (which, snapshot) in trials {
            let tier = images.tier.clone();
            let trial = Trial { name: database.name, tier, which, live };
            self.trial(&trial, |to, _| {
                images.repository.restore_file(&snapshot.id, &snapshot.name, to)?;
                Ok(Back { shows: Some(snapshot.time), txid: snapshot.txid })
            });
        }
    }

    /// The point of the newest snapshot, from the history: the same bytes must come back.
    pub(super) fn both_paths(&mut self, database: &Database<'_>, images: &Snapshots<'_>) {
        let shown = self.points.iter().rev().find(|point| {
            point.name == database.name && point.tier == images.tier && point.which == Which::Latest
        });
        let Some(shown) = shown else { return };
        let (Some(txid), Some(time), Some(sum)) = (shown.txid, shown.shows, shown.checksum.clone())
        else {
            return;
        };
        let Ok(Some(timeline)) = database.timelines.current() else { return };
        // Before a restore, transactions counted on another timeline.
        if timeline.tree.manifest().began > time {
            return;
        }
        let plan = timeline.tree.list().map(|catalogue| catalogue.plan(At::Txid(txid)));
        let plan = match plan {
            Ok(Ok(plan)) => plan,
            // It was merged with its neighbours, as points are after a day.
            Ok(Err(PlanError::Merged { .. } | PlanError::TooOld { .. })) => return,
            Ok(Err(error)) => return self.fault(format!("{}: {error}", database.name)),
            Err(error) => return self.fault(format!("{}: {error}", database.name)),
        };
        let (name, which) = (database.name, Which::SameAsSnapshot);
        let trial = Trial { name, tier: Tier::Continuous, which, live: None };
        self.trial(&trial, |to, faults| {
            bring_back(&plan, to)?;
            let other = checksum(to)?;
            if other != sum {
                faults.push(format!(
                    "transaction {txid} comes back otherwise from the history ({other}) than from \
                     the snapshot ({sum}): one of the two is wrong"
                ));
            }
            Ok(Back { shows: moment(plan.time_ms), txid: Some(txid) })
        });
    }

    /// Reads a repository whole.
    pub(super) fn whole(&mut self, repository: &Snapshots<'_>) {
        if (self.how.stop)() {
            return;
        }
        let place = repository.repository.place();
        let how_far =
            if repository.depth == Depth::Everything { "every byte" } else { "the lists" };
        (self.how.say)(&format!("reading {how_far} of the snapshots at {place}"));
        match repository.repository.check(repository.depth) {
            Ok(findings) => {
                for fault in findings.faults {
                    self.fault(format!("snapshots at {place}: {}: {}", fault.file, fault.what));
                }
            }
            Err(error) => self.fault(error.to_string()),
        }
    }

    /// Restores a database's point and looks into it.
    fn trial(
        &mut self,
        trial: &Trial<'_>,
        restore: impl FnOnce(&Path, &mut Vec<String>) -> anyhow::Result<Back>,
    ) {
        if (self.how.stop)() {
            return;
        }
        (self.how.say)(&format!("restoring {} ({:?}, {:?})", trial.name, trial.tier, trial.which));
        let started = Instant::now();
        let to = self.how.scratch.join("restored.db");
        let mut faults = Vec::new();
        let mut looked = None;
        let back = restore(&to, &mut faults).and_then(|back| {
            looked = Some(self.look(trial, &to, &back, &mut faults)?);
            Ok(back)
        });
        let back = back.map_err(|error| faults.push(format!("{error:#}"))).ok();
        if let Err(error) = clear(&to) {
            faults.push(format!("what came back cannot be removed: {error}"));
        }
        self.points.push(point(trial, back, looked.unwrap_or_default(), started, faults));
    }

    /// Looks into a file that came back; answers its length and its checksum.
    fn look(
        &self,
        trial: &Trial<'_>,
        file: &Path,
        back: &Back,
        faults: &mut Vec<String>,
    ) -> anyhow::Result<Looked> {
        let bytes = fs::metadata(file).context("look at what came back")?.len();
        let sum = checksum(file)?;
        let found = inspect(file)?;
        faults.extend(found.integrity.iter().map(|line| format!("integrity_check: {line}")));
        faults.extend(found.foreign_keys.iter().map(|line| format!("foreign_key_check: {line}")));
        if found.is_whole() {
            let shows = back.shows.unwrap_or(self.began);
            faults.extend(judge(&found.contents, trial.live, shows, self.how.rpo));
        }
        Ok(Looked { bytes, checksum: Some(sum) })
    }
}

fn bring_back(plan: &replica::tree::Plan, to: &Path) -> anyhow::Result<()> {
    // It is looked into here afterwards, and more closely.
    let options = Options { check: Check::Sums, ..Options::default() };
    to_file(plan, to, &options, &|_| ControlFlow::Continue(()))?;
    Ok(())
}

pub(super) fn point(
    trial: &Trial<'_>,
    back: Option<Back>,
    looked: Looked,
    started: Instant,
    faults: Vec<String>,
) -> Point {
    Point {
        name: trial.name.to_owned(),
        tier: trial.tier.clone(),
        which: trial.which,
        shows: back.as_ref().and_then(|back| back.shows),
        txid: back.and_then(|back| back.txid),
        bytes: looked.bytes,
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        checksum: looked.checksum,
        faults,
    }
}

/// SHA-256 of a file, in hexadecimal digits.
fn checksum(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).context("open what came back")?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).context("read what came back")? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// Removes a file or a folder, if it is there.
pub(super) fn clear(path: &Path) -> std::io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            // Folders come back with their permissions, which may forbid emptying them.
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives us every right on a folder and those below it.
fn open_up(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
