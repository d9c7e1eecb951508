//! The ready file tells whoever started the service where it listens.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::settings::Faults;

const KEY: &str = "READY_FILE";

/// Removes what an earlier run left, so that nobody takes its address for ours.
pub(super) fn remove_stale(path: &Path) -> Result<(), Faults> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault(path, &error)),
    }
}

/// Writes `address` to `path`, which holds either nothing or the whole address at any moment.
pub(super) fn announce(path: &Path, address: SocketAddr) -> Result<(), Faults> {
    replace(path, address.to_string().as_bytes()).map_err(|error| fault(path, &error))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)
}

/// A name in the same folder, hence on the same disk, that no other process uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn fault(path: &Path, error: &io::Error) -> Faults {
    let path = path.display();
    let problem = (
        format!("names {path}, which cannot be written: {error}"),
        format!("が指す {path} に書き込めません: {error}"),
    );
    Faults::one(
        KEY,
        problem,
        (
            "name a file in a folder this user may write to, or unset the key",
            "書き込めるフォルダ内のファイルを指定するか、設定を外してください",
        ),
    )
}
