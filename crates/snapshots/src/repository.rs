//! A repository: made, opened, listed, and given another password.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustic_core::repofile::{Chunker, MasterKey, SnapshotFile};
use rustic_core::{
    ALL_FILE_TYPES, ConfigOptions, Credentials, FileType, Id, IndexedFullStatus, KeyOptions,
    OpenStatus, ReadBackend, RepositoryBackends, RepositoryOptions, RusticError, WriteBackend,
};
use secrecy::{ExposeSecret, SecretString};

use crate::check::Fault;
use crate::error::Error;
use crate::key;
use crate::label::Snapshot;
use crate::store::{Place, Watch};

/// Bytes of a piece where pieces are fixed. Four pages of 4 KiB: small enough that a few changed
/// pages cost little, large enough that the list of pieces does not outweigh them (measured:
/// 4 KiB pieces cost more in their lists than they save).
const PIECE_BYTES: u64 = 16 << 10;
/// Bytes of a pack before it is written. Several are in flight at a time, in memory.
const PACK_BYTES: u64 = 16 << 20;
/// Packs grow with the repository, but not past this.
const PACK_BYTES_MAX: u64 = 64 << 20;

/// What a repository is for, which decides how it cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Database images: pieces of 16 KiB, because a page stays where it is.
    Images,
    /// Folders: cut by content, because files grow and shift.
    Files,
}

/// What a repository holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// Its snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Snapshot files that cannot be read. While there are any, nothing is forgotten or pruned.
    pub damaged: Vec<Fault>,
}

/// An open repository. Writers take turns; readers do not wait.
#[derive(Debug)]
pub struct Repository {
    pub(crate) place: String,
    pub(crate) watch: Arc<Watch>,
    pub(crate) inner: rustic_core::Repository<OpenStatus>,
    writing: Mutex<()>,
}

impl Repository {
    /// Makes a repository where there is none.
    ///
    /// The key is stored before the config, so that a creation that was interrupted leaves no
    /// config and is simply done again.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if there is one, [`Error::Remains`] if there was one.
    pub fn create(place: &Place, kind: Kind, password: &SecretString) -> Result<Self, Error> {
        let watch = Arc::new(Watch::new(place.backend()));
        let at = watch.location();
        let fail = |doing, error| failure(&at, &watch, doing, error);
        if !watch.list(FileType::Config).map_err(|e| fail("look for a config", e))?.is_empty() {
            return Err(Error::Exists { place: at.clone() });
        }
        for kept in [FileType::Snapshot, FileType::Index, FileType::Pack] {
            if !watch.list(kept).map_err(|e| fail("look for remains", e))?.is_empty() {
                let found = kept.dirname().to_owned();
                return Err(Error::Remains { place: at.clone(), found });
            }
        }
        // A key without a config and without data opens nothing: it is of a creation that ended
        // here. Left alone, it would answer to the same password with another master key.
        for id in place.backend().list(FileType::Key).map_err(|e| fail("list keys", e))? {
            watch.remove(FileType::Key, &id, false).map_err(|e| fail("remove a stray key", e))?;
        }
        let master = MasterKey::new();
        watch.create().map_err(|e| fail("make folders", e))?;
        add_key(&watch, &master, password).map_err(|e| fail("write the key", e))?;
        let backends = RepositoryBackends::new(watch.clone(), None);
        let inner = rustic_core::Repository::new(&options(), &backends)
            .and_then(|new| {
                let credentials = Credentials::Masterkey(master);
                new.init(&credentials, &KeyOptions::default(), &config(kind))
            })
            .map_err(|e| fail("write the config", e))?;
        Ok(Self { place: at, watch, inner, writing: Mutex::new(()) })
    }

    /// Opens a repository.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::WrongPassword`], or [`Error::Damaged`] when the key or the
    /// config is not what was written.
    pub fn open(place: &Place, password: &SecretString) -> Result<Self, Error> {
        Self::open_on(place.backend(), password)
    }

    /// Opens what a backend reads.
    fn open_on(backend: Arc<dyn WriteBackend>, password: &SecretString) -> Result<Self, Error> {
        let watch = Arc::new(Watch::new(backend));
        let at = watch.location();
        let fail = |doing, error| failure(&at, &watch, doing, error);
        if watch.list(FileType::Config).map_err(|e| fail("look for a config", e))?.is_empty() {
            for kept in ALL_FILE_TYPES {
                let stored = watch.list_unchecked(kept).map_err(|e| fail("look for remains", e))?;
                if !stored.is_empty() {
                    let found = kept.dirname().to_owned();
                    return Err(Error::Remains { place: at.clone(), found });
                }
            }
            return Err(Error::Missing { place: at.clone() });
        }
        let backends = RepositoryBackends::new(watch.clone(), None);
        let credentials = Credentials::password(password.expose_secret());
        let opened = rustic_core::Repository::new(&options(), &backends)
            .and_then(|new| new.open(&credentials));
        match opened {
            Ok(inner) => Ok(Self { place: at, watch, inner, writing: Mutex::new(()) }),
            Err(error) => Err(why_closed(&at, &watch, error)),
        }
    }

