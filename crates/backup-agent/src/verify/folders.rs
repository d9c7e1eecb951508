//! Snapshots of folders, brought back as folders; databases among their files are looked into.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Instant;

use replica::inspect::inspect;
use snapshots::Snapshot;

use super::Snapshots;
use super::rehearsal::{Back, Looked, Rehearsal, Trial, clear, point};
use super::report::Which;

/// The first bytes of every SQLite database.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

impl Rehearsal<'_> {
    /// Latest, any and oldest snapshot of each folder of a repository.
    pub(super) fn folders(&mut self, folders: &Snapshots<'_>) {
        let listed = match folders.repository.list() {
            Ok(listing) => listing.snapshots,
            Err(error) => return self.fault(error.to_string()),
        };
        let names: BTreeSet<&str> = listed.iter().map(|snapshot| snapshot.name.as_str()).collect();
        for name in names {
            let of_it: Vec<&Snapshot> =
                listed.iter().filter(|snapshot| snapshot.name == name).collect();
            let last = of_it.len() - 1;
            let random = (self.how.dice)(of_it.len()).min(last);
            let mut tried = BTreeSet::new();
            for (which, index) in
                [(Which::Latest, last), (Which::Random, random), (Which::Oldest, 0)]
            {
                // A folder can be large, and the same one twice proves nothing more.
                if tried.insert(index) {
                    let trial = Trial { name, tier: folders.tier.clone(), which, live: None };
                    self.folder(&trial, folders, of_it[index]);
                }
            }
        }
    }

    fn folder(&mut self, trial: &Trial<'_>, from: &Snapshots<'_>, snapshot: &Snapshot) {
        if (self.how.stop)() {
            return;
        }
        (self.how.say)(&format!("restoring {} ({:?}, {:?})", trial.name, trial.tier, trial.which));
        let started = Instant::now();
        let to = self.how.scratch.join("folder");
        let mut faults = Vec::new();
        let mut bytes = 0;
        match from.repository.restore(&snapshot.id, &to) {
            Ok(restored) => {
                bytes = restored.bytes;
                if let Err(error) = databases(&to, &to, &mut faults) {
                    faults.push(format!("what came back cannot be looked into: {error}"));
                }
            }
            Err(error) => faults.push(error.to_string()),
        }
        if let Err(error) = clear(&to) {
            faults.push(format!("what came back cannot be removed: {error}"));
        }
        let back = Back { shows: Some(snapshot.time), txid: snapshot.txid };
        let looked = Looked { bytes, checksum: None };
        self.points.push(point(trial, Some(back), looked, started, faults));
    }
}

/// Looks into every database below a folder. References that lead to nothing are the business of
/// whoever wrote it: many never ask SQLite to hold them.
fn databases(folder: &Path, root: &Path, faults: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            databases(&path, root, faults)?;
        } else if kind.is_file() && is_database(&path)? {
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            match inspect(&path) {
                Ok(found) => faults.extend(
                    found.integrity.iter().map(|line| format!("{name}: integrity_check: {line}")),
                ),
                Err(error) => faults.push(format!("{name}: {error}")),
            }
        }
    }
    Ok(())
}

fn is_database(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::with_capacity(SQLITE_MAGIC.len());
    let file = match File::open(path) {
        Ok(file) => file,
        // Its owner may read it; that it came back is proven without.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(error),
    };
    file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == SQLITE_MAGIC)
}
