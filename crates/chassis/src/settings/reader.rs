//! The reader turns raw values into typed ones and gathers every fault on the way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::iter;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::fault::{Fault, Faults};
use super::guess::nearest;
use super::source::{CONFIG_KEY, RawValue, Source};
use crate::check::{Finding, Need};
use crate::words::Words;

/// Where nobody says another: people's days are Japan's, as the seeds have them.
const TIME_ZONE_DEFAULT: &str = "Asia/Tokyo";

/// How much of an offending value a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 60;
/// A secret longer than this is a wrong file, not a secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A setting the code asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its environment name, e.g. `HEALTH_LISTEN`.
    pub name: String,
    /// What is taken when it is unset; `None` when there is no default.
    pub default: Option<String>,
    /// Whether `<name>_FILE` is accepted and the value is never shown.
    pub secret: bool,
    /// Whether the service refuses to start without it.
    pub required: bool,
}

/// Reads settings from a [`Source`] and remembers every key and every fault.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    keys: Vec<Key>,
    faults: Faults,
    warnings: Vec<Fault>,
    needs: Vec<Need>,
}

impl Reader {
    /// A reader over `source`, whose own faults (an unreadable TOML file) are already counted.
    pub fn new(mut source: Source) -> Self {
        let faults = source.take_faults();
        let mut reader =
            Self { source, keys: Vec::new(), faults, warnings: Vec::new(), needs: Vec::new() };
        reader.note(CONFIG_KEY, None, false, false);
        reader
    }

