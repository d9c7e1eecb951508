//! Several threads unpack pages and write them where they belong, and prove every file on the way.

use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ltx::{FRAME_HEADER_BYTES, Sum, Summing};

use super::error::RestoreError;
use super::image::{Image, Source};
use super::{Progress, Stage, Watch};
use crate::tree::TreeError;

/// How much a thread reads, and writes, at a time.
const PORTION_BYTES: usize = 1024 * 1024;

/// Pages of one file that lie together.
struct Portion {
    source: usize,
    /// Of the places in the file's index.
    places: Range<usize>,
}

/// Writes all pages of the image into `file`, which is as long as the database.
pub(crate) fn into_file(
    image: &Image,
    file: &File,
    path: &Path,
    (threads, watch): (usize, Watch<'_>),
) -> Result<(), RestoreError> {
    let portions = portions(image);
    let total = image.sources.iter().filter_map(|source| source.index.places().last());
    let total = total.map(|last| last.offset + u64::from(last.bytes)).sum();
    let work = Work {
        image,
        file,
        path,
        portions: &portions,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        done: AtomicU64::new(0),
        total,
        watch,
    };
    let mut sums: Vec<(usize, Sum)> = Vec::with_capacity(portions.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| work.run())).collect();
        let mut outcomes = vec![work.run()];
        outcomes.extend(
            others.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        );
        outcomes.into_iter().try_for_each(|outcome| {
            sums.extend(outcome?);
            Ok::<(), RestoreError>(())
        })
    })?;
    sums.sort_unstable_by_key(|(portion, _)| *portion);
    let mut whole = vec![Sum::default(); image.sources.len()];
    for (portion, sum) in sums {
        let source = portions[portion].source;
        whole[source] = whole[source].then(sum);
    }
    for (source, sum) in image.sources.iter().zip(whole) {
        source.index.check_sum(sum).map_err(TreeError::ltx("read", &source.path))?;
    }
    Ok(())
}

fn portions(image: &Image) -> Vec<Portion> {
    let page = image.header.page_size as usize;
    let mut portions = Vec::new();
    for (source, file) in image.sources.iter().enumerate() {
        let places = file.index.places();
        let mut begin = 0;
        let mut bytes = 0;
        for (at, place) in places.iter().enumerate() {
            bytes += (place.bytes as usize).max(page);
            if bytes >= PORTION_BYTES || at + 1 == places.len() {
                portions.push(Portion { source, places: begin..at + 1 });
                (begin, bytes) = (at + 1, 0);
            }
        }
    }
    portions
}

struct Work<'a> {
    image: &'a Image,
    file: &'a File,
    path: &'a Path,
    portions: &'a [Portion],
    next: AtomicUsize,
    failed: AtomicBool,
    done: AtomicU64,
    total: u64,
    watch: Watch<'a>,
}

impl Work<'_> {
    /// Takes portions until there are none; gives the sum of each.
    fn run(&self) -> Result<Vec<(usize, Sum)>, RestoreError> {
        let outcome = self.take_portions();
        if outcome.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn take_portions(&self) -> Result<Vec<(usize, Sum)>, RestoreError> {
        let mut sums = Vec::new();
        let mut packed = Vec::new();
        let mut run = Run::new(self);
        let mut open: Option<(usize, File)> = None;
        while !self.failed.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(portion) = self.portions.get(number) else { break };
            let source = &self.image.sources[portion.source];
            let reader = match open.take() {
                Some((of, file)) if of == portion.source => file,
                _ => File::open(&source.path).map_err(TreeError::io("open", &source.path))?,
            };
            sums.push((number, self.portion(portion, source, &reader, (&mut packed, &mut run))?));
            open = Some((portion.source, reader));
        }
        Ok(sums)
    }

    fn portion(
        &self,
        portion: &Portion,
        source: &Source,
        reader: &File,
        (packed, run): (&mut Vec<u8>, &mut Run<'_>),
    ) -> Result<Sum, RestoreError> {
        let places = &source.index.places()[portion.places.clone()];
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Ok(Sum::default());
        };
        let bytes = last.offset + u64::from(last.bytes) - first.offset;
        packed.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        let unread = TreeError::io("read", &source.path);
        reader.read_exact_at(packed, first.offset).map_err(unread)?;
        let mut summing = Summing::default();
        let mut rest = packed.as_slice();
        for place in places {
            let (frame, after) = rest.split_at(place.bytes as usize);
            rest = after;
            let content = run.room(place.page)?;
            ltx::decode_frame(place.page, frame, content)
                .map_err(TreeError::ltx("read", &source.path))?;
            summing.add(&frame[..FRAME_HEADER_BYTES]);
            summing.add(content);
            if self.image.is_taken(place.page, portion.source) {
                run.keep();
            }
        }
        run.flush()?;
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match (self.watch)(Progress { stage: Stage::Read, done, total: self.total }) {
            ControlFlow::Continue(()) => Ok(summing.sum()),
            ControlFlow::Break(()) => Err(RestoreError::Ended),
        }
    }
}

/// Pages that follow on each other and are written in one go.
struct Run<'a> {
    work: &'a Work<'a>,
    /// The number of the first page.
    first: u32,
    pages: u32,
    content: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(work: &'a Work<'a>) -> Self {
        Self { work, first: 1, pages: 0, content: Vec::new() }
    }

    /// Where the content of `page` goes; it counts once it is kept.
    fn room(&mut self, page: u32) -> Result<&mut [u8], RestoreError> {
        if self.first + self.pages != page {
            self.flush()?;
            self.first = page;
        }
        let size = self.work.image.header.page_size as usize;
        let begin = self.pages as usize * size;
        if self.content.len() < begin + size {
            self.content.resize(begin + size, 0);
        }
        Ok(&mut self.content[begin..begin + size])
    }

    fn keep(&mut self) {
        self.pages += 1;
    }

    fn flush(&mut self) -> Result<(), RestoreError> {
        let size = self.work.image.header.page_size;
        let content = &self.content[..self.pages as usize * size as usize];
        let offset = u64::from(self.first - 1) * u64::from(size);
        let written = self.work.file.write_all_at(content, offset);
        written.map_err(RestoreError::io("write", self.work.path))?;
        (self.first, self.pages) = (self.first + self.pages, 0);
        Ok(())
    }
}
