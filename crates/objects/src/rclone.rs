//! Any place that rclone reaches as a target: one short-lived process a request.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use crate::content::{Chunks, Content, Pulse};
use crate::fault::{FaultKind, Trouble};
use crate::location::RclonePlace;
use crate::object::Object;
use crate::side::{Answer, PART, Side};
use crate::target::Settings;

const CHUNK: usize = 256 * 1024;
/// How much of what rclone says about a failure is kept.
const WORDS_LIMIT: usize = 4096;
/// Some stores take nothing before they have everything; rclone then sends a whole object after
/// the last byte was handed to it. It gets the time this pace needs.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 * 1024;
/// rclone's exit codes for a folder and for an object that is not there.
const NOT_THERE: [i32; 2] = [3, 4];

/// Objects are files below a path of one of rclone's remotes.
///
/// rclone's `rcat`, `cat`, `lsjson`, `moveto` and `deletefile` are all it takes; what each kind of
/// store needs is rclone's business, and the account and its secrets stand in rclone's own file.
pub(crate) struct Rclone {
    program: PathBuf,
    config: Option<PathBuf>,
    remote: String,
    stall: Duration,
}

impl Rclone {
    pub(crate) fn new(place: &RclonePlace, settings: &Settings) -> Self {
        Self {
            program: settings.rclone.program.clone(),
            config: settings.rclone.config.clone(),
            remote: place.remote.clone(),
            stall: settings.patience.stall,
        }
    }

    fn at(&self, path: &str) -> String {
        if path.is_empty() || self.remote.ends_with([':', '/']) {
            return format!("{}{path}", self.remote);
        }
        format!("{}/{path}", self.remote)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--ask-password=false", "--log-level", "ERROR"]);
        // Trying again is the target's affair, so that it is the same for every kind.
        command.args(["--retries", "1", "--low-level-retries", "2", "--contimeout", "10s"]);
        command.arg("--timeout").arg(format!("{}s", self.stall.as_secs().max(1)));
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        // A request that is given up ends its process.
        command.kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn start(&self, command: &mut Command) -> Result<Running, Trouble> {
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let words = child.stderr.take().map(|stderr| tokio::spawn(words(stderr)));
        Ok(Running { child, words })
    }

    fn not_started(&self, error: &io::Error) -> Trouble {
        let text = format!(
            "the program {} cannot be run ({error}): use the image that holds rclone, or name the \
             program",
            self.program.display()
        );
        Trouble::new(FaultKind::Unfit, text)
    }

    /// Runs a request to its end and gives what it printed.
    async fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, Trouble> {
        let mut command = self.command(arguments);
        let mut running = self.start(command.stdout(Stdio::piped()))?;
        let mut printed = Vec::new();
        if let Some(mut stdout) = running.child.stdout.take() {
            stdout.read_to_end(&mut printed).await.map_err(|error| pipe(&error))?;
        }
        running.end().await?;
        Ok(printed)
    }

    async fn upload(&self, path: &str, content: &Content) -> Result<(), Trouble> {
        let part = self.at(&format!("{path}{PART}"));
        let mut command = self.command(&["rcat", &part, "--size", &content.length.to_string()]);
        let mut running = self.start(command.stdin(Stdio::piped()))?;
        let fed = feed(&mut running.child, content).await;
        let limit = Duration::from_secs(content.length / SLOWEST_BYTES_PER_SECOND);
        let ended = beating(&content.pulse, limit, running.end()).await;
        match (fed, ended) {
            // Content of ours that failed is the cause; a pipe that broke is its consequence.
            (Err(trouble), _) if trouble.kind != FaultKind::Unreachable => return Err(trouble),
            (_, Err(trouble)) | (Err(trouble), Ok(())) => return Err(trouble),
            (Ok(()), Ok(())) => {}
        }
        let there = self.look(&format!("{path}{PART}")).await?;
        if there.size != content.length {
            let text = format!("{} bytes were sent and {} are there", content.length, there.size);
            return Err(Trouble::new(FaultKind::Changed, text));
        }
        content.pulse.beat();
        self.ask(&["moveto", &part, &self.at(path)]).await.map(drop)
    }

    async fn look(&self, path: &str) -> Result<Object, Trouble> {
        let printed = self.ask(&["lsjson", "--stat", "--no-mimetype", &self.at(path)]).await?;
        let entry: Entry = parse(&printed)?;
        if entry.is_dir {
            return Err(Trouble::new(FaultKind::NotFound, "it is a folder"));
        }
        Ok(Object { path: path.to_owned(), ..entry.object("")? })
    }

    async fn entries(&self, prefix: &str) -> Result<Vec<Object>, Trouble> {
        let at = self.at(prefix.trim_end_matches('/'));
        let listing = ["lsjson", "--recursive", "--files-only", "--no-mimetype", &at];
        let printed = match self.ask(&listing).await {
            Err(trouble) if trouble.kind == FaultKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let entries: Vec<Entry> = parse(&printed)?;
        entries
            .iter()
            .filter(|entry| !entry.path.ends_with(PART))
            .map(|entry| entry.object(prefix))
            .collect()
    }

    async fn begin(&self, path: &str, range: Option<Range<u64>>) -> Result<Chunks, Trouble> {
        // An object that is not there is printed as nothing by some stores.
        let size = self.look(path).await?.size;
        let range = range.map_or(0..size, |range| range.start.min(size)..range.end.min(size));
        let (offset, count) = (range.start.to_string(), (range.end - range.start).to_string());
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let arguments = ["cat", &self.at(path), "--offset", &offset, "--count", &count];
        let running = self.start(self.command(&arguments).stdout(Stdio::piped()))?;
        Ok(stream::try_unfold(Some(running), |running| async move {
            let Some(mut running) = running else { return Ok(None) };
            let mut piece = BytesMut::with_capacity(CHUNK);
            if let Some(stdout) = running.child.stdout.as_mut() {
                stdout.read_buf(&mut piece).await.map_err(|error| pipe(&error))?;
            }
            if piece.is_empty() {
                running.end().await?;
                return Ok(None);
            }
            Ok(Some((piece.freeze(), Some(running))))
        })
        .boxed())
    }
}

impl Side for Rclone {
    fn put<'a>(&'a self, path: &'a str, content: &'a Content) -> Answer<'a, ()> {
        self.upload(path, content).boxed()
    }