    /// A value without which the service cannot start. `hint` says where to get it.
    pub fn required<T>(&mut self, key: &str, hint: impl Into<Words>) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.note(key, None, false, true);
        let hint = hint.into();
        match self.raw(key) {
            Ok(Some(raw)) => self.parse(key, &raw, Some(hint)),
            Ok(None) => {
                self.fault(key, ("is not set", "が設定されていません"), hint);
                None
            }
            Err(()) => None,
        }
    }

    /// A value that may be absent. `None` is absence or a recorded fault.
    pub fn optional<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.note(key, None, false, false);
        let raw = self.raw(key).ok()??;
        self.parse(key, &raw, None)
    }

    /// A value with a default. On a fault the default is returned too, and the fault recorded.
    pub fn or<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr<Err: Display> + Display,
    {
        self.note(key, Some(default.to_string()), false, false);
        match self.raw(key) {
            Ok(Some(raw)) => self.parse(key, &raw, None).unwrap_or(default),
            Ok(None) | Err(()) => default,
        }
    }

    /// A value with a default that must lie within `range`, both ends included.
    pub fn in_range<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr<Err: Display> + Display + PartialOrd,
    {
        self.note(key, Some(default.to_string()), false, false);
        let Ok(Some(raw)) = self.raw(key) else { return default };
        let Some(value) = self.parse::<T>(key, &raw, None) else { return default };
        if range.contains(&value) {
            return value;
        }
        let (start, end) = (range.start(), range.end());
        self.fault(
            key,
            (format!("is {value}, out of range"), format!("が {value} です(範囲外)")),
            (
                format!("choose a value from {start} to {end}"),
                format!("{start} から {end} までの値にしてください"),
            ),
        );
        default
    }

    /// A path with a default.
    pub fn path_or(&mut self, key: &str, default: &str) -> PathBuf {
        PathBuf::from(self.or(key, default.to_owned()))
    }

    /// The time zone of the house (`TZ`), by which days begin and schedules run.
    pub fn time_zone(&mut self) -> Option<TimeZone> {
        let name = self.or("TZ", TIME_ZONE_DEFAULT.to_owned());
        let zone = TimeZone::get(&name).ok();
        if zone.is_none() {
            self.fault(
                "TZ",
                (
                    format!("is \"{name}\", which is no time zone"),
                    format!("の値「{name}」はタイムゾーンではありません"),
                ),
                (
                    "write a name of the IANA database such as Asia/Tokyo",
                    "Asia/Tokyo のような IANA の名前を書いてください",
                ),
            );
        }
        zone
    }

    /// A length of time given in seconds, fractions allowed (`0.5`), at most ten years.
    pub fn duration_seconds(&mut self, key: &str, default: Duration) -> Duration {
        const SECONDS_MAX: f64 = 10.0 * 365.25 * 86_400.0;
        let seconds = self.in_range(key, default.as_secs_f64(), 0.0..=SECONDS_MAX);
        Duration::try_from_secs_f64(seconds).unwrap_or(default)
    }

    /// A comma-separated list (or a TOML array); unset is empty, spaces around items are dropped.
    pub fn list<T>(&mut self, key: &str) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        self.note(key, None, false, false);
        let Ok(Some(raw)) = self.raw(key) else { return Vec::new() };
        let mut items = Vec::new();
        for item in raw.text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let item = RawValue { text: item.to_owned(), origin: raw.origin.clone() };
            items.extend(self.parse::<T>(key, &item, None));
        }
        items
    }

    /// A secret without which the service cannot start, from `<key>` or the file `<key>_FILE`.
    pub fn secret(&mut self, key: &str, hint: impl Into<Words>) -> Option<SecretString> {
        self.note(key, None, true, true);
        match self.raw_secret(key) {
            Ok(Some(secret)) => Some(secret),
            Ok(None) => {
                let hint = hint.into();
                let problem = (
                    format!("is not set, nor is {key}_FILE"),
                    format!("({key}_FILE も)が設定されていません"),
                );
                self.fault(key, problem, hint);
                None
            }
            Err(()) => None,
        }
    }

    /// A secret that may be absent. `None` is absence or a recorded fault.
    pub fn optional_secret(&mut self, key: &str) -> Option<SecretString> {
        self.note(key, None, true, false);
        self.raw_secret(key).ok().flatten()
    }

    /// Records a fault the caller found, such as two settings that contradict each other.
    pub fn fault(&mut self, key: &str, problem: impl Into<Words>, remedy: impl Into<Words>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.faults.push(Fault { key: key.to_owned(), problem, remedy });
    }

    /// Records what a person should know, though it keeps the service from nothing.
    pub fn warning(&mut self, key: &str, problem: impl Into<Words>, remedy: impl Into<Words>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.warnings.push(Fault { key: key.to_owned(), problem, remedy });
    }

    /// Says that the service writes into the folder that the setting `key` names.
    pub fn needs_folder(&mut self, key: &str, path: &Path) {
        self.needs.push(Need::Folder { key: key.to_owned(), path: path.to_owned() });
    }

    /// Says that the service keeps an SQLite database in the file that the setting `key` names.
    pub fn needs_database(&mut self, key: &str, path: &Path) {
        self.needs.push(Need::Database { key: key.to_owned(), path: path.to_owned() });
    }

    /// Looks whether the surroundings offer what was asked of them. A start does this once, before
    /// [`finish`](Self::finish); merely reading settings never touches the disk.
    pub fn examine(&mut self) {
        for need in std::mem::take(&mut self.needs) {
            for finding in need.look() {
                self.found(finding);
            }
        }
    }

    pub(crate) fn found(&mut self, finding: Finding) {
        match finding {
            Finding::Fault(fault) => self.faults.push(fault),
            Finding::Warning(fault) => self.warnings.push(fault),
        }
    }

    /// Every key asked for so far, in order.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What is not wrong enough to refuse to start, for the log and `/health`.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// What the TOML file sets and this service does not know, nor anything spelt like it: all
    /// services share one file, so it may be another's.
    pub fn unused(&self) -> Vec<String> {
        let known = self.known();
        let unknown = self.source.file_keys().filter(|(key, _)| !known.contains(*key));
        unknown
            .filter(|(key, _)| nearest(key, &known).is_none())
            .map(|(_, written)| written.to_owned())
            .collect()
    }

    /// Whether a fault has been recorded so far.
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The faults recorded so far.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The settings file, if one is named.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        let named = self.source.get(CONFIG_KEY).ok().flatten();
        named.map(|raw| PathBuf::from(raw.text))
    }

    /// Ends the reading: `value` if nothing is wrong, else every fault, misspelt TOML keys included.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Faults> {
        self.refuse_unknown_keys();
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            None if self.faults.is_empty() => Err(Faults::one(
                "settings",
                ("were refused without a reason", "が理由なく拒否されました"),
                (
                    "report this as a bug: reading settings gave up without recording a fault",
                    "不具合です。開発者にお知らせください",
                ),
            )),
            _ => Err(self.faults),
        }
    }

    fn note(&mut self, key: &str, default: Option<String>, secret: bool, required: bool) {
        if self.keys.iter().all(|known| known.name != key) {
            self.keys.push(Key { name: key.to_owned(), default, secret, required });
        }
    }

    /// The raw value; `Err` when a fault was recorded instead.
    fn raw(&mut self, key: &str) -> Result<Option<RawValue>, ()> {
        self.source.get(key).map_err(|fault| self.faults.push(fault))
    }

    fn parse<T>(&mut self, key: &str, raw: &RawValue, hint: Option<Words>) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match raw.text.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let origin =
                    raw.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
                let shown = shorten(&raw.text);
                let remedy = hint.unwrap_or_else(expectation::<T>);
                let problem = (
                    format!("is \"{shown}\"{origin}: {error}"),
                    format!("の値「{shown}」{origin} は使えません: {error}"),
                );
                self.fault(key, problem, remedy);
                None
            }
        }
    }

    fn raw_secret(&mut self, key: &str) -> Result<Option<SecretString>, ()> {
        let file_key = format!("{key}_FILE");
        let direct = self.raw(key)?;
        let file = self.raw(&file_key)?;
        match (direct, file) {
            (Some(_), Some(_)) => {
                let problem = (
                    format!("and {file_key} are both set"),
                    format!("と {file_key} の両方が設定されています"),
                );
                self.fault(key, problem, ("keep one of the two", "どちらか一方にしてください"));
                Err(())
            }
            (Some(raw), None) => {
                if let Some(origin) = raw.origin.filter(|_| self.source.is_exposed()) {
                    let problem = (
                        format!("({origin}) can be read by every user of this machine"),
                        format!("({origin})は、この機器のすべての利用者から読めます"),
                    );
                    let remedy = (
                        format!(
                            "let only its owner read the file (chmod 600; on a NAS: File Station, \
                             Properties, Permission), or use {file_key}"
                        ),
                        format!(
                            "所有者だけが読めるようにするか(chmod 600。NAS では File Station の\
                             プロパティ → 権限)、{file_key} を使ってください"
                        ),
                    );
                    self.warning(key, problem, remedy);
                }
                Ok(Some(raw.text.trim().into()))
            }
            (None, Some(path)) => self.read_secret_file(&file_key, path.text.trim()).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn read_secret_file(&mut self, file_key: &str, path: &str) -> Result<SecretString, ()> {
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        if let Ok(size) = size
            && size > SECRET_FILE_BYTES_MAX
        {
            let problem = (
                format!("names {path}, which has {size} bytes"),
                format!("が指す {path} は {size} バイトもあります"),
            );
            let remedy = (
                "name a file that holds the secret and nothing else",
                "秘密の値だけを書いたファイルを指定してください",
            );
            self.fault(file_key, problem, remedy);
            return Err(());
        }
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                let problem =
                    (format!("names {path}, which is empty"), format!("が指す {path} は空です"));
                let remedy =
                    ("write the secret into the file", "秘密の値をファイルに書いてください");
                self.fault(file_key, problem, remedy);
                Err(())
            }
            Ok(text) => Ok(text.trim().into()),
            Err(error) => {
                let problem = (
                    format!("names {path}, which cannot be read: {error}"),
                    format!("が指す {path} を読めません: {error}"),
                );
                let remedy = (
                    "create the file and let this user read it (in Compose the `prepare` \
                     container does both)",
                    "ファイルを作り、このユーザーが読めるようにしてください(Compose では `prepare` \
                     コンテナが行います)",
                );
                self.fault(file_key, problem, remedy);
                Err(())
            }
        }
    }

    fn known(&self) -> BTreeSet<String> {
        let file = |key: &Key| key.secret.then(|| format!("{}_FILE", key.name));
        self.keys.iter().flat_map(|key| iter::once(key.name.clone()).chain(file(key))).collect()
    }

    fn refuse_unknown_keys(&mut self) {
        let known = self.known();
        let misspelt: Vec<(String, String, String)> = self
            .source
            .file_keys()
            .filter(|(key, _)| !known.contains(*key))
            .filter_map(|(key, written)| {
                let near = nearest(key, &known)?;
                Some((key.to_owned(), written.to_owned(), near.to_owned()))
            })
            .collect();
        for (key, written, near) in misspelt {
            let problem = (
                format!("({written}) is not a setting of this service"),
                format!("({written})という設定は、このサービスにはありません"),
            );
            let remedy = (
                format!("did you mean {near}? otherwise remove it"),
                format!("{near} のつもりでしたか。違うなら消してください"),
            );
            self.fault(&key, problem, remedy);
        }
    }
}

