//! The recovery sheet: what a person needs to get in when this machine is gone.
//!
//! It holds the password of the snapshots and the key of the copies elsewhere. It is made once, at
//! the first start, as a page in the agent's own folder, never beside the copies it opens. When
//! the code on it has been given, somebody has looked at it: the page is removed from the machine,
//! and with it the key, so that whoever takes the machine can write to the copies elsewhere but not
//! read their history. A password that was changed makes a new sheet.

mod page;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chassis::{ExposeSecret, SecretString};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::record::replace;

/// The page, in the agent's own folder.
pub const PAGE: &str = "recovery-sheet.html";
/// What is known of the sheet.
const FACTS: &str = "recovery-sheet.json";
/// The key of the copies elsewhere, until the sheet is put away.
const KEY: &str = "recovery-key.txt";
/// Only the agent's own user may look.
const MODE: u32 = 0o600;
/// Letters of a code: none that is taken for another when it is read from paper.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LETTERS: usize = 8;

/// The key of the copies elsewhere: what it opens with, and what is given to those who lock.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The secret half, `AGE-SECRET-KEY-1…`.
    pub identity: SecretString,
    /// The public half, `age1…`.
    pub recipient: String,
}

/// What is known of the sheet, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    /// When it was made.
    made: Timestamp,
    /// What confirms it.
    code: String,
    /// When it was confirmed.
    confirmed: Option<Timestamp>,
    /// Which password stands on it.
    password_mark: String,
    /// The public half of the key on it.
    recipient: String,
}

/// Why there is no sheet, or it was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// A file of it could not be read or written.
    #[error("{}: {source}; look whether the folder can be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is known of it is damaged, so the key may be on a sheet that somebody holds.
    #[error(
        "{} is damaged; put it right from a copy, or, where nobody holds a sheet with a key that \
         is still needed, delete it: a new sheet is made then",
        .0.display()
    )]
    Damaged(PathBuf),
    /// No sheet was made.
    #[error(
        "there is no recovery sheet in {}; it is made when the agent starts for the first time",
        .0.display()
    )]
    Missing(PathBuf),
    /// Another code stands on it.
    #[error("this is not the code on the recovery sheet of {made:.0}; read it from the newest one")]
    WrongCode {
        /// When the sheet was made.
        made: Timestamp,
    },
}

/// The sheet of this machine.
#[derive(Debug)]
pub struct Sheet {
    folder: PathBuf,
    facts: Facts,
}

impl Sheet {
    /// Opens the sheet in the agent's own folder, or makes one: at the first start with a new key
    /// from `generate`, later where the password is not the one on the sheet.
    pub fn open(
        folder: &Path,
        password: &SecretString,
        now: Timestamp,
        generate: impl FnOnce() -> KeyPair,
    ) -> Result<Self, SheetError> {
        let mark = mark(password);
        match read(folder)? {
            Some(facts) if facts.password_mark == mark => {
                Ok(Self { folder: folder.to_owned(), facts })
            }
            // The password was changed. The key, where it is gone from here, stands on the
            // earlier sheet and is still the one in use.
            Some(facts) => {
                let recipient = facts.recipient;
                Self::make(folder, password, now, recipient)
            }
            None => {
                let pair = generate();
                let sheet = folder.join(KEY);
                write(&sheet, pair.identity.expose_secret().as_bytes())?;
                Self::make(folder, password, now, pair.recipient)
            }
        }
    }

    /// The sheet that was made.
    pub fn existing(folder: &Path) -> Result<Self, SheetError> {
        let facts = read(folder)?.ok_or_else(|| SheetError::Missing(folder.to_owned()))?;
        Ok(Self { folder: folder.to_owned(), facts })
    }

    fn make(
        folder: &Path,
        password: &SecretString,
        now: Timestamp,
        recipient: String,
    ) -> Result<Self, SheetError> {
        let facts = Facts {
            made: now,
            code: code(),
            confirmed: None,
            password_mark: mark(password),
            recipient,
        };
        let sheet = Self { folder: folder.to_owned(), facts };
        // The page first: facts without a page would ask for a code that nobody can read.
        let page = sheet.page(password)?;
        write(&folder.join(PAGE), page.as_bytes())?;
        sheet.note()?;
        Ok(sheet)
    }

    /// The page, as long as it is to be had: both languages, for paper and screen.
    pub fn page(&self, password: &SecretString) -> Result<String, SheetError> {
        let identity = self.identity()?;
        Ok(page::write(&page::Content {
            made: self.facts.made,
            code: &self.facts.code,
            password: password.expose_secret(),
            identity: identity.as_ref().map(ExposeSecret::expose_secret),
            recipient: &self.facts.recipient,
        }))
    }

    /// The secret half of the key, while the sheet is not put away.
    pub fn identity(&self) -> Result<Option<SecretString>, SheetError> {
        let path = self.folder.join(KEY);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SheetError::File { path, source }),
        }
    }

    /// The public half of the key.
    pub fn recipient(&self) -> &str {
        &self.facts.recipient
    }

    /// When it was made.
    pub fn made(&self) -> Timestamp {
        self.facts.made
    }

    /// When somebody gave its code.
    pub fn confirmed(&self) -> Option<Timestamp> {
        self.facts.confirmed
    }

    /// Takes the code from somebody who holds the sheet; page and key leave this machine then.
    /// Small letters, spaces and hyphens do not matter. Giving it again changes nothing.
    pub fn confirm(&mut self, given: &str, now: Timestamp) -> Result<(), SheetError> {
        if plain(given) != plain(&self.facts.code) {
            return Err(SheetError::WrongCode { made: self.facts.made });
        }
        if self.facts.confirmed.is_none() {
            self.facts.confirmed = Some(now);
            self.note()?;
        }
        for name in [PAGE, KEY] {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SheetError::File { path, source: error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn note(&self) -> Result<(), SheetError> {
        let path = self.folder.join(FACTS);
        let text = serde_json::to_vec_pretty(&self.facts)
            .map_err(|error| SheetError::File { path: path.clone(), source: error.into() })?;
        write(&path, &text)
    }
}

/// Whether the sheet in `folder` has been confirmed, for those who only ask.
pub fn is_confirmed(folder: &Path) -> bool {
    read(folder).ok().flatten().is_some_and(|facts| facts.confirmed.is_some())
}

fn read(folder: &Path) -> Result<Option<Facts>, SheetError> {
    let path = folder.join(FACTS);
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|_damaged| SheetError::Damaged(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SheetError::File { path, source }),
    }
}

/// Writes a file that only the agent's own user may read, from its first byte on.
fn write(path: &Path, bytes: &[u8]) -> Result<(), SheetError> {
    let fail = |source| SheetError::File { path: path.to_owned(), source };
    replace(path, bytes, MODE).map_err(fail)
}

/// What tells two passwords apart without telling either: half of a hash of a long random text.
fn mark(password: &SecretString) -> String {
    let mut hash = Sha256::new();
    hash.update(b"kotonoha recovery sheet\0");
    hash.update(password.expose_secret().as_bytes());
    hex::encode(&hash.finalize()[..8])
}

fn code() -> String {
    let drawn: [u8; CODE_LETTERS] = rand::random();
    let letters: Vec<char> =
        drawn.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let (first, second) = letters.split_at(CODE_LETTERS / 2);
    format!("{}-{}", String::from_iter(first), String::from_iter(second))
}

fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

#[cfg(test)]
mod tests;
