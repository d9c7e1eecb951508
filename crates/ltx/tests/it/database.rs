//! Databases as plain pages, and histories of them, for tests to write and to compare with.

use std::collections::BTreeMap;

use ltx::{Encoder, Header};
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any};

/// A page size that keeps test files small; the rules are the same for every size.
pub(crate) const PAGE_SIZE: u32 = 512;

/// What one transaction does: the size afterwards and the pages it writes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) commit: u32,
    pub(crate) pages: BTreeMap<u32, Vec<u8>>,
}

/// A database: page by page, the first has index 0.
pub(crate) type Pages = Vec<Vec<u8>>;

/// A page that packs well, not at all, or in between.
pub(crate) fn page_of(size: u32) -> impl Strategy<Value = Vec<u8>> {
    let size = size as usize;
    proptest::prop_oneof![
        any::<u8>().prop_map(move |byte| vec![byte; size]),
        vec(any::<u8>(), size),
        (any::<u8>(), 1..size).prop_map(move |(byte, cut)| {
            (0..size).map(|at| if at < cut { at.to_le_bytes()[0] } else { byte }).collect()
        }),
    ]
}

/// A history that begins with a full; every step writes all pages it grows by, as a follower does.
pub(crate) fn history(steps: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (1..24_u32).prop_flat_map(|commit| {
        (Just(commit), btree_map(1..=commit, page_of(PAGE_SIZE), 0..6), page_of(PAGE_SIZE))
    });
    vec(step, 1..=steps).prop_map(|drawn| {
        let mut before = 0;
        let complete = |(commit, mut pages, filler): (u32, BTreeMap<u32, Vec<u8>>, Vec<u8>)| {
            for page in before + 1..=commit {
                pages.entry(page).or_insert_with(|| filler.clone());
            }
            before = commit;
            Step { commit, pages }
        };
        drawn.into_iter().map(complete).collect()
    })
}

/// The database after each step.
pub(crate) fn states(steps: &[Step]) -> Vec<Pages> {
    let mut pages = Pages::new();
    let apply = |step: &Step| {
        pages.resize(step.commit as usize, Vec::new());
        for (page, content) in &step.pages {
            pages[*page as usize - 1].clone_from(content);
        }
        pages.clone()
    };
    steps.iter().map(apply).collect()
}

pub(crate) fn header(commit: u32, min_txid: u64, max_txid: u64) -> Header {
    Header {
        page_size: PAGE_SIZE,
        commit,
        min_txid,
        max_txid,
        timestamp_ms: 1_700_000_000_000 + max_txid.cast_signed(),
        wal_offset: 32,
        wal_size: 536,
        wal_salts: [7, 9],
    }
}

pub(crate) fn file(header: Header, pages: &BTreeMap<u32, Vec<u8>>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), header).unwrap();
    for (page, content) in pages {
        encoder.page(*page, content).unwrap();
    }
    encoder.finish().unwrap().inner
}

/// One file for each step.
pub(crate) fn files(steps: &[Step]) -> Vec<Vec<u8>> {
    let one = |(step, txid): (&Step, u64)| file(header(step.commit, txid, txid), &step.pages);
    steps.iter().zip(1..).map(one).collect()
}

pub(crate) fn as_map(pages: &Pages) -> BTreeMap<u32, Vec<u8>> {
    (1..).zip(pages.iter().cloned()).collect()
}