/// The keys that [`Common`](super::Common) and `parse` ask for, to hold `.env.example` to the code.
pub fn keys_of<T>(parse: impl FnOnce(&mut Reader) -> Option<T>) -> Vec<Key> {
    let mut reader = Reader::new(Source::empty());
    super::Common::read(&mut reader);
    drop(parse(&mut reader));
    reader.keys
}

fn shorten(value: &str) -> String {
    if value.chars().count() <= SHOWN_CHARACTERS_MAX {
        return value.to_owned();
    }
    let start: String = value.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{start}…")
}

/// What a type's values look like, for the remedy of a value that could not be parsed.
fn expectation<T>() -> Words {
    let name = std::any::type_name::<T>();
    match name {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => (
            "write a whole number, zero or more, without a sign",
            "0 以上の整数を、符号なしで書いてください",
        ),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => {
            ("write a whole number", "整数を書いてください")
        }
        "f32" | "f64" => ("write a number such as 2 or 0.5", "2 や 0.5 のような数を書いてください"),
        "bool" => ("write true or false", "true か false を書いてください"),
        _ if name.ends_with("SocketAddr") => (
            "write ADDRESS:PORT, such as 0.0.0.0:8080",
            "0.0.0.0:8080 のように「アドレス:ポート」を書いてください",
        ),
        _ => (
            "correct the value; --help lists every setting and its default",
            "値を直してください(--help にすべての設定と既定値があります)",
        ),
    }
    .into()
}
