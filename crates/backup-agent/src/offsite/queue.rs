//! The queue of one target: looks, sends, removes, waits, and starts over after whatever happens.

mod carry;
mod tell;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use objects::{Envelope, Fault, FaultKind, Object, Target};
use replica::tree::{Catalogue, Timelines, TreeError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decide::{Behind, Known, Work, behind, decide};
use super::far::{Layout, fits, folder_of, timeline_name};
use super::standing::{Standing, Trouble};

/// A database whose histories are sent.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name its copies go by.
    pub database: String,
    /// Its histories here.
    pub timelines: Timelines,
}

/// How the queue goes about it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long it rests when there is nothing to do.
    pub interval: Duration,
    /// How long it believes what it listed and sent itself before it lists anew. A listing costs
    /// money at some stores, and a write by somebody else shows only in one.
    pub relist: Duration,
    /// How long it sends old history before it looks for something new again.
    pub history: Duration,
    /// How long it waits after a first fault that may pass; twice as long after each further one.
    pub wait_min: Duration,
    /// How long it waits at most.
    pub wait_max: Duration,
    /// A folder of this queue alone, for files while they are wrapped.
    pub staging: PathBuf,
}

impl Limits {
    /// The usual ones.
    pub fn new(interval: Duration, staging: &Path) -> Self {
        Self {
            interval,
            relist: Duration::from_hours(1),
            history: Duration::from_mins(1),
            wait_min: Duration::from_secs(5),
            wait_max: Duration::from_mins(10),
            staging: staging.to_path_buf(),
        }
    }
}

/// For each database the timeline and the newest transaction in it that a verification has brought
/// back from this target.
pub type Proven = BTreeMap<String, (u32, u64)>;

/// The queue of one target.
#[derive(Debug)]
pub struct Queue {
    target: Target,
    envelope: Option<Arc<Envelope>>,
    sources: Vec<Source>,
    limits: Limits,
    proven: watch::Receiver<Proven>,
    standing: watch::Sender<Standing>,
    /// What lies there, by database, with the sizes that were told or sent.
    listed: HashMap<String, Listed>,
    pressed: bool,
}

#[derive(Debug)]
struct Listed {
    at: Instant,
    objects: BTreeMap<String, Object>,
}

/// One timeline as it is here.
#[derive(Debug)]
struct Here {
    database: String,
    number: u32,
    /// Whether it is the one being followed.
    current: bool,
    layout: Layout,
    root: PathBuf,
    catalogue: Catalogue,
}

/// A timeline with what is to be done for it.
struct Task {
    here: Here,
    work: Work,
    behind: Behind,
}

impl Queue {
    /// A queue for a target. What it sends is wrapped by the envelope, if there is one.
    pub fn new(
        target: Target,
        envelope: Option<Arc<Envelope>>,
        sources: Vec<Source>,
        limits: Limits,
        proven: watch::Receiver<Proven>,
    ) -> Self {
        let (standing, _) = watch::channel(Standing::of(target.name()));
        let (listed, pressed) = (HashMap::new(), false);
        Self { target, envelope, sources, limits, proven, standing, listed, pressed }
    }

