//! How long snapshots are kept: a pure rule over what there is, with a reason for each.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::label::{Class, Snapshot};

/// Days, after its newest, on which a source must have new complete snapshots before older ones
/// may go for their age. A clock that jumped ahead, or a machine that stood still for months,
/// makes everything look old at once; a few days of new snapshots show that time really passed.
const PROOF_DAYS: usize = 3;
/// A snapshot this much ahead of the clock is still of now: clocks differ a little.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// How many snapshots of one source stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// The newest of each of the last so many days that have any.
    pub daily: usize,
    /// The newest of each of the last so many weeks (Monday to Sunday) that have any.
    pub weekly: usize,
    /// The newest of each of the last so many months that have any.
    pub monthly: usize,
    /// The newest of each of the last so many years that have any.
    pub yearly: usize,
    /// Nothing older than so many days stays, whatever else is said; none for no such limit.
    pub days_max: Option<u32>,
}

impl Rules {
    /// What a class is kept by unless the operator says otherwise. People's words and the streams
    /// they pass through do not lie in archives of years unasked.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Conversations => {
                Self { daily: 7, weekly: 5, monthly: 0, yearly: 0, days_max: Some(35) }
            }
            Class::Events => Self { daily: 7, weekly: 0, monthly: 0, yearly: 0, days_max: Some(7) },
            Class::Settings | Class::Metrics | Class::Volume => {
                Self { daily: 7, weekly: 4, monthly: 12, yearly: 5, days_max: None }
            }
        }
    }
}

/// What the rule needs to know of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The moment it shows.
    pub time: Timestamp,
    /// Whether something is missing in it.
    pub partial: bool,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The newest complete one of its source always stays, however old.
    Newest,
    /// The newest of a day.
    Daily(Date),
    /// The newest of a week, which began on that Monday.
    Weekly(Date),
    /// The newest of a month, by its first day.
    Monthly(Date),
    /// The newest of a year, by its first day.
    Yearly(Date),
    /// Its time is ahead of the clock: one of the two is wrong, and it decides nothing.
    FromTheFuture,
    /// It is incomplete, but nothing complete is newer.
    PartialUntilComplete,
    /// It is too old, but too few newer ones show that time really passed.
    UntilSuccessors,
    /// Something else wrote it: it is not ours to forget.
    NotOurs,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// A newer one stands for its day, week, month and year, or these are no longer kept.
    Superseded,
    /// It is older than its class is kept, by so many days.
    TooOld(u32),
    /// It is incomplete, and a complete one is newer.
    PartialReplaced,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It stays, for these reasons.
    Keep(Vec<Kept>),
    /// It goes, for this reason.
    Forget(Due),
}

impl Decision {
    /// Whether it stays.
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Keep(_))
    }
}

/// Decides over the snapshots of one source; answers in the order of `points`.
///
/// Days, weeks, months and years are those of `zone`, however long they are: a day of 23 hours is
/// one day.
pub fn decide(points: &[Point], rules: &Rules, now: Timestamp, zone: &TimeZone) -> Vec<Decision> {
    let is_future = |point: &Point| point.time.duration_since(now) > CLOCK_TOLERANCE;
    let mut complete: Vec<usize> = (0..points.len())
        .filter(|&index| !points[index].partial && !is_future(&points[index]))
        .collect();
    complete.sort_by_key(|&index| std::cmp::Reverse(points[index].time));
    let reasons = reasons(points, &complete, rules, zone);
    let newest = complete.first().map(|&index| points[index].time);
    let limit = age_limit(points, &complete, rules, now, zone);
    let one = |(index, point): (usize, &Point)| {
        if is_future(point) {
            return Decision::Keep(vec![Kept::FromTheFuture]);
        }
        if point.partial {
            return match newest {
                Some(newest) if newest > point.time => Decision::Forget(Due::PartialReplaced),
                _ => Decision::Keep(vec![Kept::PartialUntilComplete]),
            };
        }
        let mut why = reasons.get(&index).cloned().unwrap_or_default();
        if why.contains(&Kept::Newest) {
            return Decision::Keep(why);
        }
        if let Some(days) = limit.days_past(point.time) {
            if limit.proven {
                return Decision::Forget(Due::TooOld(days));
            }
            why.push(Kept::UntilSuccessors);
        }
        if why.is_empty() { Decision::Forget(Due::Superseded) } else { Decision::Keep(why) }
    };
    points.iter().enumerate().map(one).collect()
}

