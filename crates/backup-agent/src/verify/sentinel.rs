//! What a copy must give back: the sign of life that was written with what people said, and the rows.

use jiff::{SignedDuration, Timestamp};
use replica::inspect::Contents;

/// What is wrong with what a copy holds; empty when nothing is.
///
/// `live` is what the database itself held when the verification began, `shows` the moment the
/// copy shows, `rpo` how much may be lost at most.
///
/// - The sign of life must not be older than `rpo` before the newest real write up to that moment.
///   A database in which nobody said anything needs no newer one, however much time went by.
/// - Rows that are fewer than the sign of life counted must have been counted as removed.
pub fn judge(
    copy: &Contents,
    live: Option<&Contents>,
    shows: Timestamp,
    rpo: SignedDuration,
) -> Vec<String> {
    let mut faults = Vec::new();
    let live_beats = live.and_then(|live| live.sentinel).is_some_and(|it| it.beats > 0);
    let Some(sentinel) = copy.sentinel else {
        // A database whose owner writes none has nothing to give back but its rows.
        if live_beats {
            faults.push("the sign of life that the database has is missing in the copy".to_owned());
        }
        return faults;
    };
    // The database's newest write, if the copy shows a moment after it; else the copy's own, and
    // what came between the two is the distance of the copies, which is judged elsewhere.
    let newest = live.and_then(|live| live.newest_row).filter(|&written| written <= shows);
    let newest = newest.max(copy.newest_row);
    if let Some(newest) = newest
        && (sentinel.beats > 0 || live_beats)
    {
        let behind = newest.duration_since(sentinel.written);
        if behind > rpo {
            faults.push(format!(
                "the sign of life of {} is {} s older than the newest write of {newest}, more \
                 than the {} s that may be lost",
                sentinel.written,
                behind.as_secs(),
                rpo.as_secs()
            ));
        }
    }
    let removed = sentinel.removed.saturating_sub(sentinel.removed_before);
    let least = sentinel.kept.saturating_sub(removed);
    if sentinel.rows < least {
        faults.push(format!(
            "{} messages and replies are there, but {} were counted and only {removed} removed \
             since",
            sentinel.rows, sentinel.kept
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::judge;
    use jiff::{SignedDuration, Timestamp};
    use replica::inspect::{Contents, Sentinel};

    const RPO: SignedDuration = SignedDuration::from_hours(1);

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn contents(newest: &str, written: &str) -> Contents {
        let sentinel = Sentinel {
            beats: 9,
            written: at(written),
            kept: 100,
            removed_before: 10,
            removed: 10,
            rows: 100,
        };
        Contents { newest_row: Some(at(newest)), sentinel: Some(sentinel), ..Contents::default() }
    }

    fn with(change: impl FnOnce(&mut Sentinel)) -> Contents {
        let mut contents = contents("12:00:00", "12:00:00");
        change(contents.sentinel.as_mut().unwrap());
        contents
    }

    #[test]
    fn a_fresh_copy_passes() {
        let live = contents("12:00:30", "12:00:00");
        let copy = contents("12:00:20", "11:59:30");
        assert!(judge(&copy, Some(&live), at("12:01:00"), RPO).is_empty());
    }

    #[test]
    fn a_copy_that_stopped_before_the_last_hour_of_words_fails() {
        let live = contents("12:00:00", "12:00:00");
        let copy = contents("10:30:00", "10:30:00");
        let faults = judge(&copy, Some(&live), at("12:05:00"), RPO);
        assert!(faults[0].contains("5400 s older"), "{faults:?}");
    }

    #[test]
    fn silence_asks_for_nothing_newer() {
        let live = contents("03:00:00", "03:00:00");
        let copy = contents("03:00:00", "02:59:40");
        assert!(judge(&copy, Some(&live), at("23:00:00"), RPO).is_empty());
    }

    #[test]
    fn an_old_point_is_judged_by_what_it_shows() {
        let live = contents("23:00:00", "23:00:00");
        let copy = contents("05:00:00", "04:59:30");
        assert!(judge(&copy, Some(&live), at("05:10:00"), RPO).is_empty());
        let torn = contents("05:00:00", "03:00:00");
        assert_eq!(judge(&torn, Some(&live), at("05:10:00"), RPO).len(), 1);
    }

    #[test]
    fn rows_that_shrink_without_removals_fail_it() {
        let point = at("12:01:00");
        let removed = with(|sentinel| (sentinel.rows, sentinel.removed) = (95, 15));
        assert!(judge(&removed, None, point, RPO).is_empty());
        let torn = with(|sentinel| (sentinel.rows, sentinel.removed) = (94, 15));
        assert!(judge(&torn, None, point, RPO)[0].contains("94 messages"));
        let torn = with(|sentinel| sentinel.rows = 99);
        assert_eq!(judge(&torn, None, point, RPO).len(), 1);
    }

    #[test]
    fn a_copy_without_the_sign_fails_only_where_the_database_writes_one() {
        let none = Contents { newest_row: Some(at("12:00:00")), ..Contents::default() };
        let live = contents("12:00:00", "12:00:00");
        assert_eq!(judge(&none, Some(&live), at("12:01:00"), RPO).len(), 1);
        assert!(judge(&none, Some(&none), at("12:01:00"), RPO).is_empty());
    }

    #[test]
    fn a_sign_that_was_never_written_is_not_called_old() {
        let young = with(|sentinel| {
            (sentinel.beats, sentinel.written, sentinel.kept) = (0, Timestamp::UNIX_EPOCH, 0);
        });
        assert!(judge(&young, None, at("12:01:00"), RPO).is_empty());
        let live = contents("12:00:00", "12:00:00");
        assert_eq!(judge(&young, Some(&live), at("12:01:00"), RPO).len(), 1);
    }
}
