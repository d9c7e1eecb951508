//! The server's own key: pinned in the address, or trusted at the first meeting and kept.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use russh::client;
use russh::keys::{HashAlg, PublicKeyOrCertificate};

use super::connection::ssh;
use crate::fault::{FaultKind, Trouble};
use crate::location::SftpPlace;
use crate::target::Settings;

/// What a host must show.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// The key with this fingerprint, `SHA256:…` as `ssh-keygen -l` prints it.
    Pinned(String),
    /// Whatever this file holds, or anything where there is no such file yet.
    Kept(PathBuf),
}

impl Trust {
    pub(super) fn new(place: &SftpPlace, settings: &Settings) -> Result<Self, Trouble> {
        if let Some(fingerprint) = &place.host_key {
            return Ok(Self::Pinned(fingerprint.clone()));
        }
        let Some(folder) = &settings.state_folder else {
            return Err(Trouble::new(
                FaultKind::Unfit,
                "an SFTP target needs its host's key in the address: ?host_key=SHA256:… \
                 (`ssh-keyscan host | ssh-keygen -lf -` prints it)",
            ));
        };
        // Host and port, and not the target's name: the key belongs to the machine.
        let host: String = place
            .host
            .chars()
            .map(
                |char| if char.is_ascii_alphanumeric() || ".-".contains(char) { char } else { '_' },
            )
            .collect();
        Ok(Self::Kept(folder.join(format!("host-key-{host}-{}", place.port))))
    }

    /// Decides about a key; one that is met for the first time is kept before it is trusted.
    fn judge(&self, shown: &str) -> Result<(), Trouble> {
        match self {
            Self::Pinned(expected) if expected == shown => Ok(()),
            Self::Pinned(expected) => Err(Trouble::new(
                FaultKind::Refused,
                format!(
                    "its host key is {shown} and the address says {expected}: somebody may stand \
                     in between; change host_key only if the server really has a new key"
                ),
            )),
            Self::Kept(file) => match fs::read_to_string(file) {
                Ok(kept) if kept.trim() == shown => Ok(()),
                Ok(kept) => Err(Trouble::new(
                    FaultKind::Refused,
                    format!(
                        "its host key was {} and is {shown} now: somebody may stand in between; \
                         only if the server really has a new key, remove {}",
                        kept.trim(),
                        file.display()
                    ),
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    keep(file, shown)
                        .map_err(|error| Trouble::local("keep the host key in", file, &error))?;
                    tracing::info!(host.key = shown, "trusting an SSH host met for the first time");
                    Ok(())
                }
                Err(error) => Err(Trouble::local("read the host key in", file, &error)),
            },
        }
    }
}

fn keep(file: &Path, shown: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let passing = file.with_extension("new");
    let mut writing = File::create(&passing)?;
    writing.write_all(format!("{shown}\n").as_bytes())?;
    writing.sync_all()?;
    fs::rename(&passing, file)?;
    File::open(folder)?.sync_all()
}

/// Asked by the SSH layer when the host shows its key.
pub(super) struct HostKeyCheck {
    trust: Trust,
}

impl HostKeyCheck {
    pub(super) fn new(trust: Trust) -> Self {
        Self { trust }
    }
}

impl client::Handler for HostKeyCheck {
    type Error = Trouble;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Trouble> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.fingerprint(HashAlg::Sha256),
            // Only asked for when we offer to take certificates, which we do not.
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        self.trust.judge(&key.to_string()).map(|()| true)
    }
}

impl From<russh::Error> for Trouble {
    fn from(error: russh::Error) -> Self {
        ssh(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_trusted_once_and_another_one_is_refused_for_good() {
        let place = tempfile::tempdir().unwrap();
        let trust = Trust::Kept(place.path().join("state").join("key"));
        trust.judge("SHA256:one").unwrap();
        trust.judge("SHA256:one").unwrap();
        let trouble = trust.judge("SHA256:two").unwrap_err();
        assert_eq!(trouble.kind, FaultKind::Refused);
        assert!(trouble.detail.contains("SHA256:one and is SHA256:two now"), "{trouble:?}");
        trust.judge("SHA256:one").unwrap();
    }
}
