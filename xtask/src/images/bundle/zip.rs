//! A ZIP archive of a few small files, uncompressed: the same bytes from the same files.
//!
//! Source: APPNOTE.TXT, the ZIP file format specification: local headers, central directory, end.

use anyhow::{Context, Result};

/// Made by Unix, so that the modes below count; version 2.0, which knows folders.
const MADE_BY: u16 = (3 << 8) | 0x14;
const NEEDED: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 2026-01-01 00:00, as MS-DOS counts.
const TIME: u16 = 0;
const DATE: u16 = ((2026 - 1980) << 9) | (1 << 5) | 1;
const FILE_MODE: u32 = 0o100_644;
const FOLDER_MODE: u32 = 0o040_755;
/// The bit by which MS-DOS marks a folder.
const FOLDER_MARK: u32 = 0x10;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    /// Adds a folder; its name ends with a slash.
    pub(super) fn folder(&mut self, name: &str) {
        self.add(name, &[], (FOLDER_MODE << 16) | FOLDER_MARK)
            .expect("an empty entry is never too large");
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.add(name, content, FILE_MODE << 16)
    }

    fn add(&mut self, name: &str, content: &[u8], attributes: u32) -> Result<()> {
        let offset = u32::try_from(self.bytes.len()).context("keep the archive below 4 GiB")?;
        let size = u32::try_from(content.len()).context("keep a file below 4 GiB")?;
        let name_size = u16::try_from(name.len()).context("keep a name below 64 KiB")?;
        let mut about = Vec::new();
        for number in [NEEDED, FLAGS, 0, TIME, DATE] {
            about.extend(number.to_le_bytes());
        }
        for number in [crc32fast::hash(content), size, size] {
            about.extend(number.to_le_bytes());
        }
        about.extend(name_size.to_le_bytes());
        about.extend(0_u16.to_le_bytes());
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&about);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(content);
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(&about);
        // No comment, one disk, no inner attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.entries += 1;
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        let start = u32::try_from(self.bytes.len()).context("keep the archive below 4 GiB")?;
        let size = u32::try_from(self.directory.len()).context("keep its directory small")?;
        self.bytes.append(&mut self.directory);
        self.bytes.extend(b"PK\x05\x06");
        self.bytes.extend([0; 4]);
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend(size.to_le_bytes());
        self.bytes.extend(start.to_le_bytes());
        self.bytes.extend(0_u16.to_le_bytes());
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Zip;

    #[test]
    fn another_program_reads_what_was_written() {
        let place = tempfile::tempdir().unwrap();
        let mut zip = Zip::default();
        zip.folder("ことのは/");
        zip.folder("ことのは/data/");
        zip.file("ことのは/.env", "トークン=\n".as_bytes()).unwrap();
        let path = place.path().join("a.zip");
        std::fs::write(&path, zip.finish().unwrap()).unwrap();
        let unpacked = Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .args([&path, place.path()])
            .status();
        let Ok(status) = unpacked else {
            println!("skipped: no Python to unpack an archive with");
            return;
        };
        assert!(status.success());
        let text = std::fs::read_to_string(place.path().join("ことのは/.env")).unwrap();
        assert_eq!(text, "トークン=\n");
        assert!(place.path().join("ことのは/data").is_dir());
    }
}