    fn read<'a>(&'a self, path: &'a str, range: Option<Range<u64>>) -> Answer<'a, Chunks> {
        self.begin(path, range).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        self.entries(prefix).boxed()
    }

    fn stat<'a>(&'a self, path: &'a str) -> Answer<'a, Object> {
        self.look(path).boxed()
    }

    fn delete<'a>(&'a self, path: &'a str) -> Answer<'a, ()> {
        async move { self.ask(&["deletefile", &self.at(path)]).await.map(drop) }.boxed()
    }
}

/// A process under way.
struct Running {
    child: Child,
    words: Option<JoinHandle<String>>,
}

impl Running {
    /// Waits for its end, and tells what it said if it failed.
    async fn end(mut self) -> Result<(), Trouble> {
        let status = self.child.wait().await.map_err(|error| pipe(&error))?;
        let words = match self.words.take() {
            Some(words) => words.await.unwrap_or_default(),
            None => String::new(),
        };
        if status.success() { Ok(()) } else { Err(failed(status, &words)) }
    }
}

async fn feed(child: &mut Child, content: &Content) -> Result<(), Trouble> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    let mut pieces = content.open().await?;
    while let Some(piece) = pieces.try_next().await? {
        stdin.write_all(&piece).await.map_err(|error| pipe(&error))?;
    }
    stdin.shutdown().await.map_err(|error| pipe(&error))
}

/// Does the work, and keeps the pulse beating for as long as the work may need.
async fn beating<T>(pulse: &Pulse, limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let since = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_millis(500), &mut work).await {
            Ok(done) => return done,
            Err(_) if since.elapsed() < limit => pulse.beat(),
            Err(_) => {}
        }
    }
}

