//! One service as an operating-system process: started, paused, killed, started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::wait::{LOOK_EVERY, PATIENCE, until, until_within};

/// The variable that names the folder of the built services; `cargo xtask test` sets it.
const BINARIES_VARIABLE: &str = "KOTONOHA_BIN_DIR";

/// A service's process and what it is started with.
pub struct Service {
    name: &'static str,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    address: Option<String>,
    http: reqwest::Client,
}

impl Service {
    /// A service that is not started yet. Its files (ready file, log) go into `folder`.
    pub fn new(name: &'static str, folder: &Path, http: reqwest::Client) -> Self {
        let ready_file = folder.join(format!("{name}.ready"));
        let environment = vec![
            ("HEALTH_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("READY_FILE".to_owned(), ready_file.display().to_string()),
            ("LOG_FORMAT".to_owned(), "json".to_owned()),
            ("KOTONOHA_ON_FAULT".to_owned(), "exit".to_owned()),
        ];
        let folder = folder.to_owned();
        Self { name, folder, environment, child: None, address: None, http }
    }

    /// Sets one of its environment variables, from the next start on.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.environment.retain(|(name, _value)| name != key);
        self.environment.push((key.to_owned(), value.into()));
    }

    /// Starts the process and waits until it listens; not until it is ready for work.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "{} runs already", self.name);
        let ready_file = self.folder.join(format!("{}.ready", self.name));
        if ready_file.exists() {
            std::fs::remove_file(&ready_file).context("remove the old ready file")?;
        }
        self.child = Some(self.spawn()?);
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!("{} ended with {status}:\n{}", self.name, self.log()?);
            }
            if let Ok(address) = std::fs::read_to_string(&ready_file)
                && !address.trim().is_empty()
            {
                break address;
            }
            anyhow::ensure!(Instant::now() < deadline, "{} does not listen", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        };
        self.address = Some(address.trim().to_owned());
        Ok(())
    }

    /// Starts the process and waits until it is ready for work: the time from before the process
    /// was made until `/health/ready` answered 200, looked at every millisecond.
    pub async fn start_timed(&mut self) -> anyhow::Result<Duration> {
        anyhow::ensure!(self.child.is_none(), "{} runs already", self.name);
        let ready_file = self.folder.join(format!("{}.ready", self.name));
        if ready_file.exists() {
            std::fs::remove_file(&ready_file).context("remove the old ready file")?;
        }
        let begun = Instant::now();
        self.child = Some(self.spawn()?);
        loop {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{}: {}", self.name, self.log()?);
            if let Ok(address) = std::fs::read_to_string(&ready_file)
                && !address.trim().is_empty()
            {
                self.address = Some(address.trim().to_owned());
                if self.get("/health/ready").await.is_ok_and(|(status, _body)| status == 200) {
                    return Ok(begun.elapsed());
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        Command::new(binary(self.name)?)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.name))
    }

    /// Starts the process and waits until it ends by itself: its exit code and what it said.
    pub async fn run_to_end(&self) -> anyhow::Result<(ExitStatus, String)> {
        self.command(&[]).await
    }

    /// Gives the program one of its commands, beside the process that runs or without one: its
    /// exit code and what it said.
    pub async fn command(&self, words: &[&str]) -> anyhow::Result<(ExitStatus, String)> {
        let run = Command::new(binary(self.name)?)
            .args(words)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_mins(1), run)
            .await
            .with_context(|| format!("{} did not end by itself", self.name))??;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        child.kill().await.with_context(|| format!("kill {}", self.name))
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().with_context(|| format!("{} does not run", self.name))?;
        let ended = tokio::time::timeout(Duration::from_mins(1), child.wait()).await;
        ended
            .with_context(|| format!("{} does not stop when asked", self.name))?
            .with_context(|| format!("wait for {}", self.name))
    }

    /// Stops its clock (SIGSTOP): it is there, and does nothing.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Service::pause`].
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Asks one of its HTTP pages: the status code and the body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let (status, text) = self.ask(path).await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Asks one of its HTTP pages: the body, to the letter.
    pub async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.ask(path).await?.1)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let address = self.address.as_ref().context("it was never started")?;
        let url = format!("http://{address}{path}");
        let response = self.http.get(&url).timeout(Duration::from_secs(10)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Waits until `/health/ready` answers 200.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let what = format!("{} is ready", self.name);
        let ready = until(&what, || async {
            let answer = self.get("/health/ready").await;
            Ok(answer.ok().filter(|(status, _body)| *status == 200))
        });
        match ready.await {
            Ok(_answer) => Ok(()),
            Err(error) => {
                let health = self.get("/health").await;
                Err(error.context(format!("health: {health:?}\nlog:\n{}", self.log()?)))
            }
        }
    }

    /// Waits until `/health` satisfies `wanted`, for at most `patience`.
    pub async fn health(
        &self,
        patience: Duration,
        what: &str,
        wanted: impl Fn(u16, &Value) -> bool,
    ) -> anyhow::Result<Value> {
        let outcome = until_within(patience, what, || async {
            let answer = self.get("/health").await;
            Ok(answer.ok().filter(|(status, body)| wanted(*status, body)).map(|(_, body)| body))
        });
        match outcome.await {
            Ok(body) => Ok(body),
            Err(error) => {
                let health = self.get("/health").await;
                Err(error.context(format!("health: {health:?}\nlog:\n{}", self.log()?)))
            }
        }
    }

    /// All that it logged since the story began.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.log_path()).context("read the log")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }
}

/// The path of a built service.
fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = binaries()?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not built; run the stories by `cargo xtask test`, or first \
         `cargo build --workspace --bins`",
        path.display()
    );
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "tests find the services by a variable")]
fn binaries() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(BINARIES_VARIABLE) {
        return Ok(folder.into());
    }
    // A test binary stands in `<target>/<profile>/deps`, the services one folder above.
    let own = std::env::current_exe().context("find the test's own path")?;
    let folder = own.parent().and_then(Path::parent).context("find the build folder")?;
    Ok(folder.to_owned())
}
