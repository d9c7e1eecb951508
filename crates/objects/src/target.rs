//! One place elsewhere that copies are kept at, with the same care whatever it is made of.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::StreamExt as _;
use secrecy::SecretString;

use crate::content::{Chunks, Content, Pulse};
use crate::fault::{Fault, FaultKind, Trouble};
use crate::folder::Folder;
use crate::location::Location;
use crate::object::Object;
use crate::rclone::Rclone;
use crate::retry::again;
use crate::s3::S3;
use crate::sftp::Sftp;
use crate::side::{PART, Side};
use crate::webdav::WebDav;

mod download;

/// What a target needs to be reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name the operator gave it, for messages, logs and metrics.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// The account: an access key id for S3, a user name elsewhere. It goes before one that
    /// stands in the address.
    pub account: Option<String>,
    /// The password, the secret access key, or the passphrase of the private key.
    pub password: Option<SecretString>,
    /// The text of an OpenSSH private key, for SFTP; it goes before a password.
    pub private_key: Option<SecretString>,
    /// A folder that outlives the process, for the host keys of SFTP servers.
    pub state_folder: Option<PathBuf>,
    /// How to run rclone.
    pub rclone: RcloneProgram,
    /// PEM text of certificates to trust besides the web's own, for `https` with a CA of one's own.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// How long to wait for it.
    pub patience: Patience,
}

impl Settings {
    /// A target with a name and an address, and nothing else.
    pub fn new(name: &str, location: Location) -> Self {
        Self {
            name: name.to_owned(),
            location,
            account: None,
            password: None,
            private_key: None,
            state_folder: None,
            rclone: RcloneProgram::default(),
            extra_ca_pem: None,
            patience: Patience::default(),
        }
    }
}

/// How to run rclone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcloneProgram {
    /// The program, by name or path.
    pub program: PathBuf,
    /// Its configuration with the remotes; none means rclone's own default. rclone writes renewed
    /// tokens into it.
    pub config: Option<PathBuf>,
}

impl Default for RcloneProgram {
    fn default() -> Self {
        Self { program: PathBuf::from("rclone"), config: None }
    }
}

/// How long a far side may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a transfer or a question may stand still before it is given up. A transfer that
    /// moves may take as long as it needs.
    pub stall: Duration,
    /// How long a whole listing may take.
    pub listing: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stall: Duration::from_mins(1), listing: Duration::from_mins(10) }
    }
}

/// One place elsewhere. Cheap to clone; clones share its connections.
///
/// Paths are relative, with `/` between names: `conversation/ltx/0/….ltx`. Every method tries
/// again a few times by itself where that does no harm, and ends when nothing moves any more.
#[derive(Clone)]
pub struct Target {
    name: Arc<str>,
    location: Arc<Location>,
    side: Arc<dyn Side>,
    patience: Patience,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A target as it is set up. Nothing is connected yet.
    pub fn open(settings: &Settings) -> Result<Self, Fault> {
        let side: Result<Arc<dyn Side>, Trouble> = match &settings.location {
            Location::Folder(root) => Ok(Arc::new(Folder::new(root))),
            Location::S3(place) => S3::new(place, settings).map(|side| Arc::new(side) as _),
            Location::WebDav(place) => WebDav::new(place, settings).map(|side| Arc::new(side) as _),
            Location::Sftp(place) => Sftp::new(place, settings).map(|side| Arc::new(side) as _),
            Location::Rclone(place) => Ok(Arc::new(Rclone::new(place, settings))),
        };
        let side = side.map_err(|trouble| Fault {
            target: settings.name.clone(),
            doing: "set up",
            path: settings.location.to_string(),
            kind: trouble.kind,
            detail: trouble.detail,
        })?;
        Ok(Self {
            name: Arc::from(settings.name.as_str()),
            location: Arc::new(settings.location.clone()),
            side,
            patience: settings.patience,
        })
    }

    /// The name the operator gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, without anything secret.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Makes or replaces an object, in one step for whoever looks at it.
    pub async fn put(&self, path: &str, body: Bytes) -> Result<(), Fault> {
        let work = self.send(path, Content::of_bytes(body));
        work.await.map_err(|trouble| self.fault("put", path, trouble))
    }

