//! The rule, tried on calendars.

use jiff::Zoned;
use proptest::prelude::*;

use super::{Decision, Due, Kept, Point, Rules, decide};
use crate::label::Class;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn whole(time: Timestamp) -> Point {
    Point { time, partial: false }
}

/// One snapshot every so many hours, the last of them now.
fn every(hours: i64, count: i64, now: Timestamp) -> Vec<Point> {
    (0..count).rev().map(|back| whole(now - SignedDuration::from_hours(hours * back))).collect()
}

fn kept(points: &[Point], decisions: &[Decision]) -> Vec<Timestamp> {
    let staying = points.iter().zip(decisions).filter(|(_, decision)| decision.keeps());
    staying.map(|(point, _)| point.time).collect()
}

const NOW: &str = "2026-11-22T03:00:00Z";

#[test]
fn seven_days_four_weeks_twelve_months_five_years() {
    let now = at(NOW);
    let points = every(24, 6 * 366, now);
    let decisions = decide(&points, &Rules::of(Class::Settings), now, &TimeZone::UTC);
    let days: Vec<_> = kept(&points, &decisions)
        .iter()
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .collect();
    // 2026-11-22 is a Sunday, so the last day of this week is today.
    let expected = [
        "2022-12-31",
        "2023-12-31",
        "2024-12-31",
        "2025-12-31",
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
        "2026-05-31",
        "2026-06-30",
        "2026-07-31",
        "2026-08-31",
        "2026-09-30",
        "2026-10-31",
        "2026-11-01",
        "2026-11-08",
        "2026-11-15",
        "2026-11-16",
        "2026-11-17",
        "2026-11-18",
        "2026-11-19",
        "2026-11-20",
        "2026-11-21",
        "2026-11-22",
    ];
    assert_eq!(days, expected);
}

#[test]
fn peoples_words_are_gone_after_35_days_and_streams_after_7() {
    let now = at(NOW);
    for (class, days) in [(Class::Conversations, 35), (Class::Events, 7)] {
        let points = every(6, 400, now);
        let decisions = decide(&points, &Rules::of(class), now, &TimeZone::UTC);
        let oldest = kept(&points, &decisions)[0];
        let age = now.duration_since(oldest);
        assert!(age <= SignedDuration::from_hours(24 * days), "{class:?}: {age}");
        assert!(age > SignedDuration::from_hours(24 * (days - 8)), "{class:?}: {age}");
        assert!(decisions.contains(&Decision::Forget(Due::TooOld(1))));
    }
}

#[test]
fn the_newest_complete_one_stays_however_old() {
    let points = [whole(at("2020-01-01T00:00:00Z")), whole(at("2020-01-02T00:00:00Z"))];
    let none = Rules { daily: 0, weekly: 0, monthly: 0, yearly: 0, days_max: Some(0) };
    let decisions = decide(&points, &none, at(NOW), &TimeZone::UTC);
    assert_eq!(decisions[1], Decision::Keep(vec![Kept::Newest]));
}

#[test]
fn a_clock_that_jumps_ahead_makes_nothing_go_for_its_age() {
    let now = at(NOW);
    let mut points = every(24, 30, now);
    let rules = Rules::of(Class::Conversations);
    let before = decide(&points, &rules, now, &TimeZone::UTC);
    // Eleven years on: one snapshot is taken, then everything is judged.
    let later = at("2037-11-22T03:00:00Z");
    points.push(whole(later));
    let after = decide(&points, &rules, later, &TimeZone::UTC);
    assert!(!after.iter().any(|what| matches!(what, Decision::Forget(Due::TooOld(_)))));
    let gone = before.iter().zip(&after).filter(|(was, is)| was.keeps() && !is.keeps()).count();
    assert!(gone <= 2, "only what the new one stands for, by day and week: {gone}");
    // When days have really passed, the old ones go.
    for days in 1..=2 {
        points.push(whole(later + SignedDuration::from_hours(24 * days)));
    }
    let now = later + SignedDuration::from_hours(48);
    let decisions = decide(&points, &rules, now, &TimeZone::UTC);
    assert_eq!(kept(&points, &decisions).len(), 3);
}

