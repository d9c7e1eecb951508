//! One SSH connection with its SFTP session.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};
use russh_sftp::client::{Config as SftpConfig, RawSftpSession, SftpSession};
use russh_sftp::protocol::{Packet, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::host_key::{HostKeyCheck, Trust};
use super::told;
use crate::fault::{FaultKind, Trouble, chain};
use crate::location::SftpPlace;
use crate::target::Settings;

const CONNECT: Duration = Duration::from_secs(10);
/// How often a silent server is asked whether it is there; after three times it is not.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// OpenSSH's way to rename over a file that is there, in one step.
const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// Whom to connect to, and as whom.
pub(super) struct Door {
    host: String,
    port: u16,
    account: String,
    proof: Proof,
    trust: Trust,
    stall: Duration,
}

enum Proof {
    Key(Arc<PrivateKey>),
    Password(SecretString),
}

impl Door {
    pub(super) fn new(place: &SftpPlace, settings: &Settings) -> Result<Self, Trouble> {
        let account = settings.account.clone().or_else(|| place.account.clone());
        let account = account.ok_or_else(|| {
            Trouble::new(FaultKind::Unfit, "an SFTP target needs an account: sftp://me@host/path")
        })?;
        let password = settings.password.as_ref();
        let proof = match (&settings.private_key, password) {
            (Some(text), password) => {
                let password = password.map(ExposeSecret::expose_secret);
                let key = russh::keys::decode_secret_key(text.expose_secret(), password);
                // The error may quote what it could not read.
                let key = key.ok().ok_or_else(|| {
                    Trouble::new(
                        FaultKind::Unfit,
                        "its private key cannot be read: give an unencrypted OpenSSH key of kind \
                         ed25519 or ecdsa, or its passphrase as the password",
                    )
                })?;
                Proof::Key(Arc::new(key))
            }
            (None, Some(password)) => Proof::Password(password.clone()),
            (None, None) => {
                return Err(Trouble::new(
                    FaultKind::Unfit,
                    "an SFTP target needs a private key or a password",
                ));
            }
        };
        let trust = Trust::new(place, settings)?;
        let (host, port, stall) = (place.host.clone(), place.port, settings.patience.stall);
        Ok(Self { host, port, account, proof, trust, stall })
    }

    /// Connects, checks the host's key, proves who we are and begins an SFTP session.
    pub(super) async fn enter(&self) -> Result<Connection, Trouble> {
        let config = client::Config {
            keepalive_interval: Some(KEEP_ALIVE),
            nodelay: true,
            ..client::Config::default()
        };
        let check = HostKeyCheck::new(self.trust.clone());
        let address = (self.host.as_str(), self.port);
        let connecting = client::connect(Arc::new(config), address, check);
        let late = |_| Trouble::new(FaultKind::Unreachable, "no connection in time");
        let mut handle = tokio::time::timeout(CONNECT, connecting).await.map_err(late)??;
        if !self.prove(&mut handle).await? {
            let text = format!("the server does not let {} in with this proof", self.account);
            return Err(Trouble::new(FaultKind::Refused, text));
        }
        let seconds = self.stall.as_secs().max(1);
        let channel = handle.channel_open_session().await.map_err(|error| ssh(&error))?;
        channel.request_subsystem(true, "sftp").await.map_err(|error| ssh(&error))?;
        let config = SftpConfig { request_timeout_secs: seconds, ..SftpConfig::default() };
        let sftp = SftpSession::new_with_config(channel.into_stream(), config).await;
        let sftp = sftp.map_err(|error| {
            let said = told(&error);
            Trouble::new(said.kind, format!("the server begins no SFTP session: {}", said.detail))
        })?;
        Ok(Connection { handle, sftp, seconds })
    }

    async fn prove(&self, handle: &mut Handle<HostKeyCheck>) -> Result<bool, Trouble> {
        let account = self.account.as_str();
        match &self.proof {
            Proof::Key(key) => {
                let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
                let answer = handle.authenticate_publickey(account, key).await;
                Ok(answer.map_err(|error| ssh(&error))?.success())
            }
            Proof::Password(password) => {
                let password = password.expose_secret();
                let answer = handle.authenticate_password(account, password).await;
                if answer.map_err(|error| ssh(&error))?.success() {
                    return Ok(true);
                }
                // Some servers take a password only as the answer to a question.
                self.answer_questions(handle, password).await
            }
        }
    }

    async fn answer_questions(
        &self,
        handle: &mut Handle<HostKeyCheck>,
        password: &str,
    ) -> Result<bool, Trouble> {
        let account = self.account.as_str();
        let asked = handle.authenticate_keyboard_interactive_start(account, None).await;
        let mut asked = asked.map_err(|error| ssh(&error))?;
        loop {
            let prompts = match asked {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answers = vec![password.to_owned(); prompts.len()];
            let next = handle.authenticate_keyboard_interactive_respond(answers).await;
            asked = next.map_err(|error| ssh(&error))?;
        }
    }
}

/// A session that is under way.
pub(super) struct Connection {
    handle: Handle<HostKeyCheck>,
    sftp: SftpSession,
    seconds: u64,
}

impl Connection {
    pub(super) fn is_alive(&self) -> bool {
        !self.handle.is_closed()
    }

    pub(super) fn sftp(&self) -> &SftpSession {
        &self.sftp
    }

    /// Gives a file its name, over one that is there.
    ///
    /// SFTP's own rename refuses that, so that it is tried first: what is stored here is
    /// seldom replaced, and OpenSSH's other rename is not everybody's.
    pub(super) async fn replace(&self, from: &str, to: &str) -> Result<(), Trouble> {
        let Err(error) = self.sftp.rename(from, to).await else { return Ok(()) };
        if !self.sftp.try_exists(to).await.map_err(|error| told(&error))? {
            return Err(told(&error));
        }
        if self.posix_rename(from, to).await? {
            return Ok(());
        }
        // Nothing better is left: for a moment there is neither. What is under way is whole and
        // durable by now, and a repetition puts it in its place.
        self.sftp.remove_file(to).await.map_err(|error| told(&error))?;
        self.sftp.rename(from, to).await.map_err(|error| told(&error))
    }

    /// Renames in one step, where the server can; on a channel of its own, because the library's
    /// session has no door to a server's extensions.
    async fn posix_rename(&self, from: &str, to: &str) -> Result<bool, Trouble> {
        let channel = self.handle.channel_open_session().await.map_err(|error| ssh(&error))?;
        channel.request_subsystem(true, "sftp").await.map_err(|error| ssh(&error))?;
        let config = SftpConfig { request_timeout_secs: self.seconds, ..SftpConfig::default() };
        let raw = RawSftpSession::new_with_config(channel.into_stream(), config);
        let version = raw.init().await.map_err(|error| told(&error))?;
        let known = version.extensions.contains_key(POSIX_RENAME);
        let result = if known { rename(&raw, from, to).await.map(|()| true) } else { Ok(false) };
        raw.close_session().map_err(|error| told(&error))?;
        result
    }
}

async fn rename(raw: &RawSftpSession, from: &str, to: &str) -> Result<(), Trouble> {
    let mut names = Vec::new();
    for name in [from, to] {
        // Both names, each with its length before it (PROTOCOL of OpenSSH, 3.3).
        let length = u32::try_from(name.len())
            .map_err(|error| Trouble::new(FaultKind::Unfit, format!("a long name: {error}")))?;
        names.extend_from_slice(&length.to_be_bytes());
        names.extend_from_slice(name.as_bytes());
    }
    match raw.extended(POSIX_RENAME, names).await.map_err(|error| told(&error))? {
        Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
        Packet::Status(status) => Err(told(&status.into())),
        _ => Err(Trouble::new(FaultKind::Unreachable, "an answer to another question")),
    }
}

/// A fault of the SSH layer below.
pub(super) fn ssh(error: &russh::Error) -> Trouble {
    let kind = match error {
        russh::Error::NoCommonAlgo { .. } | russh::Error::UnknownKey => FaultKind::Refused,
        _ => FaultKind::Unreachable,
    };
    Trouble::new(kind, chain(error))
}
