//! Proof that a repository is whole: every stored byte is what was written, and nothing is missing.

use rustic_core::{ALL_FILE_TYPES, CheckOptions, FileType, Id, ReadBackend};
use serde::Serialize;

use crate::error::Error;
use crate::repository::{Repository, said};
use crate::store::{Damage, file_name};

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Keys, snapshots and indexes are read whole, packs are there and have their length, every
    /// file of every snapshot leads to pieces that the index knows. Reads little.
    Structure,
    /// Every stored byte is read as well, and every piece in use is opened.
    Everything,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The stored file, e.g. `data/4f/4f3a…`, or `repository` where it is none in particular.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self { file: damage.file, what: damage.what }
    }
}

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Stored files looked at.
    pub files: u64,
    /// Bytes read to compare contents with names.
    pub bytes: u64,
    /// What is wrong; empty for a repository that is whole.
    pub faults: Vec<Fault>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    fn add(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

impl Repository {
    /// Checks the repository.
    ///
    /// # Errors
    ///
    /// Only where the place itself cannot be read; what is wrong with the repository is found,
    /// not an error.
    pub fn check(&self, depth: Depth) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        for kind in ALL_FILE_TYPES {
            self.compare_names(kind, depth, &mut findings)?;
        }
        // The engine stops at the first index or snapshot it cannot read: what it has not seen
        // after that is no proof of anything, and the faults above say so already.
        let options = CheckOptions::default().read_data(depth == Depth::Everything);
        match self.inner.check(options) {
            Ok(results) => {
                for (level, finding) in results.0 {
                    // A warning is a pack that no index names yet: of a run that was interrupted.
                    if format!("{level:?}") == "Error" {
                        let file = "repository".to_owned();
                        findings.add(Fault { file, what: finding.to_string() });
                    }
                }
            }
            Err(error) => {
                let what = said(&error);
                findings.add(Fault { file: "repository".to_owned(), what });
            }
        }
        for damage in self.watch.take_damage() {
            findings.add(damage.into());
        }
        Ok(findings)
    }

    /// Reads files of one kind and compares their contents with their names.
    fn compare_names(
        &self,
        kind: FileType,
        depth: Depth,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let stored = self
            .watch
            .list_unchecked(kind)
            .map_err(|error| self.fail("list stored files", error))?;
        for (id, size) in stored {
            findings.files += 1;
            if kind == FileType::Pack && depth == Depth::Structure {
                continue;
            }
            findings.bytes += u64::from(size);
            if let Err(what) = self.compare_name(kind, &id) {
                findings.add(Fault { file: file_name(kind, &id), what });
            }
        }
        Ok(())
    }

    fn compare_name(&self, kind: FileType, id: &Id) -> Result<(), String> {
        match self.watch.read_full(kind, id) {
            Ok(_) => Ok(()),
            Err(error) => {
                let damage = self.watch.take_damage().pop();
                Err(damage.map_or_else(|| said(&error), |damage| damage.what))
            }
        }
    }
}
