//! Days and years played on the schedule.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::*;
use crate::record::Record;

fn at(text: &str) -> Timestamp {
    text.parse::<Zoned>().expect("a moment with its zone").timestamp()
}

fn schedule(zone: &str, patterns: &[(Job, &str)]) -> Schedule {
    let patterns =
        patterns.iter().map(|(job, pattern)| (*job, pattern.parse().expect("a pattern"))).collect();
    Schedule { patterns, zone: TimeZone::get(zone).expect("a zone") }
}

/// Plays from `start` to `end`, looking every ten minutes; every run ends well at once.
fn play(schedule: &Schedule, record: &mut Record, start: &str, end: &str) -> Vec<String> {
    let (mut now, end) = (at(start), at(end));
    let mut runs = Vec::new();
    while now < end {
        while let Some((job, cause)) = schedule.due(record, now) {
            record.begins(job, now, cause);
            record.succeeds(job, now);
            let shown = now.to_zoned(schedule.zone.clone()).strftime("%m-%d %H:%M%:z");
            runs.push(format!("{job} {shown}"));
        }
        now += SignedDuration::from_mins(10);
    }
    runs
}

#[test]
fn the_first_full_copy_is_made_at_once_and_then_each_night() {
    let schedule = schedule("Asia/Tokyo", &[(Job::Full, "0 2 * * *")]);
    let mut record = Record::begin(at("2026-11-22T15:00+09:00[Asia/Tokyo]"));
    let runs = play(
        &schedule,
        &mut record,
        "2026-11-22T15:00+09:00[Asia/Tokyo]",
        "2026-11-25T00:00+09:00[Asia/Tokyo]",
    );
    assert_eq!(
        runs,
        ["full 11-22 15:00+09:00", "full 11-23 02:00+09:00", "full 11-24 02:00+09:00"]
    );
}

#[test]
fn an_hour_that_is_skipped_in_spring_is_made_up_for_right_after() {
    let schedule = schedule(
        "America/New_York",
        &[(Job::Full, "0 2 * * *"), (Job::Audit, "30 2 * * *"), (Job::Differential, "0 */6 * * *")],
    );
    let mut record = Record::begin(at("2026-03-07T12:00-05:00[America/New_York]"));
    let runs = play(
        &schedule,
        &mut record,
        "2026-03-07T12:30-05:00[America/New_York]",
        "2026-03-09T12:00-04:00[America/New_York]",
    );
    let fulls: Vec<&String> = runs.iter().filter(|run| run.starts_with("full")).collect();
    assert_eq!(
        fulls,
        ["full 03-07 12:30-05:00", "full 03-08 03:00-04:00", "full 03-09 02:00-04:00"]
    );
    let audits: Vec<&String> = runs.iter().filter(|run| run.starts_with("audit")).collect();
    assert_eq!(audits, ["audit 03-08 03:30-04:00", "audit 03-09 02:30-04:00"]);
    let of_the_day = runs.iter().filter(|run| run.starts_with("differential 03-08"));
    assert_eq!(of_the_day.count(), 4, "{runs:?}");
}

#[test]
fn an_hour_that_comes_twice_in_autumn_counts_once() {
    let schedule = schedule(
        "America/New_York",
        &[(Job::Full, "30 1 * * *"), (Job::Differential, "*/20 1 * * *")],
    );
    let mut record = Record::begin(at("2026-10-31T12:00-04:00[America/New_York]"));
    record.begins(Job::Full, at("2026-10-31T12:00-04:00[America/New_York]"), Cause::Clock);
    record.succeeds(Job::Full, at("2026-10-31T12:00-04:00[America/New_York]"));
    let runs = play(
        &schedule,
        &mut record,
        "2026-10-31T12:30-04:00[America/New_York]",
        "2026-11-02T12:00-05:00[America/New_York]",
    );
    let fulls: Vec<&String> = runs.iter().filter(|run| run.starts_with("full")).collect();
    assert_eq!(fulls, ["full 11-01 01:30-04:00", "full 11-02 01:30-05:00"]);
    let of_the_day = runs.iter().filter(|run| run.starts_with("differential 11-01"));
    assert_eq!(of_the_day.count(), 3, "{runs:?}");
}

