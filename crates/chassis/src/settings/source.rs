//! The source is where raw values come from: a lookup (the environment) over a TOML file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fault::{Fault, Faults};
use crate::words::{Reading, Words};

/// The setting that names the TOML file.
pub(super) const CONFIG_KEY: &str = "KOTONOHA_CONFIG";

/// The permission bits of everybody but owner and group.
const OTHERS: u32 = 0o007;

type Lookup = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Raw values by key: an injected lookup that wins over the tables of a TOML file.
pub struct Source {
    lookup: Lookup,
    file: BTreeMap<String, FileValue>,
    faults: Faults,
    /// Whether others on this machine may read the TOML file.
    exposed: bool,
}

/// One value of the TOML file and how it was written there.
struct FileValue {
    written: String,
    text: String,
}

/// A raw value together with where it stood, for messages.
pub(super) struct RawValue {
    pub(super) text: String,
    pub(super) origin: Option<String>,
}

impl Source {
    /// A source over `lookup`; the TOML file it names by `KOTONOHA_CONFIG`, if any, lies beneath.
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::over(Box::new(move |key| lookup(key).map(OsString::from)))
    }

    /// The process's own environment. The only place in the workspace that reads it.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
    pub fn from_environment() -> Self {
        Self::over(Box::new(|key| std::env::var_os(key)))
    }

    /// An empty source that knows no key.
    pub fn empty() -> Self {
        Self::new(|_| None)
    }

    /// Lays the tables of `toml` beneath the lookup; `name` stands for the file in messages.
    #[must_use]
    pub fn with_toml(mut self, name: &str, toml: &str) -> Self {
        match toml.parse::<toml::Table>() {
            Ok(table) => self.flatten(name, "", &table),
            Err(error) => {
                let error = error.to_string();
                let error = error.trim_end();
                let problem = (
                    format!("is not valid TOML: {error}"),
                    format!("は正しい TOML ではありません: {error}"),
                );
                let remedy = ("correct the file at the line named", "示された行を直してください");
                self.fault(name, problem, remedy);
            }
        }
        self
    }

    fn over(lookup: Lookup) -> Self {
        let mut source =
            Self { lookup, file: BTreeMap::new(), faults: Faults::default(), exposed: false };
        let path = match source.get(CONFIG_KEY) {
            Ok(Some(raw)) => raw.text,
            Ok(None) => return source,
            Err(fault) => {
                source.faults.push(fault);
                return source;
            }
        };
        match std::fs::read_to_string(Path::new(&path)) {
            Ok(text) => {
                source.exposed = std::fs::metadata(&path)
                    .is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0);
                source.with_toml(&path, &text)
            }
            Err(error) => {
                let problem = (
                    format!("names {path}, which cannot be read: {error}"),
                    format!("が指す {path} を読めません: {error}"),
                );
                let remedy = (
                    "create the file, grant this user read permission, or unset the key",
                    "ファイルを作るか、このユーザーが読めるようにするか、設定を外してください",
                );
                source.fault(CONFIG_KEY, problem, remedy);
                source
            }
        }
    }

    /// The value of `key`; an empty one counts as absent, as Compose's `${KEY:-}` gives it.
    pub(super) fn get(&self, key: &str) -> Result<Option<RawValue>, Fault> {
        if let Some(value) = (self.lookup)(key) {
            let text = value.into_string().map_err(|_invalid| Fault {
                key: key.to_owned(),
                problem: ("is not valid UTF-8", "が正しい UTF-8 ではありません").into(),
                remedy: ("write the value in UTF-8", "UTF-8 で書いてください").into(),
            })?;
            if !text.trim().is_empty() {
                return Ok(Some(RawValue { text, origin: None }));
            }
        }
        let value = self.file.get(key).filter(|value| !value.text.trim().is_empty());
        Ok(value.map(|value| RawValue {
            text: value.text.clone(),
            origin: Some(value.written.clone()),
        }))
    }

    /// Every key the TOML file sets, with how it was written there.
    pub(super) fn file_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.file.iter().map(|(key, value)| (key.as_str(), value.written.as_str()))
    }

    /// Whether others on this machine may read what the TOML file holds.
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed
    }

    pub(super) fn take_faults(&mut self) -> Faults {
        std::mem::take(&mut self.faults)
    }

    fn flatten(&mut self, name: &str, prefix: &str, table: &toml::Table) {
        for (key, value) in table {
            let written = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => self.flatten(name, &written, inner),
                other => match scalar(other) {
                    Some(text) => self.insert(name, &written, text),
                    None => self.fault(
                        &written,
                        (
                            format!("in {name} is a list of tables or lists"),
                            format!("({name})が、表やリストのリストになっています"),
                        ),
                        (
                            "write a plain value, or a list of plain values",
                            "単純な値か、単純な値のリストにしてください",
                        ),
                    ),
                },
            }
        }
    }

    fn insert(&mut self, name: &str, written: &str, text: String) {
        let key = written.replace(['.', '-'], "_").to_uppercase();
        if let Some(first) = self.file.get(&key) {
            let first = &first.written;
            let problem = (
                format!("and {first} in {name} both mean {key}"),
                format!("と {first}({name})は、どちらも {key} を意味します"),
            );
            let remedy = ("keep one of the two", "どちらか一方にしてください");
            self.fault(written, problem, remedy);
            return;
        }
        self.file.insert(key, FileValue { written: format!("{written} in {name}"), text });
    }

    fn fault(&mut self, key: &str, problem: impl Into<Words>, remedy: impl Into<Words>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.faults.push(Fault { key: key.to_owned(), problem, remedy });
    }
}

/// The language of whoever sits at this terminal.
#[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
pub(crate) fn reading() -> Reading {
    Reading::of(|key| std::env::var(key).ok())
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.file.keys().collect();
        formatter.debug_struct("Source").field("file_keys", &keys).finish_non_exhaustive()
    }
}

/// A value as the environment would hold it; lists are joined by commas.
fn scalar(value: &toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(moment) => moment.to_string(),
        toml::Value::Array(items) => {
            let mut parts = Vec::with_capacity(items.len());
            for item in items {
                if item.is_array() || item.is_table() {
                    return None;
                }
                parts.push(scalar(item)?);
            }
            parts.join(",")
        }
        toml::Value::Table(_) => return None,
    })
}
