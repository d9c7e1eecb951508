//! An object into a file, taken up again where a line broke.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::fault::{FaultKind, Trouble};
use crate::retry::again;
use crate::side::PART;
use crate::target::Target;

/// How often in a row a line may break without one byte more.
const BREAKS: u32 = 3;

/// Fetches an object into a passing file, proves its length and gives it its name.
pub(super) async fn to_file(target: &Target, path: &str, file: &Path) -> Result<u64, Trouble> {
    let patience = target.patience;
    let size = again(|| target.within(patience.stall, target.side.stat(path))).await?.size;
    let mut name = file.as_os_str().to_owned();
    name.push(PART);
    let part = PathBuf::from(name);
    let result = fill(target, path, &part, size).await;
    let result = match result {
        Ok(()) => finish(&part, file).map_err(|error| Trouble::local("finish", file, &error)),
        Err(trouble) => Err(trouble),
    };
    if let Err(trouble) = result {
        // What is left is of no use to anybody; that it stays is less than the fault itself.
        drop(std::fs::remove_file(&part));
        return Err(trouble);
    }
    Ok(size)
}

async fn fill(target: &Target, path: &str, part: &Path, size: u64) -> Result<(), Trouble> {
    let local = |error: io::Error| Trouble::local("write", part, &error);
    let mut file = std::fs::File::create(part).map_err(local)?;
    let mut have = 0;
    let mut breaks = 0;
    while have < size {
        let before = have;
        match some(target, path, &mut file, (&mut have, size)).await {
            Ok(()) if have == before => {
                let text = format!("{size} bytes were told and {have} came");
                return Err(Trouble::new(FaultKind::Changed, text));
            }
            Ok(()) => breaks = 0,
            Err(trouble) if trouble.kind.may_pass() => {
                breaks = if have > before { 0 } else { breaks + 1 };
                if breaks == BREAKS {
                    return Err(trouble);
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    file.sync_all().map_err(local)
}

/// Reads on from where the file ends, as far as the line holds.
async fn some(
    target: &Target,
    path: &str,
    file: &mut std::fs::File,
    (have, size): (&mut u64, u64),
) -> Result<(), Trouble> {
    // Whole, if it is the first go: not every server of WebDAV knows ranges.
    let range = (*have > 0).then_some(*have..size);
    let mut pieces = target.begin(path, range).await?;
    while let Some(piece) = target.next(&mut pieces).await? {
        let more = *have + piece.len() as u64;
        if more > size {
            let text = format!("{size} bytes were told and more came");
            return Err(Trouble::new(FaultKind::Changed, text));
        }
        file.write_all(&piece).map_err(|error| Trouble::local("write", Path::new(path), &error))?;
        *have = more;
    }
    Ok(())
}

fn finish(part: &Path, file: &Path) -> io::Result<()> {
    std::fs::rename(part, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