#[test]
fn a_whole_year_has_one_full_copy_a_day_in_every_kind_of_zone() {
    // Half an hour of shift, a gap at midnight, no shift at all.
    for zone in ["Australia/Lord_Howe", "Asia/Beirut", "Asia/Tokyo", "Europe/Dublin"] {
        for pattern in ["0 2 * * *", "0 0 * * *", "15 1 * * *", "45 2 * * *"] {
            let schedule = schedule(zone, &[(Job::Full, pattern)]);
            let (mut now, end) =
                (at("2026-01-01T12:00+00:00[UTC]"), at("2027-01-01T12:00+00:00[UTC]"));
            let mut record = Record::begin(now);
            record.begins(Job::Full, now, Cause::Clock);
            let mut runs = Vec::new();
            while let Some(next) = schedule.next(Job::Full, &record, now).filter(|at| *at < end) {
                now = next;
                record.begins(Job::Full, now, Cause::Clock);
                record.succeeds(Job::Full, now);
                runs.push(now.to_zoned(schedule.zone.clone()).strftime("full %m-%d").to_string());
            }
            let mut days: Vec<&str> = runs.iter().map(|run| &run[5..10]).collect();
            assert_eq!(days.len(), 365, "{zone} {pattern}");
            days.dedup();
            assert_eq!(days.len(), 365, "{zone} {pattern}: each day once");
        }
    }
}

#[test]
fn what_was_missed_while_the_machine_was_off_is_made_up_for_once() {
    let schedule = schedule(
        "Asia/Tokyo",
        &[(Job::Full, "0 2 * * *"), (Job::Verification, "0 4 * * 0"), (Job::Audit, "30 3 * * *")],
    );
    let mut record = Record::begin(at("2026-11-01T12:00+09:00[Asia/Tokyo]"));
    play(
        &schedule,
        &mut record,
        "2026-11-01T12:00+09:00[Asia/Tokyo]",
        "2026-11-03T12:00+09:00[Asia/Tokyo]",
    );
    let runs = play(
        &schedule,
        &mut record,
        "2026-11-20T09:00+09:00[Asia/Tokyo]",
        "2026-11-20T12:00+09:00[Asia/Tokyo]",
    );
    assert_eq!(
        runs,
        ["full 11-20 09:00+09:00", "audit 11-20 09:00+09:00", "verification 11-20 09:00+09:00"],
        "once each, the full copy first"
    );
}

#[test]
fn a_failure_is_tried_again_three_times_and_then_left_to_the_clock() {
    let schedule = schedule("UTC", &[(Job::Full, "0 2 * * *")]);
    let mut record = Record::begin(at("2026-11-22T00:00+00:00[UTC]"));
    let mut now = at("2026-11-22T02:00+00:00[UTC]");
    let mut runs = Vec::new();
    while now < at("2026-11-24T01:00+00:00[UTC]") {
        if let Some((job, cause)) = schedule.due(&record, now) {
            record.begins(job, now, cause);
            record.fails(job, now, "the disk is full".to_owned());
            runs.push(format!("{} {cause:?}", now.strftime("%d %H:%M")));
        }
        now += SignedDuration::from_mins(1);
    }
    let a_day = ["02:00 Clock", "02:05 Retry", "02:25 Retry", "03:25 Retry"];
    let expected: Vec<String> = ["22", "23"]
        .iter()
        .flat_map(|day| a_day.iter().map(move |run| format!("{day} {run}")))
        .collect();
    assert_eq!(runs, expected);
    assert_eq!(record.of(Job::Full).failure.as_ref().unwrap().error, "the disk is full");
}

#[test]
fn a_clock_that_was_years_ahead_stops_nothing_for_years() {
    let schedule = schedule("UTC", &[(Job::Full, "0 2 * * *")]);
    let mut record = Record::begin(at("2026-11-22T00:00+00:00[UTC]"));
    record.begins(Job::Full, at("2036-01-01T00:00+00:00[UTC]"), Cause::Clock);
    record.fails(Job::Full, at("2036-01-01T00:00+00:00[UTC]"), "no disk".to_owned());
    let runs =
        play(&schedule, &mut record, "2026-11-22T00:00+00:00[UTC]", "2026-11-22T02:10+00:00[UTC]");
    assert_eq!(runs, ["full 11-22 00:00+00:00", "full 11-22 02:00+00:00"]);
}

#[test]
fn a_run_that_was_asked_for_takes_no_time_of_the_clock_away() {
    let schedule = schedule("UTC", &[(Job::Full, "0 2 * * *")]);
    let mut record = Record::begin(at("2026-11-22T00:00+00:00[UTC]"));
    record.begins(Job::Full, at("2026-11-22T01:00+00:00[UTC]"), Cause::Clock);
    record.succeeds(Job::Full, at("2026-11-22T01:00+00:00[UTC]"));
    record.begins(Job::Full, at("2026-11-22T01:59+00:00[UTC]"), Cause::Asked);
    record.succeeds(Job::Full, at("2026-11-22T01:59+00:00[UTC]"));
    let due = schedule.due(&record, at("2026-11-22T02:00+00:00[UTC]"));
    assert_eq!(due, Some((Job::Full, Cause::Clock)));
}

#[test]
fn a_pattern_that_is_none_says_how_one_looks() {
    for wrong in ["", "tonight", "61 2 * * *", "* * * * * *"] {
        let error = wrong.parse::<Pattern>().expect_err("no pattern");
        assert!(error.contains("0 2 * * *"), "{error}");
    }
}
