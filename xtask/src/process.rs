//! A long-running process of a chore: started on a leash, watched until ready, stopped in order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::interrupt::{self, Leash};

/// How long a service may take until it is ready, on a slow machine that just compiled it.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a service may take to stop before it is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
/// Lines of a log that are shown when its service fails.
const TAIL_LINES: usize = 15;
/// What is passed on from our own environment; everything else a service needs is said.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "RUST_BACKTRACE"];

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    started: Instant,
    ready_after: Option<Duration>,
}

impl Service {
    /// Starts a program with exactly this environment; what it says goes to `log`.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        log: PathBuf,
        adjust: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("open the log {}", log.display()))?;
        let errors = out.try_clone().context("share the log")?;
        let mut command = Leash::command(program)?;
        command.env_clear();
        for variable in INHERITED {
            if let Some(value) = crate::surroundings::variable(variable) {
                command.env(variable, value);
            }
        }
        adjust(&mut command);
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name, child, log, started, ready_after: None })
    }

    /// Asks once whether the service is ready; the first answer ends the counting.
    pub(crate) fn poll_ready<T>(
        &mut self,
        ask: &mut impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if let Some(answer) = ask()? {
            self.ready_after = Some(self.started.elapsed());
            return Ok(Some(answer));
        }
        self.expect_running()?;
        if self.started.elapsed() > READY_WITHIN {
            let seconds = READY_WITHIN.as_secs();
            bail!("see {} ready within {seconds} s\n{}", self.name, self.last_words());
        }
        Ok(None)
    }

    /// Waits until the service is ready.
    pub(crate) fn wait_until_ready<T>(
        &mut self,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        loop {
            if let Some(answer) = self.poll_ready(&mut ask)? {
                return Ok(answer);
            }
            interrupt::tick()?;
        }
    }

    /// Fails, with the end of the log, when the service is not running any more.
    pub(crate) fn expect_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("look after a service")? {
            bail!("keep {} running: it ended with {status}\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// Asks the service to stop, and makes it stop when it does not or the person is impatient.
    pub(crate) fn stop(&mut self) -> Value {
        let asked = Instant::now();
        let mut status = self.ended();
        if status.is_none() {
            self.signal(Signal::TERM);
        }
        while status.is_none() && asked.elapsed() < STOPPED_WITHIN && interrupt::requests() < 2 {
            std::thread::sleep(interrupt::TICK);
            status = self.ended();
        }
        let clean = status.is_some_and(|status| status.success());
        if status.is_none() {
            self.kill();
        }
        let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        json!({ "clean": clean, "took_ms": took_ms })
    }

    /// Process id, ready time and memory, for the summary.
    pub(crate) fn facts(&self) -> Value {
        json!({
            "pid": self.child.id(),
            "ready_ms": self.ready_after.map(|after| (after.as_secs_f64() * 10_000.0).round() / 10.0),
            "rss_bytes": resident_bytes(self.child.id()),
            "log": self.log,
        })
    }

    /// The end of the log, for a person who has to find out what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
        let tail = if tail.is_empty() { "(nothing)" } else { &tail };
        format!("the last it said ({}):\n  {tail}", self.log.display())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        // What cannot be waited for is no child of ours any more.
        self.child.try_wait().unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> bool {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    fn kill(&mut self) {
        if self.ended().is_none() && self.signal(Signal::KILL) {
            drop(self.child.wait());
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for two services that start side by side, so that neither's time counts for the other.
pub(crate) fn wait_for_both<T, U>(
    (first, mut ask_first): (&mut Service, impl FnMut() -> Result<Option<T>>),
    (second, mut ask_second): (&mut Service, impl FnMut() -> Result<Option<U>>),
) -> Result<(T, U)> {
    let (mut one, mut other) = (None, None);
    loop {
        if one.is_none() {
            one = first.poll_ready(&mut ask_first)?;
        }
        if other.is_none() {
            other = second.poll_ready(&mut ask_second)?;
        }
        match (one, other) {
            (Some(one), Some(other)) => return Ok((one, other)),
            unfinished => (one, other) = unfinished,
        }
        interrupt::tick()?;
    }
}

/// Memory a process holds, as Linux counts it.
fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}
