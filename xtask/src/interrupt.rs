//! Ctrl-C and SIGTERM as a flag that every wait looks at, and the leash that ends our children.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::fault::Interrupted;

/// How long one wait sleeps before it looks around again.
pub(crate) const TICK: Duration = Duration::from_millis(5);

static REQUESTS: AtomicUsize = AtomicUsize::new(0);
static LISTENING: OnceLock<()> = OnceLock::new();

/// Turns SIGINT, SIGTERM and SIGHUP into a flag from now on, instead of sudden death.
pub(crate) fn listen() -> Result<()> {
    if LISTENING.set(()).is_err() {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listen for Ctrl-C")?;
    std::thread::spawn(move || {
        for _signal in signals.forever() {
            REQUESTS.fetch_add(1, Ordering::SeqCst);
        }
    });
    Ok(())
}

/// How often the person asked us to stop: once is a wish, twice is impatience.
pub(crate) fn requests() -> usize {
    REQUESTS.load(Ordering::SeqCst)
}

/// Ends the chore here when the person asked for it.
pub(crate) fn check() -> Result<()> {
    if requests() > 0 {
        return Err(Interrupted.into());
    }
    Ok(())
}

/// Sleeps one tick and then ends the chore when the person asked for it.
pub(crate) fn tick() -> Result<()> {
    std::thread::sleep(TICK);
    check()
}

/// A command that must not outlive us, even when we are killed.
///
/// The death signal has to be asked for by the child itself, so the child is first this program,
/// which asks and then becomes the command (the setting survives `exec`).
#[derive(Debug, clap::Args)]
pub(crate) struct Leash {
    /// Process id that must still be our parent.
    #[arg(long)]
    holder: u32,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

impl Leash {
    /// Builds the command line that runs `program` on a leash held by this process.
    pub(crate) fn command(program: &std::path::Path) -> Result<Command> {
        // Linux names the running program even after a build has replaced its file.
        let own = if cfg!(target_os = "linux") {
            std::path::PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().context("find this program's own file")?
        };
        let mut command = Command::new(own);
        command
            .args(["leash", "--holder", &std::process::id().to_string(), "--"])
            .arg(program)
            // Away from the terminal's Ctrl-C: we stop our children ourselves, in order.
            .process_group(0);
        Ok(command)
    }

    /// Replaces this process by the command.
    pub(crate) fn become_command(self) -> Result<()> {
        die_with_parent().context("ask for the signal of the parent's death")?;
        let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
        if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(self.holder) {
            bail!("start {}: the program that asked for it is gone", self.command[0].display());
        }
        let error = Command::new(&self.command[0]).args(&self.command[1..]).exec();
        Err(error).with_context(|| format!("start {}", self.command[0].display()))
    }
}

#[cfg(target_os = "linux")]
fn die_with_parent() -> Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> Result<()> {
    // No such signal here: children end on every path on which we still run, but not on SIGKILL.
    Ok(())
}
