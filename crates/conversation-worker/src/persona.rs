//! Who the bot is: a text file per language that people can edit while the service runs.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::language::Language;

const BUILT_IN_JAPANESE: &str = include_str!("../../../deploy/personas/ja.md");
const BUILT_IN_ENGLISH: &str = include_str!("../../../deploy/personas/en.md");
/// A longer file is a mistake, and would crowd out the conversation.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The personas, read anew whenever their file has changed.
#[derive(Debug, Clone)]
pub struct Personas {
    folder: Option<PathBuf>,
    cache: Arc<Mutex<[Option<Cached>; 2]>>,
}

#[derive(Debug, Clone)]
struct Cached {
    stamp: (SystemTime, u64),
    text: Arc<str>,
}

impl Personas {
    /// Personas from `folder`; those it does not hold are the built-in ones.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, cache: Arc::default() }
    }

    /// The persona in that language.
    pub fn get(&self, language: Language) -> Arc<str> {
        let Some(folder) = &self.folder else { return built_in(language).into() };
        let path = folder.join(format!("{}.md", language.word()));
        let slot = match language {
            Language::Japanese => 0,
            Language::English => 1,
        };
        let Ok(found) = std::fs::metadata(&path) else { return built_in(language).into() };
        let stamp = (found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len());
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = &cache[slot]
            && cached.stamp == stamp
        {
            return Arc::clone(&cached.text);
        }
        let text: Arc<str> = match read(&path, found.len()) {
            Ok(text) => {
                tracing::info!(path = %path.display(), bytes = text.len(), "persona read");
                text.into()
            }
            Err(reason) => {
                tracing::warn!(
                    path = %path.display(),
                    reason = %reason,
                    remedy = "correct the file; until then the built-in persona speaks",
                    "persona not usable"
                );
                built_in(language).into()
            }
        };
        cache[slot] = Some(Cached { stamp, text: Arc::clone(&text) });
        text
    }
}

fn read(path: &Path, bytes: u64) -> Result<String, Cow<'static, str>> {
    if bytes > FILE_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are read").into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.trim().is_empty() { Err("it is empty".into()) } else { Ok(text) }
}

const fn built_in(language: Language) -> &'static str {
    match language {
        Language::Japanese => BUILT_IN_JAPANESE,
        Language::English => BUILT_IN_ENGLISH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persona_changes_as_soon_as_its_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let personas = Personas::new(Some(folder.path().to_owned()));
        assert_eq!(&*personas.get(Language::English), BUILT_IN_ENGLISH);
        std::fs::write(folder.path().join("en.md"), "You are a lighthouse.").unwrap();
        assert_eq!(&*personas.get(Language::English), "You are a lighthouse.");
        std::fs::write(folder.path().join("en.md"), "You are a quiet harbour.").unwrap();
        assert_eq!(&*personas.get(Language::English), "You are a quiet harbour.");
        assert_eq!(&*personas.get(Language::Japanese), BUILT_IN_JAPANESE);
    }

    #[test]
    fn an_unusable_file_leaves_the_built_in_persona() {
        let folder = tempfile::tempdir().unwrap();
        let personas = Personas::new(Some(folder.path().to_owned()));
        for bad in [b" \n".to_vec(), vec![0xff, 0xfe, 0x41], vec![b'a'; 70_000]] {
            std::fs::write(folder.path().join("ja.md"), bad).unwrap();
            assert_eq!(&*personas.get(Language::Japanese), BUILT_IN_JAPANESE);
        }
    }
}
