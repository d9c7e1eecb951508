//! Words for people, in English and, where they are at hand, in Japanese.

use std::fmt;

/// One thing said to a person in both languages.
///
/// ```
/// use chassis::Words;
///
/// let words = Words::from(("wait a moment", "しばらくお待ちください"));
/// assert_eq!(words.english(), "wait a moment");
/// assert_eq!(words.japanese(), Some("しばらくお待ちください"));
/// assert_eq!(words.to_string(), "wait a moment / しばらくお待ちください");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    english: String,
    japanese: Option<String>,
}

impl Words {
    /// The English words.
    pub fn english(&self) -> &str {
        &self.english
    }

    /// The Japanese words, if there are any.
    pub fn japanese(&self) -> Option<&str> {
        self.japanese.as_deref()
    }

    /// Whether either language holds `part`.
    pub fn contains(&self, part: &str) -> bool {
        self.english.contains(part)
            || self.japanese.as_deref().is_some_and(|japanese| japanese.contains(part))
    }

    /// The words of one language; English stands in where there are no Japanese ones.
    pub(crate) fn in_language(&self, japanese: bool) -> &str {
        self.japanese.as_deref().filter(|_| japanese).unwrap_or(&self.english)
    }
}

impl From<&str> for Words {
    fn from(english: &str) -> Self {
        Self { english: english.to_owned(), japanese: None }
    }
}

impl From<String> for Words {
    fn from(english: String) -> Self {
        Self { english, japanese: None }
    }
}

impl<E: Into<String>, J: Into<String>> From<(E, J)> for Words {
    fn from((english, japanese): (E, J)) -> Self {
        Self { english: english.into(), japanese: Some(japanese.into()) }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.english)?;
        match &self.japanese {
            Some(japanese) => write!(formatter, " / {japanese}"),
            None => Ok(()),
        }
    }
}

/// The language in which a person at this terminal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// `LANG` says English, or another language we cannot write.
    English,
    /// `LANG` says Japanese.
    Japanese,
    /// Nothing is said, as in a container.
    Both,
}

impl Reading {
    /// By the rules of POSIX: `LC_ALL`, else `LC_MESSAGES`, else `LANG`; `C` says nothing.
    pub(crate) fn of(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|key| lookup(key).filter(|value| !value.is_empty()))
            .unwrap_or_default();
        let language = locale.split(['_', '.', '@']).next().unwrap_or_default();
        match language {
            "" | "C" | "POSIX" => Self::Both,
            "ja" => Self::Japanese,
            _ => Self::English,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(pairs: &[(&str, &str)]) -> Reading {
        Reading::of(|key| {
            pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_language_is_that_of_the_locale() {
        assert_eq!(reading(&[]), Reading::Both);
        assert_eq!(reading(&[("LANG", "C.UTF-8")]), Reading::Both);
        assert_eq!(reading(&[("LANG", "ja_JP.UTF-8")]), Reading::Japanese);
        assert_eq!(reading(&[("LANG", "en_GB.UTF-8")]), Reading::English);
        assert_eq!(reading(&[("LANG", "en_US"), ("LC_ALL", "ja_JP")]), Reading::Japanese);
        assert_eq!(reading(&[("LANG", "ja"), ("LC_MESSAGES", "de_AT@euro")]), Reading::English);
        assert_eq!(reading(&[("LANG", "ja"), ("LC_ALL", "")]), Reading::Japanese);
    }
}
