//! How a history is laid out on a far side, and what a listing there tells about it.

use std::path::Path;

use objects::{Envelope, Object};
use replica::tree::{Catalogue, Entry, Manifest, file_name, parse_file_name};

/// What all histories lie below.
const ROOT: &str = "databases";
/// Behind the name of what is wrapped.
const SEALED: &str = ".age";
const MANIFEST: &str = "manifest.json";

/// The folder of all timelines of a database, with a slash at its end.
pub(super) fn folder_of(database: &str) -> String {
    format!("{ROOT}/{database}/")
}

/// The folder of one timeline below it, without slashes.
pub(super) fn timeline_name(manifest: &Manifest) -> String {
    let began = manifest.began.strftime("%Y%m%dT%H%M%S%.3f").to_string().replace('.', "-");
    format!("timeline-{:04}-{began}", manifest.timeline)
}

/// The names of one timeline's files on a far side.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The timeline's folder, with a slash at its end.
    folder: String,
    sealed: bool,
}

impl Layout {
    pub(super) fn new(database: &str, timeline: &str, sealed: bool) -> Self {
        Self { folder: format!("{}{timeline}/", folder_of(database)), sealed }
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn path(&self, entry: &Entry) -> String {
        let name = file_name(entry.min_txid, entry.max_txid);
        format!("{}ltx/{}/{name}{}", self.folder, entry.level, self.ending())
    }

    pub(super) fn manifest(&self) -> String {
        format!("{}{MANIFEST}{}", self.folder, self.ending())
    }

    fn ending(&self) -> &'static str {
        if self.sealed { SEALED } else { "" }
    }

    /// The entry an object is, if it is one; its size is that on the far side.
    fn entry(&self, object: &Object) -> Option<Entry> {
        let rest = object.path.strip_prefix(&self.folder)?.strip_suffix(self.ending())?;
        let (level, name) = rest.strip_prefix("ltx/")?.split_once('/')?;
        let (min_txid, max_txid) = parse_file_name(name)?;
        let (level, time_ms) = (level.parse().ok()?, object.modified_ms.unwrap_or_default());
        Some(Entry { level, min_txid, max_txid, time_ms, bytes: object.size })
    }

    /// Everything of this timeline among the objects of a listing.
    pub(super) fn entries(&self, objects: &[Object]) -> Vec<Entry> {
        objects.iter().filter_map(|object| self.entry(object)).collect()
    }

    /// The catalogue of what was found.
    pub(super) fn catalogue(&self, entries: Vec<Entry>) -> Catalogue {
        Catalogue::new(Path::new(&self.folder), entries)
    }
}

/// Whether an object is wrapped, by its name.
pub(super) fn is_sealed(path: &str) -> bool {
    path.ends_with(SEALED)
}

/// Whether a far object of this size may be the local file of that size.
pub(super) fn fits(envelope: Option<&Envelope>, here: u64, there: u64) -> bool {
    envelope.map_or(here == there, |envelope| envelope.sealed_size(here).contains(&there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_under_a_name_is_read_from_it() {
        let mut manifest = Manifest::new(4096, "2026-11-22T21:15:00.5Z".parse().unwrap(), "1");
        manifest.timeline = 3;
        let timeline = timeline_name(&manifest);
        assert_eq!(timeline, "timeline-0003-20261122T211500-500");
        for sealed in [false, true] {
            let layout = Layout::new("conversations", &timeline, sealed);
            let entry = Entry { level: 9, min_txid: 1, max_txid: 10, time_ms: 7, bytes: 5 };
            let path = layout.path(&entry);
            let ending = if sealed { ".ltx.age" } else { ".ltx" };
            assert!(path.ends_with(&format!("/ltx/9/0000000000000001-000000000000000a{ending}")));
            let object =
                |path: &str| Object { path: path.to_owned(), size: 5, modified_ms: Some(7) };
            let others = [
                object(&layout.manifest()),
                object("databases/other/timeline-0003/ltx/9/x.ltx"),
                object(&format!("{path}.more")),
                object(&path),
            ];
            assert_eq!(layout.entries(&others), [entry]);
        }
    }
}
