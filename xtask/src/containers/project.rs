//! A Compose project in a folder: its files, its profile, its containers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::docker::Docker;
use crate::external;
use crate::interrupt;
use crate::say;

/// The name of the project, as the files say it.
const NAME: &str = "kotonoha";
/// How long containers may take to be well again after a blow; Docker waits longer between
/// starts each time one dies, and looks at a NAS's containers every quarter minute.
const WELL_WITHIN: Duration = Duration::from_mins(2);
/// How long `up --wait` may take, in seconds.
const UP_SECONDS: &str = "120";

/// One project. Dropping it takes it down.
#[derive(Debug)]
pub(super) struct Project {
    docker: Docker,
    folder: PathBuf,
    files: Vec<PathBuf>,
    profile: Option<&'static str>,
    environment: Vec<(&'static str, String)>,
    started: bool,
}

/// A container as the engine describes it.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// Its Compose service.
    pub(super) service: String,
    /// Everything `docker inspect` says.
    pub(super) facts: Value,
}

impl Container {
    pub(super) fn is_running(&self) -> bool {
        self.facts["State"]["Running"] == true
    }

    /// The main process as this machine counts it, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        let pid = self.facts["State"]["Pid"].as_u64().filter(|_| self.is_running())?;
        u32::try_from(pid).ok().filter(|pid| *pid > 0)
    }

    /// What its own health check says; empty when it has none.
    pub(super) fn health(&self) -> &str {
        self.facts["State"]["Health"]["Status"].as_str().unwrap_or_default()
    }

    /// Whether it runs and is healthy, or did its one task and ended well.
    pub(super) fn is_well(&self) -> bool {
        if self.is_errand() {
            return !self.is_running() && self.facts["State"]["ExitCode"] == 0;
        }
        self.is_running() && self.health() == "healthy"
    }

    /// Whether it runs once and ends.
    pub(super) fn is_errand(&self) -> bool {
        self.facts["HostConfig"]["RestartPolicy"]["Name"] == "no"
    }

    /// Its address in the network whose name ends so.
    pub(super) fn address(&self, network: &str) -> Result<String> {
        let networks = self.facts["NetworkSettings"]["Networks"].as_object();
        let found = networks.into_iter().flatten().find(|(name, _)| name.ends_with(network));
        let address = found.and_then(|(_, facts)| facts["IPAddress"].as_str());
        let address = address.filter(|address| !address.is_empty());
        Ok(address.with_context(|| format!("find {} in {network}", self.service))?.to_owned())
    }
}

impl Project {
    /// These files with their folders below `folder`.
    pub(super) fn over(
        docker: &Docker,
        folder: &Path,
        files: Vec<PathBuf>,
        profile: &'static str,
    ) -> Self {
        let mut project = Self::inside(docker, folder);
        project.files = files;
        project.profile = Some(profile);
        project
    }

    /// What stands in the folder, as somebody would start it there.
    pub(super) fn inside(docker: &Docker, folder: &Path) -> Self {
        Self {
            docker: docker.clone(),
            folder: folder.to_owned(),
            files: Vec::new(),
            profile: None,
            environment: Vec::new(),
            started: false,
        }
    }

    /// Sets a variable of Compose's own surroundings.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_owned()));
    }

    /// Runs `docker compose` with these words and gives what it printed.
    pub(super) fn compose(&self, words: &[&str]) -> Result<String> {
        external::quiet(&mut self.command(words))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.docker.command();
        command.current_dir(&self.folder).arg("compose").arg("--project-directory");
        command.arg(&self.folder);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        if let Some(profile) = self.profile {
            command.args(["--profile", profile]);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(words);
        command
    }

    /// Starts these services, or all of them, and waits until each is healthy.
    pub(super) fn up(&mut self, services: &[&str]) -> Result<()> {
        self.started = true;
        let mut words = vec!["up", "--detach", "--wait", "--wait-timeout", UP_SECONDS];
        words.extend(services);
        let started = self.compose(&words);
        started.map(drop).or_else(|error| bail!("{error:#}\n{}", self.last_words()))
    }

    /// Stops and removes the containers and networks; the folders stay. Also after Ctrl-C, which
    /// ends every wait of `external` and must not end this one.
    pub(super) fn down(&mut self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        self.started = false;
        let mut command = self.command(&["down", "--timeout", "20", "--remove-orphans"]);
        let ended = command.process_group(0).output().context("take the project down")?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "take the project down: {}", external::tail(&said));
        Ok(())
    }

    /// Every container, those that ended included.
    pub(super) fn containers(&self) -> Result<Vec<Container>> {
        let label = format!("label=com.docker.compose.project={NAME}");
        let ids = self.docker.ask(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut words = vec!["container", "inspect"];
        words.extend(&ids);
        let list: Value = serde_json::from_str(&self.docker.ask(&words)?)
            .context("read what docker inspect says")?;
        let service = |facts: &Value| {
            facts["Config"]["Labels"]["com.docker.compose.service"].as_str().map(str::to_owned)
        };
        let facts = list.as_array().into_iter().flatten();
        Ok(facts
            .filter_map(|facts| Some(Container { service: service(facts)?, facts: facts.clone() }))
            .collect())
    }

    /// The container of one service.
    pub(super) fn container(&self, service: &str) -> Result<Container> {
        let all = self.containers()?;
        let found = all.into_iter().find(|container| container.service == service);
        found.with_context(|| format!("find the container of {service}"))
    }

    /// Waits until every container is well again.
    pub(super) fn wait_until_well(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            // While the engine itself is coming back there is nothing to look at.
            let all = self.containers().unwrap_or_default();
            if !all.is_empty() && all.iter().all(Container::is_well) {
                return Ok(());
            }
            if started.elapsed() > WELL_WITHIN {
                let states: Vec<String> = all
                    .iter()
                    .filter(|container| !container.is_well())
                    .map(|it| format!("{} {}", it.service, it.facts["State"]))
                    .collect();
                bail!("see everything well: {}\n{}", states.join("; "), self.last_words());
            }
            pause(Duration::from_millis(300))?;
        }
    }

    /// Ends a container's main process as the kernel would for want of memory.
    pub(super) fn kill(&self, service: &str) -> Result<()> {
        let pid = self.container(service)?.pid().with_context(|| format!("see {service} run"))?;
        super::tree::kill(pid)?;
        let started = Instant::now();
        while self.container(service)?.pid().is_none_or(|now| now == pid) {
            ensure!(started.elapsed() < WELL_WITHIN, "see {service} start again after kill -9");
            pause(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// The end of every log, for a person who has to find out what went wrong.
    pub(super) fn last_words(&self) -> String {
        self.compose(&["logs", "--no-color", "--tail", "8"]).unwrap_or_default()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.started
            && let Err(error) = self.down()
        {
            say::aside(&format!("failed to take the project down: {error:#}"));
        }
    }
}

/// Sleeps, but ends the chore when the person asks for it.
pub(super) fn pause(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::tick()?;
    }
    Ok(())
}