    /// Where it lies, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Every snapshot, and every snapshot file that cannot be read.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let files = self
            .inner
            .stream_files::<SnapshotFile>()
            .map_err(|error| self.fail("list snapshots", error))?;
        for file in files {
            match file {
                Ok((id, mut file)) => {
                    file.id = id;
                    listing.snapshots.push(Snapshot::read(&file));
                }
                Err(error) => {
                    let damage = self.watch.take_damage();
                    if damage.is_empty() {
                        return Err(self.fail("read a snapshot", error));
                    }
                    listing.damaged.extend(damage.into_iter().map(Fault::from));
                }
            }
        }
        listing.snapshots.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        Ok(listing)
    }

    /// Gives the repository another password and takes every earlier one from it.
    ///
    /// The new one is proven by opening the repository with it before any other goes. The master
    /// key stays: whoever copied both it and the repository can read that copy still.
    pub fn rotate(&self, place: &Place, password: &SecretString) -> Result<(), Error> {
        let _turn = self.turn();
        let new = add_key(&self.watch, &self.inner.key(), password)
            .map_err(|error| self.fail("write the new key", error))?;
        Self::open(place, password)?;
        let keys = place.backend().list(FileType::Key);
        for id in keys.map_err(|error| self.fail("list keys", error))? {
            if id != new {
                self.watch
                    .remove(FileType::Key, &id, false)
                    .map_err(|error| self.fail("remove an earlier key", error))?;
            }
        }
        Ok(())
    }

    /// The snapshot file of that id, or of the one snapshot whose id begins like this.
    pub(crate) fn snapshot_file(&self, id: &str) -> Result<SnapshotFile, Error> {
        let unknown = || Error::NoSuchSnapshot { place: self.place.clone(), id: id.to_owned() };
        let listing = self.list()?;
        let mut found = listing.snapshots.iter().filter(|known| known.id.starts_with(id));
        let (Some(one), None) = (found.next(), found.next()) else { return Err(unknown()) };
        self.inner
            .get_snapshot_from_str(&one.id, |_| true)
            .map_err(|error| self.fail("read the snapshot", error))
    }

    /// The repository with everything its index says in memory.
    pub(crate) fn indexed(&self) -> Result<rustic_core::Repository<IndexedFullStatus>, Error> {
        let again = self.again()?;
        again.to_indexed().map_err(|error| self.fail("read the index", error))
    }

    /// The repository opened once more, by its key: the engine uses up what it gives an index.
    pub(crate) fn again(&self) -> Result<rustic_core::Repository<OpenStatus>, Error> {
        let backends = RepositoryBackends::new(self.watch.clone(), None);
        rustic_core::Repository::new(&options(), &backends)
            .and_then(|new| new.open(&Credentials::Masterkey(self.inner.key())))
            .map_err(|error| self.fail("open", error))
    }

    /// Waits until no other writer of this process is at work here.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error of the engine comes from.
    pub(crate) fn fail(&self, doing: &'static str, error: Box<RusticError>) -> Error {
        failure(&self.place, &self.watch, doing, error)
    }
}

/// Damage and a full disk are what an operator can act on; the rest is passed on as it was said.
#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn failure(place: &str, watch: &Watch, doing: &'static str, error: Box<RusticError>) -> Error {
    let place = place.to_owned();
    if let Some(damage) = watch.take_damage().pop() {
        return Error::Damaged { place, file: damage.file, what: damage.what };
    }
    if watch.take_full() {
        return Error::Full { place };
    }
    Error::Repository { place, doing, what: said(&error) }
}

/// What the engine says, on one line.
pub(crate) fn said(error: &RusticError) -> String {
    let text = error.display_log();
    text.trim_start_matches("Error: ").replace('\n', " ")
}

/// Why a repository that is there did not open.
#[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
fn why_closed(place: &str, watch: &Watch, error: Box<RusticError>) -> Error {
    let damage = watch.take_damage().pop();
    let place = place.to_owned();
    if let Some(damage) = damage {
        return Error::Damaged { place, file: damage.file, what: damage.what };
    }
    if error.is_incorrect_password() {
        if watch.list_unchecked(FileType::Key).is_ok_and(|keys| keys.is_empty()) {
            let what = "there is no key file".to_owned();
            return Error::Damaged { place, file: "keys".to_owned(), what };
        }
        return Error::WrongPassword { place };
    }
    // Past the password there is only the config left to read.
    match watch.read_full(FileType::Config, &Id::default()) {
        Ok(_) => {
            let what = format!("it does not open with the key: {}", said(&error));
            Error::Damaged { place, file: "config".to_owned(), what }
        }
        Err(error) => Error::Repository { place, doing: "read the config", what: said(&error) },
    }
}

/// Stores the master key for one more password.
fn add_key(
    watch: &Watch,
    master: &MasterKey,
    password: &SecretString,
) -> Result<Id, Box<RusticError>> {
    let (id, content) = key::seal(master, password, "kotonoha")
        .map_err(|what| RusticError::new(rustic_core::ErrorKind::Key, what))?;
    watch.write_bytes(FileType::Key, &id, false, content.into())?;
    Ok(id)
}

/// No cache: it would be a second place with names of files, outside of everything backed up.
fn options() -> RepositoryOptions {
    RepositoryOptions::default().no_cache(true)
}

fn config(kind: Kind) -> ConfigOptions {
    let sized = |bytes: u64| Some(bytes.to_string().parse().unwrap_or_default());
    let mut options = ConfigOptions::default();
    options.set_datapack_size = sized(PACK_BYTES);
    options.set_datapack_size_limit = sized(PACK_BYTES_MAX);
    if kind == Kind::Images {
        options.set_chunker = Some(Chunker::FixedSize);
        options.set_chunk_size = sized(PIECE_BYTES);
    }
    options
}

#[cfg(test)]
mod tests;
