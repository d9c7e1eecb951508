//! Real logs, whole, cut and bent: what we read in them is what SQLite itself recovers.

use std::path::Path;

use ltx::wal::{Chain, Delta, FRAME_HEADER_BYTES, Frame, HEADER_BYTES};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// A database's own file and its log, as they lie on disk.
struct Files {
    main: Vec<u8>,
    log: Vec<u8>,
    page_size: usize,
}

fn make(page_bits: u32, changes: &[(u8, u16)], checkpoint_at: usize) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let writer = Connection::open(&path).unwrap();
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    writer.pragma_update(None, "page_size", 1 << page_bits).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.pragma_update(None, "synchronous", "off").unwrap();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    writer.execute_batch("CREATE TABLE t (x BLOB); CREATE INDEX i ON t (x)").unwrap();
    for (at, (kind, size)) in changes.iter().enumerate() {
        if at == checkpoint_at {
            writer.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        }
        let sql = match kind % 4 {
            0 | 1 => format!("INSERT INTO t VALUES (randomblob({size}))"),
            2 => "DELETE FROM t WHERE rowid % 2 = 0".to_owned(),
            _ => "VACUUM".to_owned(),
        };
        writer.execute_batch(&sql).unwrap();
    }
    let log = std::fs::read(folder.path().join("a.db-wal")).unwrap();
    writer.close().unwrap();
    Files { main: std::fs::read(&path).unwrap(), log, page_size: 1 << page_bits }
}

/// The database as SQLite brings it back from these two files.
fn recovered(files: &Files, folder: &Path) -> Vec<u8> {
    let path = folder.join("recovered.db");
    std::fs::write(&path, &files.main).unwrap();
    std::fs::write(folder.join("recovered.db-wal"), &files.log).unwrap();
    let reader = Connection::open(&path).unwrap();
    crate::following::image(&reader)
}

/// The same as we read it.
fn read(files: &Files) -> Vec<u8> {
    let mut image = files.main.clone();
    let header = files.log.get(..HEADER_BYTES).and_then(|header| header.try_into().ok());
    let Some(Ok(begin)) = header.map(Chain::begin) else { return image };
    let Some(delta) = Delta::read(&files.log[HEADER_BYTES..], begin, u32::MAX).unwrap() else {
        return image;
    };
    image.resize(delta.commit as usize * files.page_size, 0);
    for (pgno, at) in delta.pages {
        let at = usize::try_from(at).unwrap();
        let page = &files.log[at..at + files.page_size];
        image[(pgno as usize - 1) * files.page_size..][..files.page_size].copy_from_slice(page);
    }
    image
}

/// The same log with sums in the other byte order, as a machine of that kind writes it.
fn other_order(log: &[u8]) -> Vec<u8> {
    let begin = Chain::begin(log[..HEADER_BYTES].try_into().unwrap()).unwrap();
    let mut other = Chain::header(true, begin.page_size(), 0, begin.salts()).to_vec();
    let mut place = Chain::begin(other[..].try_into().unwrap()).unwrap();
    for frame in log[HEADER_BYTES..].chunks_exact(begin.frame_bytes()) {
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let frame_header = Frame { pgno: number(0), commit: number(4) };
        place.write(frame_header, &frame[FRAME_HEADER_BYTES..], &mut other);
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_log_says_to_us_what_it_says_to_sqlite(
        page_bits in 9_u32..=16,
        changes in proptest::collection::vec((any::<u8>(), 1_u16..6000), 1..14),
        checkpoint_at in 0_usize..20,
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let whole = make(page_bits, &changes, checkpoint_at);
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files { main: whole.main.clone(), log: whole.log.clone(), ..whole };
        let check = |files: &Files| {
            for name in ["recovered.db", "recovered.db-wal", "recovered.db-shm"] {
                drop(std::fs::remove_file(folder.path().join(name)));
            }
            read(files) == recovered(files, folder.path())
        };
        prop_assert!(check(&files), "whole");
        if checkpoint_at >= changes.len() {
            files.log = other_order(&whole.log);
            prop_assert!(check(&files), "the other byte order");
        }
        files.log = whole.log[..cut.index(whole.log.len())].to_vec();
        prop_assert!(check(&files), "cut to {} of {}", files.log.len(), whole.log.len());
        files.log.clone_from(&whole.log);
        let at = flip.index(files.log.len());
        files.log[at] ^= 1 << bit;
        prop_assert!(check(&files), "bit {bit} of byte {at} flipped");
    }
}
