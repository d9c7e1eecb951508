//! Why the server cannot be reached, told once and in words that say what to do.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::BusError;

/// The trouble, if there is any. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// Takes up what the last attempt ended with, and logs it where it is news.
    pub(crate) fn note(&self, error: Option<&str>) {
        let Some(why) = error.map(explained) else { return };
        let mut known = self.known();
        if known.as_ref() != Some(&why) {
            tracing::warn!("nats-server is not reached: {why}");
            *known = Some(why);
        }
    }

    /// The server was reached.
    pub(crate) fn clear(&self) {
        *self.known() = None;
    }

    /// What is known.
    pub(crate) fn why(&self) -> Option<String> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's words, with what they mean where we know it.
fn explained(error: &str) -> String {
    let lower = error.to_lowercase();
    let has = |word: &str| lower.contains(word);
    let remedy = if has("unknownissuer") || has("unknown issuer") || has("badsignature") {
        "its certificate was not signed by the authority in NATS_CA_FILE: use the file that \
         belongs to this server"
    } else if has("notvalidforname") || has("not valid for name") {
        "its certificate is for another name: make one that names the host in NATS_URL"
    } else if has("expired") || has("notvalidyet") || has("not valid yet") {
        "its certificate is not valid at this time: renew it, and check the clock"
    } else if has("authorization") || has("authentication") {
        "it does not accept NATS_USER and NATS_PASSWORD: run `prepare folders` again and restart \
         nats-server, so that both hold the same passwords"
    } else if has("could not load platform certs") || has("no native root") {
        "there is no list of authorities here: set NATS_CA_FILE to the server's own"
    } else {
        return error.to_owned();
    };
    format!("{remedy} ({error})")
}

/// Refuses a file that holds no certificate: the client would take it for an empty list.
pub(crate) fn expect_authorities(file: &Path) -> Result<(), BusError> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|error| {
        BusError::Settings(format!("NATS_CA_FILE names {shown}, which cannot be read: {error}"))
    })?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if text.windows(mark.len()).any(|window| window == mark) {
        return Ok(());
    }
    let why = format!("NATS_CA_FILE names {shown}, which holds no certificate in PEM form");
    Err(BusError::Settings(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_trouble_says_what_to_do() {
        for (said, remedy) in [
            ("TLS error: invalid peer certificate: UnknownIssuer", "NATS_CA_FILE"),
            ("TLS error: invalid peer certificate: NotValidForName", "NATS_URL"),
            ("certificate not valid for name \"127.0.0.1\"", "NATS_URL"),
            ("TLS error: invalid peer certificate: Expired", "clock"),
            ("invalid peer certificate: certificate not valid yet", "clock"),
            ("authorization violation: nats: authorization violation", "NATS_PASSWORD"),
        ] {
            assert!(explained(said).contains(remedy), "{said}");
            assert!(explained(said).contains(said));
        }
        assert_eq!(explained("connection refused"), "connection refused");
    }

    #[test]
    fn trouble_ends_when_the_server_is_reached() {
        let trouble = Trouble::default();
        trouble.note(None);
        assert_eq!(trouble.why(), None);
        trouble.note(Some("connection refused"));
        trouble.note(None);
        assert_eq!(trouble.why().as_deref(), Some("connection refused"));
        trouble.clear();
        assert_eq!(trouble.why(), None);
    }

    #[test]
    fn a_file_without_a_certificate_is_no_list_of_authorities() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(expect_authorities(&file).unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&file, "hello").unwrap();
        assert!(expect_authorities(&file).unwrap_err().to_string().contains("no certificate"));
    }
}
