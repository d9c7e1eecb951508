//! What a database will be made of: for each page the file that has it last.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use ltx::{Header, PageIndex};

use super::error::RestoreError;
use crate::tree::{Plan, TreeError, check_name};

/// No file has the page.
const NOBODY: u32 = u32::MAX;

/// The files of a plan by their page indexes.
#[derive(Debug)]
pub(crate) struct Image {
    /// What the database will be.
    pub(crate) header: Header,
    pub(crate) sources: Vec<Source>,
    /// For each page, the first at 0, which source has it last.
    owners: Vec<u32>,
}

/// A file of the plan.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) index: PageIndex,
}

impl Image {
    /// Reads headers and indexes of all files. Sixteen bytes a page and four more are kept.
    pub(crate) fn survey(plan: &Plan) -> Result<Self, RestoreError> {
        let mut sources = Vec::with_capacity(plan.entries.len());
        let mut owners: Vec<u32> = Vec::new();
        for ((entry, path), number) in plan.files().zip(0..) {
            let file = File::open(&path).map_err(TreeError::io("open", &path))?;
            let index = PageIndex::read(BufReader::new(file));
            let index = index.map_err(TreeError::ltx("read", &path))?;
            check_name(&path, entry, index.header())?;
            // What is cut off is gone, also where the database grows again later.
            owners.resize(index.header().commit as usize, NOBODY);
            for place in index.places() {
                owners[place.page as usize - 1] = number;
            }
            sources.push(Source { path, index });
        }
        let headers: Vec<Header> = sources.iter().map(|source| *source.index.header()).collect();
        let header = ltx::merged_header(&headers).map_err(TreeError::ltx("join", &plan.root))?;
        let image = Self { header, sources, owners };
        image.check_complete(plan)?;
        Ok(image)
    }

    fn check_complete(&self, plan: &Plan) -> Result<(), RestoreError> {
        let lock = self.header.lock_page();
        let missing =
            (1..).zip(&self.owners).find(|(page, owner)| **owner == NOBODY && *page != lock);
        match missing {
            Some((page, _)) => Err(RestoreError::MissingPage { page, root: plan.root.clone() }),
            None => Ok(()),
        }
    }

    /// Whether the page is taken from the source of this number.
    pub(crate) fn is_taken(&self, page: u32, source: usize) -> bool {
        self.owners.get(page as usize - 1).is_some_and(|owner| *owner as usize == source)
    }
}
