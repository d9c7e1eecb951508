//! Each rule on both sides of its limit.

use super::*;
use crate::record::Cause;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + hours * 3600).unwrap()
}

fn record(job: Job, succeeded: i64) -> Record {
    let mut record = Record::begin(at(0));
    record.begins(job, at(succeeded), Cause::Clock);
    record.succeeds(job, at(succeeded));
    record
}

fn failed(job: Job, hours: i64) -> Record {
    let mut record = record(job, 0);
    record.begins(job, at(hours), Cause::Clock);
    record.fails(job, at(hours), "the disk is full".to_owned());
    record
}

fn color(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "green",
        Outcome::Degraded { .. } => "yellow",
        Outcome::Failing { .. } => "red",
    }
}

#[test]
fn a_full_copy_may_be_twenty_six_hours_old() {
    let limits = Limits::default();
    let of = |record: &Record, now| color(&full(record, at(now), &limits));
    assert_eq!(of(&Record::begin(at(0)), 1), "yellow", "the first one is being made");
    assert_eq!(of(&Record::begin(at(0)), 27), "red");
    assert_eq!(of(&record(Job::Full, 0), 26), "green");
    assert_eq!(of(&record(Job::Full, 0), 27), "red");
    assert_eq!(of(&failed(Job::Full, 24), 25), "yellow");
    assert_eq!(of(&failed(Job::Full, 24), 27), "red");
    let Outcome::Failing { reason, remedy } = full(&failed(Job::Full, 24), at(27), &limits) else {
        panic!("it fails");
    };
    assert!(reason.contains("27 h") && reason.contains("the disk is full"), "{reason}");
    assert!(remedy.japanese().is_some());
}

#[test]
fn a_success_of_the_future_proves_nothing() {
    let limits = Limits::default();
    assert_eq!(color(&full(&record(Job::Full, 1000), at(0), &limits)), "red");
}

#[test]
fn a_verification_may_be_eight_days_old_and_must_not_have_failed() {
    let limits = Limits::default();
    let of = |record: &Record, now| color(&verification(record, at(now), &limits));
    assert_eq!(of(&Record::begin(at(0)), 24), "green", "a new house gets its week");
    assert_eq!(of(&Record::begin(at(0)), 8 * 24 + 1), "red");
    assert_eq!(of(&record(Job::Verification, 100), 100 + 8 * 24), "green");
    assert_eq!(of(&failed(Job::Verification, 24), 24), "red");
}

#[test]
fn an_audit_that_failed_is_red_and_a_differential_yellow() {
    assert_eq!(color(&job(Job::Audit, &failed(Job::Audit, 1))), "red");
    assert_eq!(color(&job(Job::Differential, &failed(Job::Differential, 1))), "yellow");
    assert_eq!(color(&job(Job::Audit, &record(Job::Audit, 1))), "green");
}

#[test]
fn a_tenth_of_the_disk_stays_free() {
    let limits = Limits::default();
    let of = |free, total| color(&disk(Some(Room { free, total }), &limits));
    assert_eq!((of(10, 100), of(9, 100), of(0, 0)), ("green", "red", "red"));
    assert_eq!(color(&disk(None, &limits)), "yellow");
}

fn status() -> Status {
    Status { looked: Some(at(0)), txid: 7, ..Status::default() }
}

#[test]
fn a_follower_is_red_when_it_is_behind_hangs_or_meets_a_fault() {
    let limits = Limits::default();
    let of = |status: &Status| color(&following(status, at(0), &limits));
    let seconds = |count: i64| at(0).checked_sub(SignedDuration::from_secs(count)).unwrap();
    assert_eq!(of(&status()), "green");
    assert_eq!(of(&Status::default()), "yellow", "it begins");
    let behind = |count| Status { behind_since: Some(seconds(count)), ..status() };
    assert_eq!((of(&behind(5)), of(&behind(6))), ("green", "red"));
    assert_eq!(of(&Status { looked: Some(seconds(61)), ..status() }), "red");
    assert_eq!(of(&Status { log_bytes: 64 << 20, ..status() }), "green");
    assert_eq!(of(&Status { log_bytes: (64 << 20) + 1, ..status() }), "red");
    let fault = |kind| {
        let fault = replica::follow::Fault { kind, since: at(0), said: "said".to_owned() };
        Status { faults: vec![fault], ..status() }
    };
    assert_eq!(of(&fault(FaultKind::Full)), "red");
    assert_eq!(of(&fault(FaultKind::Missing)), "yellow");
    assert_eq!(color(&not_followed("another agent has it")), "red");
}

#[test]
fn a_repaired_gap_is_told_for_a_day() {
    let limits = Limits::default();
    let gap = |pages| {
        let why = "the agent has just started".to_owned();
        let last_gap = Some(replica::follow::Repair { at: at(0), why, pages, bytes: 1 });
        Status { last_gap, looked: Some(at(23)), ..status() }
    };
    assert_eq!(color(&following(&gap(3), at(23), &limits)), "yellow");
    assert_eq!(color(&following(&gap(0), at(23), &limits)), "green", "nothing had changed");
    let later = Status { looked: Some(at(25)), ..gap(3) };
    assert_eq!(color(&following(&later, at(25), &limits)), "green");
}

#[test]
fn one_volume_and_an_unconfirmed_sheet_are_yellow() {
    assert_eq!(color(&copies(true, 0)), "yellow");
    assert_eq!(color(&copies(true, 1)), "green");
    assert_eq!(color(&copies(false, 0)), "green");
    assert_eq!((color(&sheet(false)), color(&sheet(true))), ("yellow", "green"));
}
