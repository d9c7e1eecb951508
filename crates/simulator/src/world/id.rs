//! Snowflakes: ids that grow with time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The first second of 2015, from which Discord counts, in Unix milliseconds.
pub const EPOCH_MS: u64 = 1_420_070_400_000;

/// A snowflake. On the wire it is a string; numbers are accepted too, as some libraries send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl Id {
    /// The id in a JSON string or number.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().map(Self),
            _ => None,
        }
    }

    /// When the id was made, in Unix milliseconds.
    pub fn time_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value)
            .ok_or_else(|| serde::de::Error::custom("an id is a number or a string of digits"))
    }
}

/// Makes ids that are unique and never go back, whatever the clock does.
#[derive(Debug, Default)]
pub struct Snowflakes {
    last: u64,
}

impl Snowflakes {
    /// The next id at `now_ms`.
    pub fn next(&mut self, now_ms: u64) -> Id {
        let from_clock = now_ms.saturating_sub(EPOCH_MS) << 22;
        self.last = from_clock.max(self.last + 1);
        Id(self.last)
    }
}

/// `ms` as Discord writes times: microseconds, and `+00:00` rather than `Z`.
pub fn timestamp(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_goes_back() {
        let mut ids = Snowflakes::default();
        let first = ids.next(EPOCH_MS + 5000);
        let second = ids.next(EPOCH_MS + 1000);
        assert!(second > first);
        assert_eq!(first.time_ms(), EPOCH_MS + 5000);
    }

    #[test]
    fn times_carry_microseconds_and_an_offset() {
        assert_eq!(timestamp(EPOCH_MS + 7), "2015-01-01T00:00:00.007000+00:00");
    }
}
