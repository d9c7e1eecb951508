//! A set of images by digest, as a file that a deployment and a way back share.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The image of each service: `repository@sha256:…`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) services: BTreeMap<String, String>,
}

impl Released {
    /// Reads a file that `write` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("read {place}"))?;
        Self::parse(&text).with_context(|| format!("read {place}"))
    }

    /// Writes it for people and programs.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{:#}\n", serde_json::json!({ "services": self.services }));
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text).context("read it as JSON")?;
        let services: BTreeMap<String, String> =
            serde_json::from_value(value["services"].clone()).context("find its services")?;
        for (service, image) in &services {
            let digest =
                image.split_once('@').and_then(|(_, digest)| digest.strip_prefix("sha256:"));
            let whole = digest.is_some_and(|digest| {
                digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            ensure!(whole, "find the digest of {service}: `{image}` is none");
        }
        Ok(Self { services })
    }
}

#[cfg(test)]
mod tests {
    use super::Released;

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.json");
        let image = format!("host/owner/gateway@sha256:{}", "0f".repeat(32));
        let released = Released { services: [("gateway".to_owned(), image)].into() };
        released.write(&path).unwrap();
        assert_eq!(Released::read(&path).unwrap(), released);
    }

    #[test]
    fn a_tag_is_no_digest() {
        let text = r#"{"services": {"gateway": "host/owner/gateway:latest"}}"#;
        assert!(format!("{:#}", Released::parse(text).unwrap_err()).contains("latest"));
        assert!(Released::parse("{}").is_err());
    }
}
