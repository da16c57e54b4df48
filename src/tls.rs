//! Certificate and key of the media listener.

use std::path::{Path, PathBuf};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why the media listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read or holds no PEM of the kind.
    #[error("{key} = {}: {error}", path.display())]
    File {
        /// Configuration key.
        key: &'static str,
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// Certificate and key that do not work together.
    #[error("media.tls: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// Reads a PEM chain and key.
///
/// # Errors
/// [`TlsError`] naming the key and the file.
pub fn server_config(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let bad = |key, path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::File { key, path, error }
    };
    let chain = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(bad("media.tls.cert_file", cert_file))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(bad("media.tls.key_file", key_file))?;
    Ok(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?)
}
