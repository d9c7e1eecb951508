//! `cargo xtask ship <step>`: images on their way from this machine to an environment, always by digest.
//!
//! A tag is a pointer that people read; what is written down and run is a digest.

pub(crate) mod registry;
pub(crate) mod released;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;

use crate::external;
use crate::say;
use registry::Image;
use released::Released;

/// The steps, in the order in which a deployment takes them.
#[derive(Debug, Subcommand)]
pub(crate) enum Step {
    /// Start every program once in its own image, without network or rights.
    Start,
    /// Look for known holes in every image; one that has a remedy and is high or worse fails.
    Scan {
        /// The scanner: grype, or what takes the same arguments.
        #[arg(long)]
        with: PathBuf,
    },
    /// Push this machine's images, and write down their digests.
    Push {
        /// Where images are kept: host/owner.
        #[arg(long)]
        to: String,
        /// The tag of this commit and architecture.
        #[arg(long)]
        tag: String,
        /// The file to write.
        #[arg(long)]
        write: PathBuf,
    },
    /// Make one image for all architectures of each service, and write down their digests.
    Join {
        /// Where images are kept: host/owner.
        #[arg(long)]
        to: String,
        /// The commit, which becomes a tag.
        #[arg(long)]
        commit: String,
        /// The file to write.
        #[arg(long)]
        write: PathBuf,
        /// What the pushes wrote, one file an architecture.
        #[arg(required = true)]
        pushed: Vec<PathBuf>,
    },
    /// Move an environment's tag to what a file says: forward, or back.
    Point {
        /// The tag to move: dev, staging, production, or a version.
        #[arg(long, required = true)]
        name: Vec<String>,
        /// What `join` wrote, or `cargo xtask checklist rollback`.
        file: PathBuf,
    },
}

/// Takes one step.
pub(crate) fn run(step: &Step) -> Result<()> {
    match step {
        Step::Start => start(),
        Step::Scan { with } => scan(with),
        Step::Push { to, tag, write } => push(to, tag).and_then(|pushed| pushed.write(write)),
        Step::Join { to, commit, write, pushed } => {
            let pushed: Vec<Released> =
                pushed.iter().map(|file| Released::read(file)).collect::<Result<_>>()?;
            join(to, commit, &pushed)?.write(write)
        }
        Step::Point { name, file } => point(name, &Released::read(file)?),
    }
}

fn start() -> Result<()> {
    for Image { service, name } in registry::images() {
        let mut run = Command::new("docker");
        run.args(["run", "--rm", "--pull", "never", "--network", "none", "--read-only"]);
        run.args([
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--user",
            "1000:1000",
        ]);
        // The one question that all of them answer, other people's programs too.
        external::quiet(run.args([&name, "--help"]))?;
        say::aside(&format!("start: {service} runs"));
    }
    Ok(())
}

fn scan(scanner: &PathBuf) -> Result<()> {
    let mut holes = Vec::new();
    for Image { service, name } in registry::images() {
        let mut scan = Command::new(scanner);
        scan.args(["--quiet", "--fail-on", "high", "--only-fixed"]).arg(format!("docker:{name}"));
        // Every image is looked at before the first hole ends the run.
        if !external::watch(&mut scan)?.success() {
            holes.push(service);
        }
    }
    ensure!(holes.is_empty(), "scan the images: see above for {}", holes.join(", "));
    Ok(())
}

fn push(to: &str, tag: &str) -> Result<Released> {
    let mut pushed = Released::default();
    for Image { service, name } in registry::images() {
        let repository = format!("{to}/{service}");
        let target = format!("{repository}:{tag}");
        external::quiet(Command::new("docker").args(["tag", &name, &target]))?;
        external::quiet(Command::new("docker").args(["push", "--quiet", &target]))?;
        let digest = registry::digest(&target)?
            .with_context(|| format!("ask the registry for {target}, which was pushed"))?;
        pushed.services.insert(service, format!("{repository}@{digest}"));
    }
    Ok(pushed)
}

fn join(to: &str, commit: &str, pushed: &[Released]) -> Result<Released> {
    let mut joined = Released::default();
    for (service, parts) in by_service(pushed)? {
        let target = format!("{to}/{service}:{commit}");
        let mut create = Command::new("docker");
        create.args(["buildx", "imagetools", "create", "--tag", &target]).args(&parts);
        external::quiet(&mut create)?;
        let digest = registry::digest(&target)?
            .with_context(|| format!("ask the registry for {target}, which was just made"))?;
        joined.services.insert(service.to_owned(), format!("{to}/{service}@{digest}"));
    }
    Ok(joined)
}

/// What was pushed of each service; one that an architecture lacks is a fault.
fn by_service(pushed: &[Released]) -> Result<BTreeMap<&str, Vec<&str>>> {
    let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (service, image) in pushed.iter().flat_map(|it| &it.services) {
        parts.entry(service).or_default().push(image);
    }
    if let Some((service, _)) = parts.iter().find(|(_, images)| images.len() != pushed.len()) {
        bail!("join the architectures: {service} was not pushed for each of them");
    }
    ensure!(!parts.is_empty(), "join the architectures: nothing was pushed");
    Ok(parts)
}

fn point(names: &[String], released: &Released) -> Result<()> {
    // What is written down before a first deployment: nothing to go back to, and no success.
    ensure!(!released.services.is_empty(), "move {}: the file names no image", names.join(", "));
    for (service, image) in &released.services {
        let (repository, digest) = image
            .split_once('@')
            .with_context(|| format!("read {image}: it must be a repository and a digest"))?;
        for name in names {
            let target = format!("{repository}:{name}");
            let mut create = Command::new("docker");
            create.args(["buildx", "imagetools", "create", "--tag", &target, image]);
            external::quiet(&mut create)?;
            let now = registry::digest(&target)?;
            ensure!(
                now.as_deref() == Some(digest),
                "move {target} to {digest}: it is {}",
                now.as_deref().unwrap_or("gone")
            );
            say::aside(&format!("point: {service}:{name} is {digest}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::by_service;
    use super::released::Released;

    fn pushed(services: &[&str], architecture: &str) -> Released {
        let image = |service: &&str| ((*service).to_owned(), format!("r/{service}@{architecture}"));
        Released { services: services.iter().map(image).collect() }
    }

    #[test]
    fn the_architectures_of_each_service_come_together() {
        let both = [pushed(&["gateway", "nats"], "amd64"), pushed(&["gateway", "nats"], "arm64")];
        let parts = by_service(&both).unwrap();
        assert_eq!(parts["gateway"], ["r/gateway@amd64", "r/gateway@arm64"]);
    }

    #[test]
    fn a_service_that_lacks_an_architecture_is_named() {
        let uneven = [pushed(&["gateway", "nats"], "amd64"), pushed(&["gateway"], "arm64")];
        assert!(by_service(&uneven).unwrap_err().to_string().contains("nats"));
        assert!(by_service(&[]).is_err());
    }
}
