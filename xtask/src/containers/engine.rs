//! The Docker engine that is checked on: the machine's own, or one that we start and take away again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::plugins;
use super::tree;
use crate::debian;
use crate::docker::Docker;
use crate::interrupt;
use crate::process::Service;
use crate::say;
use crate::suite;
use crate::surroundings;

/// What Debian calls the engine, and what it needs for networks.
const PACKAGES: [&str; 2] = ["docker.io", "iptables"];
/// How long a killed process may still be seen.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// An engine, and what is needed to end it when it is ours.
#[derive(Debug)]
pub(super) struct Engine {
    docker: Docker,
    own: Option<Own>,
}

/// An engine of our own, beside nothing else: it is only started where none answers.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    /// Socket and run state; short, as a socket's path may not be long.
    run: PathBuf,
    /// Images and containers.
    data: PathBuf,
    log: PathBuf,
    service: Service,
}

impl Engine {
    /// The engine that answers, or one that is installed and started where we may do so.
    pub(super) fn provide() -> Result<Option<Self>> {
        let mut engine = match Docker::found() {
            Some(docker) => {
                let theirs =
                    docker.ask(&["ps", "--all", "--quiet", "--filter", "name=kotonoha-"])?;
                ensure!(
                    theirs.is_empty(),
                    "check beside a Kotonoha that is there already: take it down first, or use \
                     another machine"
                );
                Self { docker, own: None }
            }
            None => match Own::start()? {
                Some(own) => Self { docker: Docker::at(&own.socket()), own: Some(own) },
                None => return Ok(None),
            },
        };
        match plugins::provide(&engine.docker) {
            Ok(docker) => engine.docker = docker,
            Err(error) => {
                engine.stop()?;
                return Err(error);
            }
        }
        Ok(Some(engine))
    }

    /// How to speak to it.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Whether it is ours to kill.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Kills engine, containerd, shims and every container's process, as a power cut would, and
    /// starts the engine again.
    pub(super) fn cut_power(&mut self) -> Result<()> {
        let own = self.own.as_mut().context("cut the power of an engine of our own")?;
        own.kill_all()?;
        // What stands below /run is in memory on a real machine and gone with the power; containerd
        // would else wait for shims that are dead.
        remove(&own.run.join("run"))?;
        own.service = own.serve()?;
        own.wait_until_up(&self.docker)
    }

    /// Ends an engine of our own and removes what it kept; leaves another one alone.
    pub(super) fn stop(&mut self) -> Result<()> {
        let Some(mut own) = self.own.take() else { return Ok(()) };
        own.service.stop();
        own.kill_all()?;
        for folder in [&own.data, &own.run] {
            remove(folder)?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            say::aside(&format!("failed to end the Docker engine: {error:#}"));
        }
    }
}

impl Own {
    fn start() -> Result<Option<Self>> {
        if !surroundings::is_root() || !cfg!(target_os = "linux") {
            return Ok(None);
        }
        let there = || {
            let engine = surroundings::find_on_path("dockerd");
            engine.filter(|_| surroundings::find_on_path("docker").is_some())
        };
        if there().is_none()
            && debian::can_install()
            && let Err(error) = debian::install(&PACKAGES)
        {
            interrupt::check()?;
            say::aside(&format!("going on without a Docker engine: {error:#}"));
        }
        let Some(program) = there() else { return Ok(None) };
        let run = std::env::temp_dir().join(format!("kotonoha-engine-{}", std::process::id()));
        let data = suite::target_folder(&surroundings::workspace()?)?.join("engine");
        remove(&data)?;
        for folder in [&run, &data] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("make {}", folder.display()))?;
        }
        let log = run.join("dockerd.log");
        say::aside("starting a Docker engine of our own");
        let service = serve(&program, &run, &data, &log)?;
        let mut own = Self { program, run, data, log, service };
        let docker = Docker::at(&own.socket());
        if let Err(error) = own.wait_until_up(&docker) {
            own.kill_all()?;
            for folder in [&own.data, &own.run] {
                remove(folder)?;
            }
            interrupt::check()?;
            // Where the kernel lends no rights (a container without privileges), there is none.
            say::aside(&format!("going on without a Docker engine: {error:#}"));
            return Ok(None);
        }
        Ok(Some(own))
    }

    fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    fn serve(&self) -> Result<Service> {
        serve(&self.program, &self.run, &self.data, &self.log)
    }

    fn wait_until_up(&mut self, docker: &Docker) -> Result<()> {
        self.service.wait_until_ready(|| Ok(docker.answers().then_some(())))
    }

    fn kill_all(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let left = tree::around(&self.run)?;
            if left.is_empty() {
                return Ok(());
            }
            for pid in left {
                tree::kill(pid)?;
            }
            if started.elapsed() > GONE_WITHIN {
                bail!("see the engine's processes end after kill -9");
            }
            // Goes on after Ctrl-C: this is what cleans up then.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(program: &Path, run: &Path, data: &Path, log: &Path) -> Result<Service> {
    // A killed engine leaves the number of its process, and would not start beside it.
    remove_file(&run.join("docker.pid"))?;
    Service::start("dockerd", program, log.to_owned(), |command| {
        command.arg("--data-root").arg(data).arg("--exec-root").arg(run.join("run"));
        command.arg("--host").arg(format!("unix://{}", run.join("docker.sock").display()));
        command.arg("--pidfile").arg(run.join("docker.pid"));
        // Compose makes networks of its own; without this one nothing is left behind.
        command.args(["--bridge", "none"]);
    })
}

fn remove(folder: &Path) -> Result<()> {
    unmount_below(folder);
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn remove_file(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// A killed engine leaves its mounts, deepest last in the list.
fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places: Vec<&str> =
        mounts.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for place in places.iter().rev().filter(|place| Path::new(place).starts_with(folder)) {
        // What is still busy shows when the folder is removed.
        drop(std::process::Command::new("umount").args(["--lazy", place]).status());
    }
}