#[test]
fn a_snapshot_from_the_future_pushes_nothing_out() {
    let now = at(NOW);
    let points = every(24, 40, now);
    let rules = Rules::of(Class::Conversations);
    let alone = decide(&points, &rules, now, &TimeZone::UTC);
    let mut with = points.clone();
    with.push(whole(at("2040-01-01T00:00:00Z")));
    let decisions = decide(&with, &rules, now, &TimeZone::UTC);
    assert_eq!(decisions[..40], alone[..]);
    assert_eq!(decisions[40], Decision::Keep(vec![Kept::FromTheFuture]));
}

#[test]
fn an_incomplete_one_stands_for_nothing_and_goes_when_a_complete_one_is_newer() {
    let partial = |time| Point { time: at(time), partial: true };
    let points = [
        partial("2026-11-20T02:00:00Z"),
        whole(at("2026-11-21T02:00:00Z")),
        partial("2026-11-22T02:00:00Z"),
    ];
    let decisions = decide(&points, &Rules::of(Class::Volume), at(NOW), &TimeZone::UTC);
    assert_eq!(decisions[0], Decision::Forget(Due::PartialReplaced));
    assert!(matches!(&decisions[1], Decision::Keep(why) if why.contains(&Kept::Newest)));
    assert_eq!(decisions[2], Decision::Keep(vec![Kept::PartialUntilComplete]));
}

#[test]
fn a_day_of_23_or_25_hours_is_one_day() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    for local in ["2026-03-29", "2026-10-25"] {
        let start: Zoned = format!("{local}T00:00:00[Europe/Berlin]").parse().unwrap();
        let next = start.tomorrow().unwrap();
        let points = [
            whole(start.timestamp()),
            whole(next.timestamp() - SignedDuration::from_secs(1)),
            whole(next.timestamp()),
        ];
        let rules = Rules { daily: 2, weekly: 0, monthly: 0, yearly: 0, days_max: None };
        let decisions = decide(&points, &rules, next.timestamp(), &zone);
        let keeps: Vec<_> = decisions.iter().map(Decision::keeps).collect();
        assert_eq!(keeps, [false, true, true], "{local}");
    }
}

proptest! {
    #[test]
    fn whatever_there_is_the_newest_complete_one_stays_and_a_second_look_changes_nothing(
        hours in prop::collection::vec(0_i64..24 * 900, 1..60),
        partial in prop::collection::vec(any::<bool>(), 60),
        days_max in prop::option::of(0_u32..60),
        counts in (0_usize..5, 0_usize..5, 0_usize..5, 0_usize..3),
    ) {
        let now = at(NOW);
        let points: Vec<Point> = hours
            .iter()
            .zip(partial)
            .map(|(&hours, partial)| Point {
                time: now - SignedDuration::from_hours(hours),
                partial,
            })
            .collect();
        let rules = Rules {
            daily: counts.0, weekly: counts.1, monthly: counts.2, yearly: counts.3, days_max,
        };
        let decisions = decide(&points, &rules, now, &TimeZone::UTC);
        let newest = points.iter().filter(|point| !point.partial).map(|point| point.time).max();
        let left: Vec<Point> = points
            .iter()
            .zip(&decisions)
            .filter(|(_, decision)| decision.keeps())
            .map(|(point, _)| *point)
            .collect();
        if let Some(newest) = newest {
            prop_assert!(left.iter().any(|point| !point.partial && point.time == newest));
        }
        let again = decide(&left, &rules, now, &TimeZone::UTC);
        prop_assert!(again.iter().all(Decision::keeps), "{:?}", again);
        if let Some(days) = days_max {
            let limit = now - SignedDuration::from_hours(24 * i64::from(days));
            for (point, decision) in points.iter().zip(&decisions) {
                if let Decision::Keep(why) = decision
                    && !point.partial
                    && point.time < limit
                {
                    prop_assert!(
                        why.contains(&Kept::Newest) || why.contains(&Kept::UntilSuccessors)
                    );
                }
            }
        }
    }
}
