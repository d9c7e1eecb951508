//! What a history says about itself: LTX files do not tell the version of their own format.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::TreeError;
use crate::disk::Disk;

const NAME: &str = "manifest.json";
const FORMAT: &str = "ltx";
const VERSION: u32 = 3;
/// A manifest is a few lines; what is longer is none.
const BYTES_MAX: u64 = 64 * 1024;

/// The manifest of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the files.
    pub(crate) format: String,
    /// Its version.
    pub(crate) version: u32,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The timeline's number, from 1.
    pub timeline: u32,
    /// Where it branched off; nothing for a first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// When it began.
    pub began: Timestamp,
    /// The release that began it.
    pub agent: String,
}

/// The point at which a timeline left another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The other timeline's number.
    pub timeline: u32,
    /// The last transaction that both have.
    pub txid: u64,
}

impl Manifest {
    /// The manifest of a first timeline.
    pub fn new(page_size: u32, began: Timestamp, agent: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            page_size,
            timeline: 1,
            parent: None,
            began,
            agent: agent.to_owned(),
        }
    }
}

pub(crate) fn path_of(root: &Path) -> PathBuf {
    root.join(NAME)
}

pub(crate) fn read(root: &Path) -> Result<Manifest, TreeError> {
    let path = path_of(root);
    let refuse = |reason: String| TreeError::Manifest { path: path.clone(), reason };
    let about = std::fs::metadata(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("is missing: there is no history here".to_owned()),
        _ => TreeError::io("read", &path)(error),
    })?;
    if about.len() > BYTES_MAX {
        return Err(refuse("is far too long to be a manifest".to_owned()));
    }
    let text = std::fs::read(&path).map_err(TreeError::io("read", &path))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        refuse(format!("cannot be read ({error}): put it back from another copy"))
    })?;
    if (manifest.format.as_str(), manifest.version) != (FORMAT, VERSION) {
        let (format, version) = (&manifest.format, manifest.version);
        return Err(refuse(format!(
            "tells of files in the format {format} {version}, which this release does not know"
        )));
    }
    if !manifest.page_size.is_power_of_two()
        || !(ltx::PAGE_SIZE_MIN..=ltx::PAGE_SIZE_MAX).contains(&manifest.page_size)
    {
        return Err(refuse(format!("has a page size that cannot be: {}", manifest.page_size)));
    }
    Ok(manifest)
}

pub(crate) fn write(root: &Path, manifest: &Manifest, disk: &Disk) -> Result<(), TreeError> {
    let path = path_of(root);
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| TreeError::Manifest {
        path: path.clone(),
        reason: format!("cannot be written down: {error}"),
    })?;
    disk.replace(&path, None, |pen| {
        pen.write_all(&text)?;
        pen.write_all(b"\n")
    })
    .map_err(TreeError::io("write", &path))
}
