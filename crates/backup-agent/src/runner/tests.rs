//! The runner, with work that only notes what it was asked to do.

use anyhow::bail;
use jiff::tz::TimeZone;

use super::*;

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Generous: test machines are slow and busy, and nothing is measured with it.
const PATIENCE: Duration = Duration::from_mins(1);

struct House {
    counter: Counter,
    journal: Journal,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn house(patterns: &[(Job, &str)], work: Arc<Work>) -> House {
    let folder = tempfile::tempdir().unwrap();
    let file = RecordFile::open(folder.path(), Timestamp::now()).unwrap();
    let journal = Journal::new(file);
    let patterns = patterns.iter().map(|(job, pattern)| (*job, pattern.parse().unwrap())).collect();
    let schedule = Schedule { patterns, zone: TimeZone::UTC };
    let (heartbeats, _carrier) = Heartbeats::new();
    let (runner, counter) = Runner::new(schedule, journal.clone(), heartbeats, work, LOOK_EVERY);
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    House { counter, journal, stop, running, _folder: folder }
}

fn listener() -> (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>) {
    mpsc::unbounded_channel()
}

#[tokio::test]
async fn what_is_asked_for_is_done_with_its_progress_and_noted() {
    let work: Arc<Work> = Arc::new(|job, _stop, say| {
        say("half way");
        Ok(Done { lines: vec![format!("{job} done")], report: job.word().into() })
    });
    let house = house(&[], work);
    let (progress, mut heard) = listener();
    let done = house.counter.ask(Job::Audit, progress).await.unwrap();
    assert_eq!(done.lines, ["audit done"]);
    assert_eq!(heard.recv().await.as_deref(), Some("half way"));
    assert!(house.journal.record().of(Job::Audit).succeeded.is_some());
    assert_eq!(house.journal.running(), None);
    house.stop.cancel();
    house.running.await.unwrap();
}

#[tokio::test]
async fn two_jobs_are_never_done_at_once_and_the_first_full_copy_needs_no_asking() {
    let inside = Arc::new(AtomicBool::new(false));
    let met = Arc::clone(&inside);
    let work: Arc<Work> = Arc::new(move |_job, _stop, _say| {
        assert!(!met.swap(true, Ordering::SeqCst), "two jobs at once");
        std::thread::yield_now();
        met.store(false, Ordering::SeqCst);
        Ok(Done::default())
    });
    let house = house(&[(Job::Full, "0 2 * * *")], work);
    let asking = (0..6).map(|_| house.counter.ask(Job::Differential, listener().0));
    for ended in futures_join(asking).await {
        ended.unwrap();
    }
    let first = tokio::time::timeout(PATIENCE, async {
        while house.journal.record().of(Job::Full).succeeded.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    first.await.expect("the first full copy is made by itself");
    house.stop.cancel();
    house.running.await.unwrap();
}

async fn futures_join<F: Future<Output = Ended>>(all: impl Iterator<Item = F>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for one in all {
        ended.push(one.await);
    }
    ended
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason_and_noted() {
    let work: Arc<Work> = Arc::new(|_job, _stop, _say| bail!("the disk is full"));
    let house = house(&[], work);
    let error = house.counter.ask(Job::Full, listener().0).await.unwrap_err();
    assert_eq!(error, "the disk is full");
    let record = house.journal.record();
    assert_eq!(record.of(Job::Full).failure.as_ref().unwrap().error, "the disk is full");
    assert_eq!(record.of(Job::Full).succeeded, None);
    house.stop.cancel();
    house.running.await.unwrap();
}

#[tokio::test]
async fn work_that_panics_is_a_failure_and_the_next_job_runs() {
    let work: Arc<Work> = Arc::new(|job, _stop, _say| {
        assert!(job != Job::Audit, "played");
        Ok(Done::default())
    });
    let house = house(&[], work);
    let error = house.counter.ask(Job::Audit, listener().0).await.unwrap_err();
    assert!(error.contains("bug"), "{error}");
    assert!(house.counter.ask(Job::Full, listener().0).await.is_ok());
    house.stop.cancel();
    house.running.await.unwrap();
}

#[tokio::test]
async fn a_stop_reaches_the_work_and_is_no_failure() {
    let (tell, mut begun) = mpsc::unbounded_channel();
    let work: Arc<Work> = Arc::new(move |_job, stop, _say| {
        tell.send(()).unwrap();
        while !stop.is_told() {
            std::thread::yield_now();
        }
        bail!("told to stop")
    });
    let house = house(&[(Job::Full, "0 2 * * *")], work);
    begun.recv().await.unwrap();
    house.stop.cancel();
    house.running.await.unwrap();
    let record = house.journal.record();
    assert_eq!(record.of(Job::Full), &crate::record::Standing::default(), "as due as before");
}