    /// Makes or replaces an object from a file, without holding it in memory.
    ///
    /// The file's time of modification goes with it: as the time of the far file where there is
    /// such a thing, and on S3 as `x-amz-meta-litestream-timestamp`, which stock litestream reads.
    pub async fn put_file(&self, path: &str, file: &Path) -> Result<(), Fault> {
        let work = async { self.send(path, Content::of_file(file).await?).await };
        work.await.map_err(|trouble| self.fault("put", path, trouble))
    }

    /// A whole object, in memory.
    pub async fn get(&self, path: &str) -> Result<Bytes, Fault> {
        let work = again(|| self.fetch(path, None));
        work.await.map_err(|trouble| self.fault("get", path, trouble))
    }

    /// A range of an object's bytes, in memory; cut to the object's end.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, Fault> {
        let work = again(|| self.fetch(path, Some(range.clone())));
        work.await.map_err(|trouble| self.fault("get", path, trouble))
    }

    /// Writes an object into a new file beside its name and then gives it the name, durably.
    ///
    /// A line that breaks is taken up where it broke. The object's size is what the far side says
    /// it is, or this fails.
    pub async fn get_file(&self, path: &str, file: &Path) -> Result<u64, Fault> {
        let work = async {
            check(path)?;
            download::to_file(self, path, file).await
        };
        work.await.map_err(|trouble| self.fault("get", path, trouble))
    }

    /// Every whole object below a folder (`""` for all of them, else with `/` at its end), by
    /// path. A folder that is not there has none.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, Fault> {
        let work = async {
            if !prefix.is_empty() {
                check(prefix.strip_suffix('/').unwrap_or(""))?;
            }
            again(|| self.within(self.patience.listing, self.side.list(prefix))).await
        };
        let mut objects: Vec<_> =
            work.await.map_err(|trouble| self.fault("list", prefix, trouble))?;
        objects.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(objects)
    }

    /// One object's size and time.
    pub async fn stat(&self, path: &str) -> Result<Object, Fault> {
        let work = async {
            check(path)?;
            again(|| self.within(self.patience.stall, self.side.stat(path))).await
        };
        work.await.map_err(|trouble| self.fault("look at", path, trouble))
    }

    /// Removes an object; one that is not there counts as removed.
    pub async fn delete(&self, path: &str) -> Result<(), Fault> {
        let work = async {
            check(path)?;
            let gone = || async {
                match self.within(self.patience.stall, self.side.delete(path)).await {
                    Err(trouble) if trouble.kind == FaultKind::NotFound => Ok(()),
                    other => other,
                }
            };
            again(gone).await
        };
        work.await.map_err(|trouble| self.fault("delete", path, trouble))
    }

    async fn send(&self, path: &str, content: Content) -> Result<(), Trouble> {
        check(path)?;
        let attempt = || content.pulse.watch(self.patience.stall, self.side.put(path, &content));
        again(attempt).await
    }

    async fn fetch(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes, Trouble> {
        check(path)?;
        let mut pieces = self.begin(path, range).await?;
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next(&mut pieces).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    async fn begin(&self, path: &str, range: Option<Range<u64>>) -> Result<Chunks, Trouble> {
        self.within(self.patience.stall, self.side.read(path, range)).await
    }

    async fn next(&self, pieces: &mut Chunks) -> Result<Option<Bytes>, Trouble> {
        let next = async { pieces.next().await.transpose() };
        self.within(self.patience.stall, next).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        Pulse::default().watch(limit, work).await
    }

    fn fault(&self, doing: &'static str, path: &str, trouble: Trouble) -> Fault {
        Fault {
            target: self.name.to_string(),
            doing,
            path: path.to_owned(),
            kind: trouble.kind,
            detail: trouble.detail,
        }
    }
}

/// Refuses what would leave the target's root, or mean different things to different sides.
fn check(path: &str) -> Result<(), Trouble> {
    let odd = |name: &str| {
        name.is_empty()
            || name == "."
            || name == ".."
            || name.ends_with(PART)
            || name.chars().any(|char| char.is_control() || char == '\\')
    };
    if path.split('/').any(odd) {
        return Err(Trouble::new(FaultKind::Unfit, "this is no path of an object"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_root() {
        for fine in ["a", "a/b/c.ltx", "ひと/x", "a b/c"] {
            check(fine).unwrap();
        }
        for odd in
            ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\nb", "x.kotonoha-part"]
        {
            assert!(check(odd).is_err(), "{odd:?}");
        }
    }
}
