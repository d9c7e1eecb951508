//! Forgetting and pruning in a real repository.

use anyhow::Result;
use jiff::{SignedDuration, tz::TimeZone};
use snapshots::{Depth, Kept, Kind, Rules};

use crate::scene::{Scene, at, files, image, noise};

#[test]
fn what_is_forgotten_is_pruned_in_two_phases_and_the_rest_stays_whole() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    for day in 10..=20 {
        let content = noise(day, 400_000);
        scene.take(image(&format!("2026-11-{day}T02:00:00Z")), &content)?;
    }
    let now = at("2026-11-20T12:00:00Z");
    let rules = |_| Rules { daily: 3, weekly: 0, monthly: 0, yearly: 0, days_max: None };
    let before = files(&scene.stored());
    let planned = scene.repository.forget(rules, now, &TimeZone::UTC, true)?;
    assert!(!planned.done);
    assert_eq!(planned.decisions.iter().filter(|(_, what)| what.keeps()).count(), 3);
    assert_eq!(files(&scene.stored()), before, "a plan changes nothing");

    let done = scene.repository.forget(rules, now, &TimeZone::UTC, false)?;
    assert_eq!(done.decisions, planned.decisions, "it does what it said");
    let left = scene.repository.list()?.snapshots;
    assert_eq!(left.len(), 3);

    let day = SignedDuration::from_hours(24);
    let first = scene.repository.prune(day, false)?;
    assert!(first.bytes_marked >= 8 * 400_000, "{first:?}");
    assert_eq!(first.bytes_removed, 0, "marked today, removed another day");
    let second = scene.repository.prune(day, false)?;
    assert_eq!(second.bytes_removed, 0, "it is still today");
    let planned = scene.repository.prune(SignedDuration::ZERO, true)?;
    let third = scene.repository.prune(SignedDuration::ZERO, false)?;
    assert!(third.bytes_removed >= 8 * 400_000, "{third:?}");
    assert_eq!((planned.bytes_removed, planned.done), (third.bytes_removed, false));

    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    for (snapshot, day) in left.iter().zip(18..) {
        let mut back = Vec::new();
        scene.repository.read(&snapshot.id, "conversation.db", &mut back)?;
        assert!(back == noise(day, 400_000), "{snapshot:?}");
    }
    Ok(())
}

#[test]
fn pieces_of_a_run_that_was_cut_short_are_pruned() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-20T02:00:00Z"), &noise(1, 100_000))?;
    let good = files(&scene.stored());
    // As after a kill: packs and index are there, the snapshot is not.
    let lost = scene.take(image("2026-11-21T02:00:00Z"), &noise(2, 500_000))?;
    std::fs::remove_file(scene.stored().join("snapshots").join(&lost.snapshot.id))?;
    scene.repository.prune(SignedDuration::ZERO, false)?;
    scene.repository.prune(SignedDuration::ZERO, false)?;
    let packs = |files: &[std::path::PathBuf]| {
        files.iter().filter(|file| file.starts_with("data")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(packs(&files(&scene.stored())), packs(&good));
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn sources_do_not_push_each_other_out() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let mut other = image("2026-11-01T02:00:00Z");
    other.name = "other.db".to_owned();
    scene.take(other, b"other")?;
    for day in 18..=20 {
        scene.take(image(&format!("2026-11-{day}T02:00:00Z")), b"words")?;
    }
    let rules = |_| Rules { daily: 1, weekly: 0, monthly: 0, yearly: 0, days_max: None };
    let now = at("2026-11-20T12:00:00Z");
    scene.repository.forget(rules, now, &TimeZone::UTC, false)?;
    let left = scene.repository.list()?.snapshots;
    let names: Vec<_> = left.iter().map(|snapshot| snapshot.name.as_str()).collect();
    assert_eq!(names, ["other.db", "conversation.db"]);
    Ok(())
}

#[test]
fn a_day_is_a_day_of_the_operators_zone() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    // Two days in Tokyo, one in UTC.
    scene.take(image("2026-11-20T14:00:00Z"), b"one")?;
    scene.take(image("2026-11-20T16:00:00Z"), b"two")?;
    let rules = |_| Rules { daily: 7, weekly: 0, monthly: 0, yearly: 0, days_max: None };
    let now = at("2026-11-20T17:00:00Z");
    let kept = |zone: &TimeZone| -> Result<usize> {
        let plan = scene.repository.forget(rules, now, zone, true)?;
        Ok(plan.decisions.iter().filter(|(_, what)| what.keeps()).count())
    };
    assert_eq!(kept(&TimeZone::UTC)?, 1);
    assert_eq!(kept(&TimeZone::get("Asia/Tokyo")?)?, 2);
    Ok(())
}

#[test]
fn a_dry_run_says_why() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-20T02:00:00Z"), b"one")?;
    scene.take(image("2026-11-20T08:00:00Z"), b"two")?;
    let now = at("2026-11-20T12:00:00Z");
    let plan = scene.repository.forget(Rules::of, now, &TimeZone::UTC, true)?;
    let said: Vec<_> = plan.decisions.iter().map(|(_, what)| what.to_string()).collect();
    assert_eq!(said[0], "goes: newer ones stand for its day, week, month and year");
    assert_eq!(
        said[1],
        "stays: the newest complete one; the newest of 2026-11-20; the newest of the week of \
         2026-11-16"
    );
    let snapshots::Decision::Keep(reasons) = &plan.decisions[1].1 else { panic!() };
    assert_eq!(reasons[0], Kept::Newest);
    Ok(())
}
