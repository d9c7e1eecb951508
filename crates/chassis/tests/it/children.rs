//! The specimen service as a child process, with its log, its answers and its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at something that has no event to wait for.
const POLL: Duration = Duration::from_millis(5);
pub(crate) const TOKEN: &str = "specimen-secret-value";

/// The specimen's program, which cargo builds beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples/specimen");
    assert!(path.exists(), "{} is missing: build it with `cargo build --examples`", path.display());
    path
}

/// A specimen about to be started, with nothing in its environment but what is set here.
pub(crate) struct Specimen {
    command: Command,
    pub(crate) folder: TempDir,
}

impl Specimen {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("HEALTH_LISTEN", "127.0.0.1:0")
            .env("READY_FILE", folder.path().join("ready"))
            .env("KOTONOHA_ON_FAULT", "exit")
            .env("SPECIMEN_TOKEN", TOKEN)
            .stdin(Stdio::null());
        Self { command, folder }
    }

    pub(crate) fn conduct(self, conduct: &str) -> Self {
        self.set("SPECIMEN_CONDUCT", conduct)
    }

    pub(crate) fn set(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it as another user, whom the folder is given to; only root can.
    pub(crate) fn user(mut self, uid: u32) -> Self {
        std::os::unix::fs::chown(self.folder.path(), Some(uid), Some(uid)).unwrap();
        self.command.uid(uid).gid(uid);
        self
    }

    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready")
    }

    /// Runs to the end by itself.
    pub(crate) fn output(self) -> Output {
        self.output_and_keep().0
    }

    /// Runs to the end by itself; the folder lives on.
    pub(crate) fn output_and_keep(mut self) -> (Output, TempDir) {
        (self.command.output().unwrap(), self.folder)
    }

    /// Starts, and waits until the listener stands.
    pub(crate) fn start(self) -> Running {
        self.launch().wait_until_ready()
    }

    /// Starts without waiting; the address is not known yet.
    pub(crate) fn launch(mut self) -> Running {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Running { child, lines, seen: Vec::new(), address, folder: self.folder }
    }
}

/// A specimen that was started.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
}

impl Running {
    /// Waits until the ready file tells the address.
    pub(crate) fn wait_until_ready(mut self) -> Self {
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(self.folder.path().join("ready")) {
                // Written atomically: what is there is whole.
                self.address = text.parse().unwrap();
                return self;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the specimen ended with {status} before it was ready");
            }
            assert!(begun.elapsed() < PATIENCE, "the specimen was not ready in time");
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for a log line that holds `part` and gives it.
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no log line with {part:?} in {:#?}", self.seen)
                }
            }
        }
    }

    /// How many of the lines looked at so far hold `part`.
    pub(crate) fn seen_with(&self, part: &str) -> usize {
        self.seen.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits for the end: the exit code, every log line, and standard error.
    pub(crate) fn end(self) -> End {
        self.end_and_keep().0
    }

    /// Waits for the end; the folder lives on.
    pub(crate) fn end_and_keep(mut self) -> (End, TempDir) {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) =
            self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the specimen did not end: {:#?}", self.seen);
            std::thread::sleep(POLL);
        };
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let lines = std::mem::take(&mut self.seen);
        let empty = tempfile::tempdir().unwrap();
        let folder = std::mem::replace(&mut self.folder, empty);
        (End { code: status.code(), lines, stderr }, folder)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        request(self.address, "GET", path)
    }

    pub(crate) fn get_json(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.get(path);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Asks until `path` answers `status`.
    pub(crate) fn wait_for(&self, path: &str, status: u16) -> String {
        let begun = Instant::now();
        loop {
            let (got, body) = self.get(path);
            if got == status {
                return body;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} still answers {got} {body}");
            std::thread::sleep(POLL);
        }
    }
}

impl Running {
    /// Asks until the answer of `path` holds `part`, whatever its status.
    pub(crate) fn wait_for_text(&self, path: &str, part: &str) {
        let begun = Instant::now();
        loop {
            let (_, body) = self.get(path);
            if body.contains(part) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} still answers {body}");
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half way leaves no process behind; one that ended is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a specimen ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
}

impl End {
    pub(crate) fn lines_with(&self, part: &str) -> usize {
        self.lines.iter().filter(|line| line.contains(part)).count()
    }
}

/// Sends one request over a plain socket: status and body of the answer.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
