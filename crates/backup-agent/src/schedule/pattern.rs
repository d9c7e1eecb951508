//! A pattern of moments on the wall clock, as cron writes it.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// More than any zone has ever moved its clock at once (Samoa left out a whole day).
const LARGEST_SHIFT_HOURS: i64 = 25;
/// A pattern that matches every minute of that time is done within this many steps.
const STEPS_MAX: usize = 4_000;

/// Moments on the wall clock: five fields of cron, such as `0 2 * * *`.
#[derive(Debug, Clone)]
pub struct Pattern(Cron);

impl Pattern {
    /// The first moment after `last`; none where the pattern never comes true again.
    ///
    /// A time that the wall clock skips lies right after the gap, as long after its beginning as
    /// it was meant to be; one that it shows twice lies in the first showing.
    pub fn next_after(&self, last: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let back: Span = LARGEST_SHIFT_HOURS.hours();
        let mut wall: DateTime = zone.to_datetime(last).checked_sub(back).ok()?;
        for _step in 0..STEPS_MAX {
            wall = self.0.find_next_occurrence(&wall, false).ok()?;
            let moment = zone.to_ambiguous_timestamp(wall).compatible().ok()?;
            if moment > last {
                return Some(moment);
            }
        }
        None
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Disallowed)
            .build();
        parser.parse(text).map(Self).map_err(|error| format!("{error}; write it as in `0 2 * * *`"))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}