    /// How the target stands, now and from now on.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Works until it is told to stop. What is under way then is given up: a half-sent file is not
    /// seen by anybody, and is sent again.
    pub async fn run(mut self, stop: CancellationToken) {
        self.clear_staging();
        let mut wait = Duration::ZERO;
        let mut failures = 0;
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            let Some(result) = stop.run_until_cancelled(self.round()).await else { return };
            wait = match result {
                Ok(more) => {
                    failures = 0;
                    self.recovered();
                    if more { Duration::ZERO } else { self.limits.interval }
                }
                Err(fault) => {
                    failures += 1;
                    self.met(&fault);
                    self.wait_after(fault.kind, failures)
                }
            };
        }
    }

    /// Compares, sends and removes once; tells whether more is to be done at once.
    pub async fn round(&mut self) -> Result<bool, Fault> {
        let mut tasks = Vec::new();
        let mut misfits = 0;
        for here in self.look_here().await? {
            self.list(&here.database).await?;
            let (there, odd) = self.there(&here);
            misfits += odd;
            let known = Known { proven: self.proven_of(&here), pressed: self.pressed };
            let work = decide(&here.catalogue, &there, known);
            let behind = behind(&here.catalogue, &there);
            tasks.push(Task { here, work, behind });
        }
        // The databases as they are now come before what they were on other timelines.
        tasks.sort_by_key(|task| !task.here.current);
        self.standing.send_modify(|standing| standing.misfits = misfits);
        self.tell_lag(&tasks);
        if self.pressed {
            self.remove(&mut tasks).await?;
        }
        self.send_recovery(&mut tasks).await?;
        let more = self.send_history(&mut tasks).await?;
        self.remove(&mut tasks).await?;
        self.tell_lag(&tasks);
        if !more {
            let now = Timestamp::now();
            self.standing.send_modify(|standing| standing.complete = Some(now));
        }
        Ok(more)
    }

    async fn send_recovery(&mut self, tasks: &mut [Task]) -> Result<(), Fault> {
        for at in 0..tasks.len() {
            self.send_manifest(&tasks[at].here).await?;
            while let Some(entry) = tasks[at].work.recovery.first().copied() {
                self.send(&tasks[at].here, &entry).await?;
                tasks[at].work.recovery.remove(0);
                let there = self.there(&tasks[at].here).0;
                tasks[at].behind = behind(&tasks[at].here.catalogue, &there);
                self.tell_lag(tasks);
            }
        }
        Ok(())
    }

    /// Sends history for a while; tells whether some is left.
    async fn send_history(&mut self, tasks: &mut [Task]) -> Result<bool, Fault> {
        let since = Instant::now();
        for task in tasks {
            while let Some(entry) = task.work.history.first().copied() {
                if since.elapsed() > self.limits.history {
                    return Ok(true);
                }
                self.send(&task.here, &entry).await?;
                task.work.history.remove(0);
            }
        }
        Ok(false)
    }

    /// Removes what was decided to go. That a target refuses this is told and keeps nothing else.
    async fn remove(&mut self, tasks: &mut [Task]) -> Result<(), Fault> {
        let all = tasks.iter_mut().flat_map(|task| {
            let gone = std::mem::take(&mut task.work.gone);
            let here = &task.here;
            gone.into_iter().map(move |entry| (here.database.clone(), here.layout.path(&entry)))
        });
        for (database, path) in all {
            match self.target.delete(&path).await {
                Ok(()) => {
                    self.forget(&database, &path);
                    self.standing.send_modify(|standing| standing.removed_files += 1);
                }
                Err(fault) if fault.kind == FaultKind::Unreachable => return Err(fault),
                Err(fault) => {
                    let text = fault.to_string();
                    self.standing.send_modify(|standing| {
                        let slot = &mut standing.removal_fault;
                        Trouble::meet(slot, fault.kind, text, Timestamp::now());
                    });
                    return Ok(());
                }
            }
        }
        self.standing.send_modify(|standing| standing.removal_fault = None);
        Ok(())
    }

    /// Every timeline that is here, with what it holds.
    async fn look_here(&self) -> Result<Vec<Here>, Fault> {
        let (sources, sealed) = (self.sources.clone(), self.envelope.is_some());
        let look = move || -> Result<Vec<Here>, TreeError> {
            let mut found = Vec::new();
            for source in &sources {
                let timelines = source.timelines.list()?;
                let newest = timelines.last().map(|timeline| timeline.number);
                for timeline in timelines {
                    let name = timeline_name(timeline.tree.manifest());
                    found.push(Here {
                        database: source.database.clone(),
                        number: timeline.number,
                        current: Some(timeline.number) == newest,
                        layout: Layout::new(&source.database, &name, sealed),
                        root: timeline.tree.root().to_path_buf(),
                        catalogue: timeline.tree.list()?,
                    });
                }
            }
            Ok(found)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(self.local("look at", "the histories here", &error)),
            Err(error) => Err(self.local("look at", "the histories here", &error)),
        }
    }

    /// Lists what lies there of a database, unless that was done lately.
    async fn list(&mut self, database: &str) -> Result<(), Fault> {
        let fresh = self
            .listed
            .get(database)
            .is_some_and(|listed| listed.at.elapsed() < self.limits.relist);
        if !fresh {
            let objects = self.target.list(&folder_of(database)).await?;
            let objects = objects.into_iter().map(|object| (object.path.clone(), object)).collect();
            self.listed.insert(database.to_owned(), Listed { at: Instant::now(), objects });
            self.tell_bytes();
        }
        Ok(())
    }

    /// What is whole there of a timeline, and how many files have a size they cannot have.
    fn there(&self, here: &Here) -> (Catalogue, usize) {
        let objects: Vec<Object> = self
            .listed
            .get(&here.database)
            .into_iter()
            .flat_map(|listed| {
                let folder = here.layout.folder();
                let from = listed.objects.range(folder.to_owned()..);
                from.map(|(_, object)| object)
                    .take_while(move |object| object.path.starts_with(folder))
            })
            .cloned()
            .collect();
        let sizes: HashMap<_, _> = here
            .catalogue
            .entries()
            .iter()
            .map(|entry| ((entry.level, entry.min_txid, entry.max_txid), entry.bytes))
            .collect();
        let mut entries = here.layout.entries(&objects);
        let before = entries.len();
        entries.retain(|entry| {
            let here = sizes.get(&(entry.level, entry.min_txid, entry.max_txid));
            here.is_none_or(|bytes| fits(self.envelope.as_deref(), *bytes, entry.bytes))
        });
        let misfits = before - entries.len();
        (here.layout.catalogue(entries), misfits)
    }

    fn proven_of(&self, here: &Here) -> Option<u64> {
        let proven = self.proven.borrow();
        proven.get(&here.database).filter(|(number, _)| *number == here.number).map(|(_, at)| *at)
    }

    fn forget(&mut self, database: &str, path: &str) {
        if let Some(listed) = self.listed.get_mut(database) {
            listed.objects.remove(path);
        }
        self.tell_bytes();
    }
}
