//! A repository whose writing ends at every step there is, as when the power goes.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend,
};

use super::{Kind, Repository};
use crate::check::Depth;
use crate::label::{Class, Label};
use crate::store::Place;
use crate::take::{Image, Stream};

/// Writes and removes so many files, and no more.
#[derive(Debug)]
struct Ending {
    inner: Arc<dyn WriteBackend>,
    steps: AtomicUsize,
    last: usize,
}

impl Ending {
    fn step(&self) -> RusticResult<()> {
        if self.steps.fetch_add(1, Ordering::SeqCst) < self.last {
            return Ok(());
        }
        Err(RusticError::new(ErrorKind::Backend, "the power went"))
    }
}

impl ReadBackend for Ending {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.inner.list_with_size(kind)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.inner.read_full(kind, id)
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.inner.read_partial(kind, id, cacheable, offset, length)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.inner.warmup_path(kind, id)
    }
}

impl WriteBackend for Ending {
    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        self.step()?;
        self.inner.write_bytes(kind, id, cacheable, content)
    }

    fn remove(&self, kind: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.step()?;
        self.inner.remove(kind, id, cacheable)
    }
}

fn content(day: i64) -> Vec<u8> {
    (0..200_000_i64).map(|at| ((at * at * (day + 7)) >> 5).to_le_bytes()[0]).collect()
}

fn take(repository: &Repository, day: i64) -> Result<(), crate::Error> {
    let label = Label {
        class: Class::Conversations,
        name: "talk.db".to_owned(),
        time: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day),
        txid: None,
        host: "kotonoha".to_owned(),
    };
    let bytes = content(day);
    let image = Image { bytes: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) };
    repository.take_stream(Stream { label, image }).map(drop)
}

/// Everything that is listed comes back, and nothing is damaged.
fn is_whole(place: &Place, least: usize) -> usize {
    let repository = Repository::open(place, &"secret".into()).unwrap();
    let found = repository.check(Depth::Everything).unwrap();
    assert!(found.is_whole(), "{found:?}");
    let listing = repository.list().unwrap();
    assert!(listing.damaged.is_empty() && listing.snapshots.len() >= least, "{listing:?}");
    for snapshot in &listing.snapshots {
        let mut back = Vec::new();
        repository.read(&snapshot.id, "talk.db", &mut back).unwrap();
        assert!(back == content(snapshot.time.as_second() / 86_400), "{snapshot:?}");
    }
    listing.snapshots.len()
}

#[test]
fn wherever_the_power_goes_what_was_kept_stays_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().join("repository"));
    let password = "secret".into();
    take(&Repository::create(&place, Kind::Images, &password).unwrap(), 1).unwrap();
    // Taking a snapshot and pruning: each ended after every number of steps.
    let mut kept = 1;
    for last in 0_usize.. {
        let ending = |last| {
            let (inner, steps) = (place.backend(), AtomicUsize::new(0));
            Repository::open_on(Arc::new(Ending { inner, steps, last }), &password).unwrap()
        };
        let day = i64::try_from(last).unwrap() + 2;
        let taken = take(&ending(last), day);
        let now = is_whole(&place, kept);
        assert_eq!(now - kept, usize::from(taken.is_ok()), "a snapshot is there, or it is not");
        kept = now;
        let pruned = ending(last).prune(SignedDuration::ZERO, false);
        is_whole(&place, kept);
        if taken.is_ok() && pruned.is_ok() {
            break;
        }
        assert!(last < 50, "it never came to its end");
    }
    let repository = Repository::open(&place, &password).unwrap();
    repository.prune(SignedDuration::ZERO, false).unwrap();
    repository.prune(SignedDuration::ZERO, false).unwrap();
    is_whole(&place, kept);
}
