//! What Docker's own tools tell about the images: which there are, and what a tag means now.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::external;
use crate::surroundings;

/// The name before the slash when nobody chose another (`compose.yaml`).
const OURS: &str = "kotonoha/";

/// One of our images on this machine.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    /// The image's own name, which is its service's.
    pub(crate) service: String,
    /// Name and tag on this machine.
    pub(crate) name: String,
}

/// Every image of ours that `compose.yaml` names, whatever the profile.
pub(crate) fn images() -> Result<Vec<Image>> {
    let mut ask = Command::new("docker");
    ask.args(["compose", "--profile", "*", "config", "--images"]);
    // The checkout's own names, whatever this machine runs beside it.
    ask.env_remove("KOTONOHA_IMAGES").env_remove("KOTONOHA_VERSION").env_remove("COMPOSE_FILE");
    let told = external::quiet(ask.current_dir(surroundings::workspace()?))?;
    let images = named(&told);
    ensure!(!images.is_empty(), "find our images in compose.yaml: it names none");
    Ok(images)
}

/// The names of those images, without tags.
pub(crate) fn services() -> Result<Vec<String>> {
    Ok(images()?.into_iter().map(|image| image.service).collect())
}

fn named(told: &str) -> Vec<Image> {
    let images: BTreeSet<Image> = told
        .lines()
        .filter_map(|line| {
            let (service, _) = line.trim().strip_prefix(OURS)?.split_once(':')?;
            Some(Image { service: service.to_owned(), name: line.trim().to_owned() })
        })
        .collect();
    images.into_iter().collect()
}

/// The digest that a tag means in its registry now; `None` when there is no such tag.
pub(crate) fn digest(reference: &str) -> Result<Option<String>> {
    let mut ask = Command::new("docker");
    ask.args(["buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}", reference]);
    let ended = external::capture(&mut ask)?;
    if !ended.status.success() {
        if is_absent(&ended.errors) {
            return Ok(None);
        }
        bail!("ask the registry for {reference}: {}", external::tail(&ended.errors));
    }
    let manifest: serde_json::Value =
        serde_json::from_str(&ended.output).with_context(|| format!("read about {reference}"))?;
    let digest = manifest["digest"].as_str();
    let digest = digest.with_context(|| format!("find the digest of {reference}"))?;
    Ok(Some(digest.to_owned()))
}

/// Whether the registry was reached and does not know the name: no other failure counts as absence.
fn is_absent(errors: &str) -> bool {
    errors.lines().any(|line| line.trim_end().ends_with(": not found"))
}

#[cfg(test)]
mod tests {
    use super::{Image, is_absent, named};

    #[test]
    fn images_are_told_once_and_without_those_of_others() {
        let told = "kotonoha/prepare:0.1.0\nredis:7\nkotonoha/nats:0.1.0\nkotonoha/prepare:0.1.0\n";
        let image = |service: &str| Image {
            service: service.to_owned(),
            name: format!("kotonoha/{service}:0.1.0"),
        };
        assert_eq!(named(told), [image("nats"), image("prepare")]);
    }

    #[test]
    fn a_registry_that_is_out_of_reach_is_not_an_absent_tag() {
        assert!(is_absent("ERROR: host/owner/gateway:dev: not found\n"));
        assert!(!is_absent("ERROR: failed to do request: dial tcp: lookup host: no such host\n"));
        assert!(!is_absent("ERROR: unexpected status: 401 Unauthorized\n"));
    }
}
