//! The images by name, and what Docker's own tools tell of a tag: what it means now.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::external;
use crate::images::{IMAGES, image_name};

/// One of our images on this machine.
#[derive(Debug)]
pub(crate) struct Image {
    /// The image's own name, which is its service's.
    pub(crate) service: String,
    /// Name and tag on this machine.
    pub(crate) name: String,
}

/// Every image of ours.
pub(crate) fn images() -> Vec<Image> {
    let image = |service: &str| Image { service: service.to_owned(), name: image_name(service) };
    IMAGES.into_iter().map(image).collect()
}

/// The names of those images, without tags.
pub(crate) fn services() -> Vec<String> {
    IMAGES.map(str::to_owned).to_vec()
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
    use super::is_absent;

    #[test]
    fn a_registry_that_is_out_of_reach_is_not_an_absent_tag() {
        assert!(is_absent("ERROR: host/owner/gateway:dev: not found\n"));
        assert!(!is_absent("ERROR: failed to do request: dial tcp: lookup host: no such host\n"));
        assert!(!is_absent("ERROR: unexpected status: 401 Unauthorized\n"));
    }
}
