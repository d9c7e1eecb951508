//! The trust an HTTPS target stands on: the web's roots, built in, and a CA of the operator's own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::fault::{FaultKind, Trouble};

/// A configuration on ring that trusts the web's roots and those in `extra_pem`.
pub(crate) fn config(extra_pem: Option<&[u8]>) -> Result<ClientConfig, Trouble> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_pem {
        add(&mut roots, pem)?;
    }
    // Named here, so that this works before anybody installed a default one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Trouble::new(FaultKind::Unfit, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), Trouble> {
    let bad = |what: &dyn std::fmt::Display| {
        let text = format!("the CA file cannot be used: {what}; give PEM text with certificates");
        Trouble::new(FaultKind::Unfit, text)
    };
    let mut added = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
        added += 1;
    }
    if added == 0 { Err(bad(&"no certificate in it")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_need_no_file_and_a_bad_file_is_refused() {
        config(None).unwrap();
        for bad in
            [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(config(Some(bad)).unwrap_err().kind, FaultKind::Unfit);
        }
    }
}
