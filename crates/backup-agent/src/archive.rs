//! The archive is the second tier, independent of the first: snapshots in restic repositories.

use std::path::{Path, PathBuf};

use chassis::SecretString;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use snapshots::{Class, Error, Folder, Forgotten, Image, ImageOf, Kind, Label, Pruned};
use snapshots::{Repository, Stream, Taken};

use crate::config::{Keep, Place};

/// Where the repositories lie below the folder of all copies.
pub const FOLDER: &str = "snapshots";
/// Images of databases, in pieces of fixed size.
const DATABASES: &str = "databases";
/// Folders of files, cut by their content.
const FILES: &str = "files";
/// Who takes the snapshots: the same name in every container.
const HOST: &str = "kotonoha";
/// How long a piece that nothing uses lies marked before it goes: longer than any job runs.
const PRUNE_GRACE: SignedDuration = SignedDuration::from_hours(23);

/// Both repositories, open.
#[derive(Debug)]
pub struct Archive {
    databases: Repository,
    files: Repository,
}

/// What retention did in one repository.
#[derive(Debug)]
pub struct LetGo {
    /// The repository's name.
    pub name: &'static str,
    /// What became of each snapshot, and why.
    pub forgotten: Forgotten,
    /// What became of the room.
    pub pruned: Pruned,
}

impl Archive {
    /// Opens the repositories below `root`. Where one is missing it is made only if `may_begin`:
    /// one that was there and is gone is a volume that is not mounted, or a loss.
    pub fn open(root: &Path, password: &SecretString, may_begin: bool) -> Result<Self, Error> {
        let open = |name: &str, kind| {
            let place = snapshots::Place::Folder(path(root, name));
            match Repository::open(&place, password) {
                Err(Error::Missing { .. }) if may_begin => {
                    Repository::create(&place, kind, password)
                }
                opened => opened,
            }
        };
        let databases = open(DATABASES, Kind::Images)?;
        let files = open(FILES, Kind::Files)?;
        Ok(Self { databases, files })
    }

    /// Takes a snapshot of a database's image at `txid`.
    pub fn take_database(
        &self,
        place: &Place,
        image: Image,
        (time, txid): (Timestamp, u64),
    ) -> Result<Taken, Error> {
        let class = place.class.unwrap_or(Class::Conversations);
        let name = Self::image_name(place);
        let label = Label { class, name, time, txid: Some(txid), host: HOST.to_owned() };
        self.databases.take_stream(Stream { label, image })
    }

    /// What a database's image is called: the file's own name, so that what comes back can be put
    /// in its place as it is.
    pub fn image_name(place: &Place) -> String {
        let file = place.path.file_name().unwrap_or(place.name.as_ref());
        file.to_string_lossy().into_owned()
    }

    /// Takes a snapshot of a folder. Databases in it are imaged by `images`, never copied; those
    /// this process follows are `held` and left out.
    pub fn take_folder(
        &self,
        place: &Place,
        held: &[PathBuf],
        images: Option<ImageOf>,
        time: Timestamp,
    ) -> Result<Taken, Error> {
        let class = place.class.unwrap_or(Class::Volume);
        let label =
            Label { class, name: place.name.clone(), time, txid: None, host: HOST.to_owned() };
        self.files.take_folder(&Folder {
            label,
            root: place.path.clone(),
            exclude: Vec::new(),
            held: held.to_vec(),
            images,
        })
    }

    /// Lets go what is kept no longer; with `dry`, only says what would go.
    pub fn let_go(
        &self,
        keep: &Keep,
        now: Timestamp,
        zone: &TimeZone,
        dry: bool,
    ) -> Result<Vec<LetGo>, Error> {
        let rules = |class| keep.rules(class);
        self.repositories()
            .into_iter()
            .map(|(name, repository)| {
                let forgotten = repository.forget(rules, now, zone, dry)?;
                let pruned = repository.prune(PRUNE_GRACE, dry)?;
                Ok(LetGo { name, forgotten, pruned })
            })
            .collect()
    }

    /// The repositories by name.
    pub fn repositories(&self) -> [(&'static str, &Repository); 2] {
        [(DATABASES, &self.databases), (FILES, &self.files)]
    }
}

/// Where a repository lies below the folder of all copies.
fn path(root: &Path, name: &str) -> PathBuf {
    root.join(FOLDER).join(name)
}
