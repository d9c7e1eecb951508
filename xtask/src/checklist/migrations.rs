//! The migration check: pairs without gaps, and no change to what was released.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::external;
use crate::release;
use crate::say;
use crate::surroundings;

/// One folder below for each database.
const FOLDER: &str = "migrations";

/// Checks the files, then compares them with the last release's.
pub(crate) fn check() -> Result<()> {
    let workspace = surroundings::workspace()?;
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--", FOLDER]).current_dir(&workspace);
    let listed = external::quiet(&mut list).context("list the migrations")?;
    let mut faults = gaps(listed.split('\0').filter(|path| !path.is_empty()));
    match release::last_tag(&workspace)? {
        Some(tag) => {
            faults.extend(changed(&workspace, &tag)?);
            say::aside(&format!("migrations: compared with {tag}"));
        }
        None => say::aside("migrations: no release yet, so none can have changed since"),
    }
    for fault in &faults {
        say::aside(&format!("migrations: {fault}"));
    }
    if faults.is_empty() { Ok(()) } else { bail!("check the migrations: see above") }
}

/// Numbers that are missing, and ways up without a way back.
fn gaps<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut faults = Vec::new();
    // For each database and number: whether there is a way up, and a way back.
    let mut found: BTreeMap<(&str, u32), (bool, bool)> = BTreeMap::new();
    for path in paths {
        let Some((database, number, up)) = parts(path) else {
            faults.push(format!("{path}: name it <database>/<number>_<words>.up.sql or .down.sql"));
            continue;
        };
        let ways = found.entry((database, number)).or_default();
        let way = if up { &mut ways.0 } else { &mut ways.1 };
        if std::mem::replace(way, true) {
            faults.push(format!("{path}: number {number} stands there twice"));
        }
    }
    let mut expected: BTreeMap<&str, u32> = BTreeMap::new();
    for ((database, number), ways) in found {
        let next = expected.entry(database).or_insert(1);
        if number != *next {
            faults.push(format!("{database}: number {next} is missing before {number}"));
        }
        *next = number + 1;
        if ways != (true, true) {
            let missing = if ways.0 { "way back (.down.sql)" } else { "way up (.up.sql)" };
            faults.push(format!("{database}: number {number} has no {missing}"));
        }
    }
    faults
}

/// Database, number, and whether it is the way up.
fn parts(path: &str) -> Option<(&str, u32, bool)> {
    let (database, file) = path.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
    let (number, rest) = file.split_once('_')?;
    let up = rest.ends_with(".up.sql");
    (up || rest.ends_with(".down.sql")).then_some(())?;
    Some((database, number.parse().ok()?, up))
}

/// Migrations of the release that were edited or removed: databases out there ran them as they were.
fn changed(workspace: &Path, tag: &str) -> Result<Vec<String>> {
    let mut differ = Command::new("git");
    differ.args(["diff", "--name-status", "--no-renames", "--diff-filter=MDT", tag, "--", FOLDER]);
    let told =
        external::quiet(differ.current_dir(workspace)).context("compare with the release")?;
    Ok(told
        .lines()
        .map(|line| {
            let path = line.split('\t').next_back().unwrap_or(line);
            format!("{path}: was released in {tag}; leave it as it was and add a new one")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{changed, gaps};
    use crate::release::repository::Repository;

    #[test]
    fn pairs_without_gaps_are_fine() {
        let paths = ["migrations/w/0001_a.up.sql", "migrations/w/0001_a.down.sql"];
        assert_eq!(gaps(paths.into_iter()), [""; 0]);
    }

    #[test]
    fn gaps_missing_ways_back_and_doubles_are_found() {
        let paths = [
            "migrations/w/0001_a.up.sql",
            "migrations/w/0003_c.up.sql",
            "migrations/w/0003_c.down.sql",
            "migrations/w/0003_d.down.sql",
            "migrations/readme",
        ];
        let faults = gaps(paths.into_iter());
        for word in ["number 1 has no way back", "number 2 is missing", "twice", "readme"] {
            assert!(faults.iter().any(|fault| fault.contains(word)), "{word}: {faults:?}");
        }
    }

    #[test]
    fn a_released_migration_must_stay_as_it_was() {
        let repository = Repository::create();
        repository.write("migrations/w/0001_a.up.sql", "create table a (b);\n");
        repository.write("migrations/w/0001_a.down.sql", "drop table a;\n");
        repository.commit("feat: keep a");
        repository.git(&["tag", "v0.1.0"]);
        repository.write("migrations/w/0002_b.up.sql", "create table b (c);\n");
        assert_eq!(changed(repository.path(), "v0.1.0").unwrap(), [""; 0]);
        repository.write("migrations/w/0001_a.up.sql", "create table a (b, c);\n");
        let faults = changed(repository.path(), "v0.1.0").unwrap();
        assert!(faults.len() == 1 && faults[0].contains("0001_a.up.sql"), "{faults:?}");
    }
}
