//! Other programs run to their end: watched for Ctrl-C, never left behind.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::interrupt;
use crate::say;

/// Lines of a failed program's output that are worth repeating.
const TAIL_LINES: usize = 12;

/// Everything a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// A running program whose whole process group ends with this value.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
            // A group that is gone already is as good as killed.
            if group.is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok()) {
                drop(self.0.wait());
            }
        }
    }
}

/// Runs a program in view of the person; an unsuccessful end is an error.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = watch(command)?;
    if !status.success() {
        bail!("run `{}`: {}", words(command), ending(status));
    }
    Ok(())
}

/// Runs a program in view of the person and tells how it ended.
pub(crate) fn watch(command: &mut Command) -> Result<ExitStatus> {
    interrupt::listen()?;
    let mut child = Watched(spawn(command)?);
    wait(&mut child)
}

/// Runs a program out of sight; an unsuccessful end is an error with the last of what it said.
pub(crate) fn quiet(command: &mut Command) -> Result<String> {
    let ended = capture(command)?;
    if !ended.status.success() {
        let said = if ended.errors.trim().is_empty() { &ended.output } else { &ended.errors };
        bail!("run `{}`: {}: {}", words(command), ending(ended.status), tail(said));
    }
    Ok(ended.output)
}

/// Runs a program out of sight and gives back all it said, successful or not.
pub(crate) fn capture(command: &mut Command) -> Result<Ended> {
    interrupt::listen()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Watched(spawn(command)?);
    let output = collect(child.0.stdout.take());
    let errors = collect(child.0.stderr.take());
    let status = wait(&mut child)?;
    Ok(Ended { status, output: joined(output), errors: joined(errors) })
}

/// Runs a program in view of the person and keeps its standard output too.
pub(crate) fn tee(command: &mut Command) -> Result<Ended> {
    interrupt::listen()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Watched(spawn(command)?);
    let output = child.0.stdout.take().map(|pipe| {
        std::thread::spawn(move || {
            let mut kept = String::new();
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                say::line(&line);
                kept.push_str(&line);
                kept.push('\n');
            }
            kept
        })
    });
    let status = wait(&mut child)?;
    Ok(Ended { status, output: joined(output), errors: String::new() })
}

/// The last lines of a text, on one line, for an error message.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ")
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .process_group(0)
        .spawn()
        .with_context(|| format!("start `{}`", command.get_program().display()))
}

fn wait(child: &mut Watched) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.0.try_wait().context("wait for a program")? {
            return Ok(status);
        }
        interrupt::tick()?;
    }
}

type Collected = std::thread::JoinHandle<String>;

fn collect(pipe: Option<impl Read + Send + 'static>) -> Option<Collected> {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read before a broken pipe is still worth having.
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

fn joined(thread: Option<Collected>) -> String {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn words(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).display().to_string();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn ending(status: ExitStatus) -> String {
    status.code().map_or_else(|| "killed".to_owned(), |code| format!("it ended with {code}"))
}

#[cfg(test)]
mod tests {
    use super::{quiet, tail};
    use std::process::Command;

    #[test]
    fn a_failure_repeats_what_the_program_said() {
        let error = quiet(Command::new("sh").args(["-c", "echo no disk >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("ended with 3") && text.contains("no disk"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = quiet(&mut Command::new("no-such-program-anywhere")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-anywhere"));
    }

    #[test]
    fn the_tail_keeps_the_last_lines_only() {
        let text = (0..40).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let kept = tail(&text);
        assert!(kept.ends_with("line 39") && kept.starts_with("line 28"), "{kept}");
    }
}