/// A period that one snapshot stands for: how to find its first day, how many are kept.
type Period = (fn(Date) -> Date, usize, fn(Date) -> Kept);

/// Why each complete snapshot stays, from the newest back.
fn reasons(
    points: &[Point],
    newest_first: &[usize],
    rules: &Rules,
    zone: &TimeZone,
) -> BTreeMap<usize, Vec<Kept>> {
    let mut reasons: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
    if let Some(&newest) = newest_first.first() {
        reasons.entry(newest).or_default().push(Kept::Newest);
    }
    let periods: [Period; 4] = [
        (|day| day, rules.daily, Kept::Daily),
        (monday, rules.weekly, Kept::Weekly),
        (Date::first_of_month, rules.monthly, Kept::Monthly),
        (Date::first_of_year, rules.yearly, Kept::Yearly),
    ];
    for (first_day, count, kept) in periods {
        let mut last = None;
        let mut seen = 0;
        for &index in newest_first {
            let day = first_day(points[index].time.to_zoned(zone.clone()).date());
            if last == Some(day) {
                continue;
            }
            if seen == count {
                break;
            }
            last = Some(day);
            seen += 1;
            reasons.entry(index).or_default().push(kept(day));
        }
    }
    reasons
}

/// The Monday of a day's week.
fn monday(day: Date) -> Date {
    let back = i64::from(day.weekday().to_monday_zero_offset());
    day.saturating_sub(jiff::Span::new().days(back))
}

/// From when on snapshots are too old, and whether they may go for it.
struct AgeLimit {
    oldest: Option<Timestamp>,
    proven: bool,
}

impl AgeLimit {
    /// By how many begun days a time is past the limit.
    fn days_past(&self, time: Timestamp) -> Option<u32> {
        let past = self.oldest?.duration_since(time);
        (past > SignedDuration::ZERO)
            .then(|| u32::try_from(past.as_hours() / 24 + 1).unwrap_or(u32::MAX))
    }
}

fn age_limit(
    points: &[Point],
    complete: &[usize],
    rules: &Rules,
    now: Timestamp,
    zone: &TimeZone,
) -> AgeLimit {
    let Some(days) = rules.days_max else { return AgeLimit { oldest: None, proven: false } };
    let oldest = now.saturating_sub(SignedDuration::from_hours(24 * i64::from(days)));
    let oldest = oldest.unwrap_or(Timestamp::MIN);
    let mut fresh: Vec<Date> = complete
        .iter()
        .map(|&index| points[index].time)
        .filter(|&time| time >= oldest)
        .map(|time| time.to_zoned(zone.clone()).date())
        .collect();
    fresh.dedup();
    AgeLimit { oldest: Some(oldest), proven: fresh.len() >= PROOF_DAYS }
}

/// Snapshots of one source are decided over together.
pub(crate) fn source(snapshot: &Snapshot) -> Option<(Class, String)> {
    snapshot.class.map(|class| (class, snapshot.name.clone()))
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => write!(f, "the newest complete one"),
            Self::Daily(day) => write!(f, "the newest of {day}"),
            Self::Weekly(day) => write!(f, "the newest of the week of {day}"),
            Self::Monthly(day) => write!(f, "the newest of {}", day.strftime("%Y-%m")),
            Self::Yearly(day) => write!(f, "the newest of {}", day.strftime("%Y")),
            Self::FromTheFuture => write!(f, "its time is ahead of the clock; check the clock"),
            Self::PartialUntilComplete => write!(f, "incomplete, but nothing complete is newer"),
            Self::UntilSuccessors => {
                write!(f, "too old, kept until newer ones span {PROOF_DAYS} days")
            }
            Self::NotOurs => write!(f, "written by something else"),
        }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded => write!(f, "newer ones stand for its day, week, month and year"),
            Self::TooOld(days) => write!(f, "past the age of its class by {days} days"),
            Self::PartialReplaced => write!(f, "incomplete, and a complete one is newer"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(reasons) => {
                write!(f, "stays: ")?;
                for (index, reason) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Forget(due) => write!(f, "goes: {due}"),
        }
    }
}

#[cfg(test)]
mod tests;
