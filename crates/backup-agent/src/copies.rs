//! The copies of each database: where its history lies, and which point of it somebody means.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use replica::disk::Disk;
use replica::tree::{At, Timelines};

use crate::config::{Config, Place};

/// Where the histories lie below the folder of all copies, a folder each.
pub const FOLDER: &str = "databases";

/// Where the history of a database lies.
pub fn folder(repository: &Path, database: &Place) -> PathBuf {
    repository.join(FOLDER).join(&database.name)
}

/// The history of a database, on all its timelines.
pub fn timelines(repository: &Path, database: &Place) -> Timelines {
    Timelines::new(&folder(repository, database), Disk::default())
}

/// The database of that name; without a name, the only one there is.
///
/// # Errors
/// Which names there are.
pub fn database<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Place, String> {
    let names = || {
        let all: Vec<&str> = config.databases.iter().map(|place| place.name.as_str()).collect();
        all.join(", ")
    };
    match (name, config.databases.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("say which database, by --database NAME: {}", names())),
        (Some(name), all) => all
            .iter()
            .find(|place| place.name == name)
            .ok_or_else(|| format!("there is no database {name}; there are {}", names())),
    }
}

/// Reads a point as people write it: `latest`, `txid:123`, or a time. A time without a zone is one
/// on the wall clock of `zone`; where that clock shows it twice, the earlier one is meant.
///
/// # Errors
/// How a point is written.
pub fn point(text: &str, zone: &TimeZone) -> Result<At, String> {
    let text = text.trim();
    if text == "latest" {
        return Ok(At::Latest);
    }
    if let Some(number) = text.strip_prefix("txid:") {
        let read = number.parse();
        return read.map(At::Txid).map_err(|_unparsed| format!("{number} is no transaction"));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(At::Time(moment));
    }
    let wall: DateTime = text.parse().map_err(|_unparsed| {
        format!(
            "\"{text}\" is no point in time; write latest, txid:123, 2026-11-22T21:05:00+09:00, or \
             \"2026-11-22 21:05:00\" for the wall clock"
        )
    })?;
    let moment = zone.to_ambiguous_timestamp(wall).compatible();
    moment.map(At::Time).map_err(|error| format!("\"{text}\" lies out of range: {error}"))
}

/// A point as it is shown: on the wall clock, with its offset.
pub fn shown(time_ms: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(time_ms).map_or_else(
        |_out_of_range| "at an unknown time".to_owned(),
        |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_people_write_it() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let at = |text: &str| point(text, &zone);
        assert_eq!(at(" latest "), Ok(At::Latest));
        assert_eq!(at("txid:42"), Ok(At::Txid(42)));
        let moment = |text: &str| At::Time(text.parse().unwrap());
        assert_eq!(at("2026-11-22T21:05:00+09:00"), Ok(moment("2026-11-22T12:05:00Z")));
        assert_eq!(at("2026-11-22 07:05:00"), Ok(moment("2026-11-22T12:05:00Z")));
        assert_eq!(at("2026-11-22T07:05"), Ok(moment("2026-11-22T12:05:00Z")));
        // The wall clock shows half past one twice that night; the first is meant.
        assert_eq!(at("2026-11-01 01:30"), Ok(moment("2026-11-01T05:30:00Z")));
        for wrong in ["", "yesterday", "txid:", "txid:-1", "2026-13-01"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(at("yesterday").unwrap_err().contains("wall clock"));
    }

    #[test]
    fn a_point_is_shown_on_the_wall_clock() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(shown(1_795_000_000_123, &zone), "2026-11-18 20:06:40.123 +09:00");
        assert_eq!(shown(i64::MAX, &zone), "at an unknown time");
    }
}
