//! The way back: a history that lies elsewhere, as a tree here that stock litestream restores too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use objects::{Envelope, EnvelopeError, Fault, Object, Target};
use replica::disk::Disk;
use replica::tree::{At, Catalogue, Entry, PlanError, Tree, TreeError};

use super::far::{Layout, folder_of, is_sealed};

/// One timeline of a database as it lies on a target.
#[derive(Debug, Clone)]
pub struct FarTimeline {
    /// Its folder there: the number of the timeline and when it began.
    pub name: String,
    /// Whether it is wrapped.
    pub sealed: bool,
    /// What it holds. Sizes are those of the far side, times those of the far files.
    pub catalogue: Catalogue,
    layout: Layout,
}

/// Why a history could not be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BringBackError {
    /// The target.
    #[error(transparent)]
    Target(#[from] Fault),
    /// What lies there does not lead to a point.
    #[error("what lies there leads to no recovery point: {0}")]
    Plan(#[from] PlanError),
    /// It is wrapped, and it cannot be unwrapped.
    #[error("{path}: {source}")]
    Envelope {
        /// The object.
        path: String,
        /// What is wrong with it or with the keys.
        source: EnvelopeError,
    },
    /// There is no envelope for what is wrapped.
    #[error("{0} is wrapped: give the key of the recovery sheet")]
    Sealed(String),
    /// What came is no history, or is damaged.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What came is damaged.
    #[error("{} came and is damaged: {reason}; take it from another target", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the machine said.
        source: std::io::Error,
    },
}

/// Every timeline of a database on a target, in the order in which they began: a house that was
/// built anew begins with the first number again.
pub async fn timelines(target: &Target, database: &str) -> Result<Vec<FarTimeline>, Fault> {
    let folder = folder_of(database);
    let mut by_name: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in target.list(&folder).await? {
        let name = object.path.strip_prefix(&folder).and_then(|rest| rest.split_once('/'));
        if let Some((name, _)) = name {
            by_name.entry(name.to_owned()).or_default().push(object.clone());
        }
    }
    let mut by_name: Vec<_> = by_name.into_iter().collect();
    by_name.sort_by(|(one, _), (other, _)| began(one).cmp(began(other)));
    let timelines = by_name.into_iter().map(|(name, objects)| {
        let sealed = objects.iter().any(|object| is_sealed(&object.path));
        let layout = Layout::new(database, &name, sealed);
        let catalogue = layout.catalogue(layout.entries(&objects));
        FarTimeline { name, sealed, catalogue, layout }
    });
    Ok(timelines.collect())
}

/// When a timeline began, as its name tells.
fn began(name: &str) -> &str {
    name.splitn(3, '-').nth(2).unwrap_or_default()
}

/// Brings what leads to the newest point of the newest timeline that leads to one, as
/// [`bring_back`] does.
pub async fn bring_back_newest(
    target: &Target,
    envelope: Option<&Envelope>,
    database: &str,
    to: &Path,
) -> Result<Tree, BringBackError> {
    let timelines = timelines(target, database).await?;
    let usable = timelines.iter().rev().find(|one| one.catalogue.plan(At::Latest).is_ok());
    let timeline = usable.or(timelines.last()).ok_or_else(|| {
        let place = format!("{} on {}", folder_of(database), target.name());
        PlanError::Empty(PathBuf::from(place))
    })?;
    bring_back(target, envelope, timeline, Some(At::Latest), to).await?;
    Ok(Tree::open(to, Disk::default())?)
}

/// Brings a timeline back into the empty folder `to`: what leads to the point `at`, or, where
/// `at` is nothing, everything. Each file is unwrapped, read to its end and given its date; what
/// is damaged is an error, and whatever came before it stays.
///
/// A point in time is found here and not there: bring everything back and ask the result.
pub async fn bring_back(
    target: &Target,
    envelope: Option<&Envelope>,
    timeline: &FarTimeline,
    at: Option<At>,
    to: &Path,
) -> Result<Catalogue, BringBackError> {
    let entries: Vec<Entry> = match at {
        Some(at) => timeline.catalogue.plan(at)?.entries,
        None => timeline.catalogue.entries().to_vec(),
    };
    let manifest = timeline.layout.manifest();
    fetch(target, envelope, &manifest, timeline.sealed, &to.join("manifest.json")).await?;
    for entry in &entries {
        let path = timeline.layout.path(entry);
        fetch(target, envelope, &path, timeline.sealed, &entry.path(to)).await?;
    }
    let catalogue = Catalogue::of_foreign(to)?;
    catalogue.mend_dates()?;
    let catalogue = Catalogue::of_foreign(to)?;
    if let Some(fault) = catalogue.examine().faults.into_iter().next() {
        let reason = fault.error.to_string();
        return Err(BringBackError::Damaged { path: fault.path, reason });
    }
    Ok(catalogue)
}

async fn fetch(
    target: &Target,
    envelope: Option<&Envelope>,
    path: &str,
    sealed: bool,
    file: &Path,
) -> Result<(), BringBackError> {
    let disk = |path: &Path| {
        let path = path.to_path_buf();
        move |source| BringBackError::Disk { path, source }
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    tokio::fs::create_dir_all(folder).await.map_err(disk(folder))?;
    if !sealed {
        target.get_file(path, file).await?;
        return Ok(());
    }
    let envelope = envelope.ok_or_else(|| BringBackError::Sealed(path.to_owned()))?;
    let wrapped = file.with_extension("age");
    target.get_file(path, &wrapped).await?;
    // In place: a machine that is being rebuilt has nothing else to do.
    let opened = envelope.open_file(&wrapped, file);
    tokio::fs::remove_file(&wrapped).await.map_err(disk(&wrapped))?;
    opened.map_err(|source| BringBackError::Envelope { path: path.to_owned(), source })?;
    Ok(())
}
