//! TLS towards the model: our own rustls configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_tls::connect::rustls_0_23::webpki_roots_cert_store;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file of additional certificate authorities cannot be read.
    #[error("certificate authority file {path}: {what}; a PEM file with at least one certificate is needed")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The crypto provider offers no usable protocol version.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The public authorities of webpki-roots and those in `ca_file`, TLS 1.2 and 1.3 by ring.
///
/// Only HTTP/1.1 is offered: a server that picks `h2` cannot be upgraded to a WebSocket by awc.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let mut roots = webpki_roots_cert_store();
    if let Some(path) = ca_file {
        let bad = |what: String| TlsSetupError::CaFile { path: path.to_owned(), what };
        let mut added = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
            let certificate = certificate.map_err(|e| bad(e.to_string()))?;
            roots.add(certificate).map_err(|e| bad(e.to_string()))?;
            added += 1;
        }
        if added == 0 {
            return Err(bad("no certificate in it".to_owned()));
        }
    }
    // awc's connector builds a default configuration of its own before ours replaces it, and panics without a provider.
    // Someone else having installed one already is as good.
    let _ = ring::default_provider().install_default();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_ca_file_is_named() {
        let missing = client_config(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/ca.pem"), "{missing}");
        let empty = std::env::temp_dir().join(format!("trunkline-empty-{}.pem", std::process::id()));
        std::fs::write(&empty, "no certificate\n").unwrap();
        let error = client_config(Some(&empty)).unwrap_err();
        std::fs::remove_file(&empty).unwrap();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }

    #[test]
    fn offers_http_1_1_alone() {
        assert_eq!(client_config(None).unwrap().alpn_protocols, [b"http/1.1".to_vec()]);
    }
}
