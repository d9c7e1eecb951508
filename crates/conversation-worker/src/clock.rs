//! The time, as the database and the caps count it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Now, in milliseconds since the Unix epoch.
pub fn now_unix_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Today in that time zone, as `2026-11-22`.
pub fn today(zone: &TimeZone) -> String {
    Timestamp::now().to_zoned(zone.clone()).date().to_string()
}
