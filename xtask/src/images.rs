//! `cargo xtask images`: static binaries, the images around them, and the one archive for a NAS.

mod bundle;
mod compose_file;
mod context;
mod programs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::docker::Docker;
use crate::external;
use crate::fault::Usage;
use crate::say;
use crate::suite;
use crate::surroundings;
pub(crate) use bundle::flat_compose_file;
pub(crate) use compose_file::{ComposeFile, Node};
pub(crate) use programs::{PROGRAMS, Profile};

/// Every image: a target of `deploy/Dockerfile`, and a Compose service.
pub(crate) const IMAGES: [&str; 6] =
    ["gateway", "conversation-worker", "backup-agent", "simulator", "prepare", "nats"];
/// What is not ours may be larger.
const OTHER_PEOPLES: &str = "nats";
/// No image of ours is larger.
const LARGEST_BYTES: u64 = 15_000_000;
/// But the one that speaks to every kind of place where copies may lie.
const WITH_FAR_SIDES: (&str, u64) = ("backup-agent", 24_000_000);
/// What stands before the service in an image's name, unless people say otherwise.
const NAMESPACE: &str = "kotonoha";

/// Build the container images with this machine's own toolchain, without any registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also write all images to this archive, for import by hand (`docker load`).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Build without link-time optimisation: faster to build, larger; what `containers` runs.
    #[arg(long)]
    quick: bool,
    /// Build everything a second time from nothing and compare binaries and layers.
    #[arg(long)]
    verify: bool,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// The build context: the binaries, and everything else images are made of.
    pub(crate) context: PathBuf,
    /// The archive for a NAS.
    pub(crate) bundle: PathBuf,
    /// Name, size in bytes.
    pub(crate) sizes: Vec<(String, u64)>,
}

/// Builds, saves, and says what there is.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let docker = Docker::found().ok_or_else(|| {
        Usage("no Docker engine answers here: start one, or use a machine that has one".to_owned())
    })?;
    let profile = if arguments.quick { Profile::Quick } else { Profile::Small };
    let built = build(&docker, profile)?;
    for (image, bytes) in &built.sizes {
        say::line(&format!("{image:<44} {:>6.2} MB", megabytes(*bytes)));
    }
    say::line(&built.bundle.display().to_string());
    if arguments.verify {
        verify(&docker, profile, &built)?;
        say::line("built twice: the same binaries and the same layers");
    }
    if let Some(file) = &arguments.save {
        let names: Vec<&str> = built.sizes.iter().map(|(name, _)| name.as_str()).collect();
        external::quiet(docker.command().arg("save").arg("--output").arg(file).args(names))?;
        say::line(&file.display().to_string());
    }
    Ok(())
}

/// Builds the binaries, the images and the archive.
pub(crate) fn build(docker: &Docker, profile: Profile) -> Result<Built> {
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("images");
    let programs = programs::build(&workspace, profile, None)?;
    context::fill(&workspace, &programs, &folder.join("context"))?;
    assemble(docker, profile)
}

/// Builds the images and the archive from the programs of an earlier build.
pub(crate) fn assemble(docker: &Docker, profile: Profile) -> Result<Built> {
    let workspace = surroundings::workspace()?;
    let folder = suite::target_folder(&workspace)?.join("images");
    let context = folder.join("context");
    let mut sizes = Vec::new();
    for image in IMAGES {
        let name = image_name(image);
        build_image(docker, &workspace, &context, (image, &name), false)?;
        let bytes = docker.inspect("image", &name)?["Size"].as_u64().context("read its size")?;
        let (with_far_sides, larger) = WITH_FAR_SIDES;
        let largest = if image == with_far_sides { larger } else { LARGEST_BYTES };
        ensure!(
            profile == Profile::Quick || image == OTHER_PEOPLES || bytes <= largest,
            "keep {name} below {} MB: it is {:.2} MB",
            largest / 1_000_000,
            megabytes(bytes)
        );
        sizes.push((name, bytes));
    }
    let bundle = bundle::write(&workspace, &folder)?;
    Ok(Built { context, bundle, sizes })
}

/// The name under which an image of this version is built and found.
pub(crate) fn image_name(image: &str) -> String {
    format!("{NAMESPACE}/{image}:{}", env!("CARGO_PKG_VERSION"))
}

/// The digests of an image's layers: what has to be the same when it is built again.
fn layers(docker: &Docker, name: &str) -> Result<String> {
    Ok(docker.inspect("image", name)?["RootFS"]["Layers"].to_string())
}

/// Builds every image again from the same context, without what the engine remembers.
pub(crate) fn expect_same_layers(docker: &Docker, context: &Path) -> Result<()> {
    let workspace = surroundings::workspace()?;
    for image in IMAGES {
        let before = layers(docker, &image_name(image))?;
        let again = format!("{NAMESPACE}/{image}:again");
        build_image(docker, &workspace, context, (image, &again), true)?;
        let after = layers(docker, &again)?;
        docker.ask(&["image", "rm", &again])?;
        ensure!(before == after, "build the same layers of {image} twice: {before} and {after}");
    }
    Ok(())
}

fn verify(docker: &Docker, profile: Profile, built: &Built) -> Result<()> {
    let workspace = surroundings::workspace()?;
    let other = suite::target_folder(&workspace)?.join("images/again");
    let programs = programs::build(&workspace, profile, Some(&other))?;
    for program in &programs {
        let name = program.file_name().context("name a program")?;
        let first = std::fs::read(built.context.join(name)).context("read a program")?;
        let second = std::fs::read(program).context("read a program built again")?;
        ensure!(first == second, "build the same {} twice", name.display());
    }
    let context = context::fill(&workspace, &programs, &other.join("context"))?;
    expect_same_layers(docker, &context)?;
    std::fs::remove_dir_all(&other).context("remove what was built to compare")
}

fn build_image(
    docker: &Docker,
    workspace: &Path,
    context: &Path,
    (target, name): (&str, &str),
    from_nothing: bool,
) -> Result<()> {
    let commit = context::commit(workspace)?;
    let mut build = docker.command();
    // The engine's newer builder comes as a plugin; the older one gives the same layers.
    build.env("DOCKER_BUILDKIT", if docker.has_plugin("buildx") { "1" } else { "0" });
    build.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    build.args(["build", "--quiet", "--target", target, "--tag", name]);
    if from_nothing {
        build.arg("--no-cache");
    }
    for (argument, value) in [
        ("VERSION", env!("CARGO_PKG_VERSION")),
        ("REVISION", &commit.id),
        ("CREATED", &commit.time),
        ("SOURCE_DATE_EPOCH", &commit.seconds),
    ] {
        build.arg("--build-arg").arg(format!("{argument}={value}"));
    }
    external::quiet(build.arg("--file").arg(workspace.join("deploy/Dockerfile")).arg(context))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