/// What rclone says, as far as it is kept; read to its end, so that rclone never waits for us.
async fn words(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        let room = WORDS_LIMIT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Sorts rclone's words into our classes. Its exit codes tell little (rclone.org/docs, "Exit code").
fn failed(status: ExitStatus, words: &str) -> Trouble {
    const CLASSES: [(FaultKind, &[&str]); 4] = [
        (
            FaultKind::Unfit,
            &["didn't find section in config", "unknown flag", "unknown command", "config file"],
        ),
        (
            FaultKind::NoRoom,
            &[
                "no space left",
                "quota",
                "insufficient storage",
                "insufficientstorage",
                "cap exceeded",
            ],
        ),
        (
            FaultKind::Refused,
            &[
                "error 401",
                "error 403",
                "unauthorized",
                "forbidden",
                "denied",
                "invalid_grant",
                "certificate",
            ],
        ),
        (
            FaultKind::NotFound,
            &["object not found", "directory not found", "file not found", "or doesn't exist"],
        ),
    ];
    let code = status.code();
    let lower = words.to_lowercase();
    let kind = CLASSES
        .iter()
        .find(|(_, words)| words.iter().any(|word| lower.contains(word)))
        .map(|(kind, _)| *kind);
    let kind = match kind {
        Some(kind) => kind,
        None if code.is_some_and(|code| NOT_THERE.contains(&code)) => FaultKind::NotFound,
        None => FaultKind::Unreachable,
    };
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no words");
    Trouble::new(kind, format!("rclone ended with {status}: {last}"))
}

fn pipe(error: &io::Error) -> Trouble {
    Trouble::new(FaultKind::Unreachable, format!("the line to rclone: {error}"))
}

fn parse<'a, T: Deserialize<'a>>(printed: &'a [u8]) -> Result<T, Trouble> {
    serde_json::from_slice(printed)
        .map_err(|error| Trouble::new(FaultKind::Unfit, format!("rclone's listing: {error}")))
}

/// One entry of `rclone lsjson`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    path: String,
    size: i64,
    #[serde(default)]
    mod_time: String,
    #[serde(default)]
    is_dir: bool,
}

impl Entry {
    fn object(&self, prefix: &str) -> Result<Object, Trouble> {
        // Stores that transform what they hold do not know sizes; nothing could be proven there.
        let size = u64::try_from(self.size).map_err(|error| {
            let text = format!("it does not tell the size of {}: {error}", self.path);
            Trouble::new(FaultKind::Unfit, text)
        })?;
        let modified: Result<jiff::Timestamp, _> = self.mod_time.parse();
        let modified_ms = modified.ok().map(jiff::Timestamp::as_millisecond);
        Ok(Object { path: format!("{prefix}{}", self.path), size, modified_ms })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn kind(code: i32, words: &str) -> FaultKind {
        failed(ExitStatus::from_raw(code << 8), words).kind
    }

    #[test]
    fn what_rclone_says_is_sorted() {
        assert_eq!(kind(3, "ERROR : error listing: directory not found"), FaultKind::NotFound);
        assert_eq!(kind(1, "Failed to rcat: write: no space left on device"), FaultKind::NoRoom);
        assert_eq!(kind(1, "googleapi: Error 403: storageQuotaExceeded"), FaultKind::NoRoom);
        assert_eq!(kind(1, "oauth2: \"invalid_grant\" token expired"), FaultKind::Refused);
        assert_eq!(kind(1, "didn't find section in config file"), FaultKind::Unfit);
        assert_eq!(kind(1, "dial tcp 127.0.0.1:1: connection refused"), FaultKind::Unreachable);
        assert_eq!(kind(1, "far:x/y.ltx is a directory or doesn't exist"), FaultKind::NotFound);
        assert_eq!(kind(1, "0000000000000403.ltx: reset by peer"), FaultKind::Unreachable);
        assert_eq!(kind(4, ""), FaultKind::NotFound);
    }
}
