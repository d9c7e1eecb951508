//! The settings of the log: level, format, file and what is kept of it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;

const LOG_FILE_BYTES_DEFAULT: u64 = 10 * 1024 * 1024;
const LOG_FILE_BYTES_MIN: u64 = 64 * 1024;
const LOG_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const LOG_FILE_COUNT_DEFAULT: u32 = 5;
const LOG_FILE_COUNT_MAX: u32 = 100;
const LOG_FILE_DAYS_DEFAULT: u32 = 7;
const LOG_FILE_DAYS_MAX: u32 = 366;
const LOG_ARCHIVE_MONTHS_DEFAULT: u32 = 12;
const LOG_ARCHIVE_MONTHS_MAX: u32 = 120;

/// Level, format and file of the log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// What is logged (`LOG_LEVEL`).
    pub level: LogLevel,
    /// How standard output is written (`LOG_FORMAT`); unset asks whether it is a terminal.
    pub format: LogFormat,
    /// The folder of the rotated log file (`LOG_DIR`); unset writes none.
    pub directory: Option<PathBuf>,
    /// What goes into the file, of what is logged at all (`LOG_FILE_LEVEL`).
    pub file_level: FileLevel,
    /// The size at which the file is rotated (`LOG_FILE_BYTES_MAX`); it is each day, too.
    pub file_bytes_max: u64,
    /// How many times that size the rotated files may hold together (`LOG_FILE_COUNT`).
    pub file_count: u32,
    /// After how many days a rotated file goes into the archive (`LOG_FILE_DAYS`).
    pub file_days: u32,
    /// How many months the archive goes back; 0 keeps none (`LOG_ARCHIVE_MONTHS`).
    pub archive_months: u32,
    /// The time zone of the timestamps (`LOG_TIME_ZONE`).
    pub time_zone: TimeZone,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::default(),
            format: LogFormat::Auto,
            directory: None,
            file_level: FileLevel(LevelFilter::INFO),
            file_bytes_max: LOG_FILE_BYTES_DEFAULT,
            file_count: LOG_FILE_COUNT_DEFAULT,
            file_days: LOG_FILE_DAYS_DEFAULT,
            archive_months: LOG_ARCHIVE_MONTHS_DEFAULT,
            time_zone: TimeZone::Utc,
        }
    }
}

/// A level (`trace` … `fatal`, `off`) or filter directives such as `info,bus=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The directives as the filter understands them: `fatal` events are errors there.
    pub(crate) fn directives(&self) -> &str {
        if self.fatal_only() { "error" } else { &self.0 }
    }

    /// Whether only events marked `fatal = true` are wanted.
    pub(crate) fn fatal_only(&self) -> bool {
        self.0.eq_ignore_ascii_case("fatal")
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected trace, debug, info, warn, error, fatal, off, or directives like info,bus=debug";
        let plain = text.chars().all(|letter| letter.is_ascii_alphabetic());
        let level = Self(text.to_owned());
        // A lone unknown word parses as a target, which would silently turn the log off.
        if plain && !level.fatal_only() && text.parse::<LevelFilter>().is_err() {
            return Err(EXPECTED.to_owned());
        }
        EnvFilter::try_new(level.directives()).map_err(|error| format!("{error}; {EXPECTED}"))?;
        Ok(level)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The most detailed level that goes into the log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLevel(pub(crate) LevelFilter);

impl FromStr for FileLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = ["trace", "debug", "info", "warn", "error"];
        let text = text.to_ascii_lowercase();
        match text.parse() {
            Ok(level) if known.contains(&text.as_str()) => Ok(Self(level)),
            _ => Err("expected trace, debug, info, warn or error"),
        }
    }
}

impl fmt::Display for FileLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// How log lines are written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One coloured line for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err("expected auto, human or json".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

/// The zone in which log timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    /// UTC, with a `Z`.
    Utc,
    /// The machine's zone (`TZ`), with its offset.
    Local,
}

impl FromStr for TimeZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "utc" => Ok(Self::Utc),
            "local" => Ok(Self::Local),
            _ => Err("expected utc or local".to_owned()),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Utc => "utc",
            Self::Local => "local",
        })
    }
}

impl LogConfig {
    /// Reads the level alone.
    pub(crate) fn read_level(reader: &mut Reader) -> LogLevel {
        reader.or("LOG_LEVEL", LogLevel::default())
    }

    /// Reads it; where a setting is at fault its default stands in its place.
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            level: Self::read_level(reader),
            format: reader.or("LOG_FORMAT", LogFormat::Auto),
            directory: reader.optional("LOG_DIR"),
            file_level: reader.or("LOG_FILE_LEVEL", FileLevel(LevelFilter::INFO)),
            file_bytes_max: reader.in_range(
                "LOG_FILE_BYTES_MAX",
                LOG_FILE_BYTES_DEFAULT,
                LOG_FILE_BYTES_MIN..=LOG_FILE_BYTES_MAX,
            ),
            file_count: reader.in_range(
                "LOG_FILE_COUNT",
                LOG_FILE_COUNT_DEFAULT,
                1..=LOG_FILE_COUNT_MAX,
            ),
            file_days: reader.in_range(
                "LOG_FILE_DAYS",
                LOG_FILE_DAYS_DEFAULT,
                1..=LOG_FILE_DAYS_MAX,
            ),
            archive_months: reader.in_range(
                "LOG_ARCHIVE_MONTHS",
                LOG_ARCHIVE_MONTHS_DEFAULT,
                0..=LOG_ARCHIVE_MONTHS_MAX,
            ),
            time_zone: reader.or("LOG_TIME_ZONE", TimeZone::Utc),
        }
    }
}
