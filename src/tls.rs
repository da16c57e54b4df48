//! Certificates and keys of our listeners.

use std::path::{Path, PathBuf};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be read or holds no PEM of the kind.
    #[error("{key} = {}: {error}", path.display())]
    File {
        /// Configuration key.
        key: String,
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// Certificate and key that do not work together.
    #[error("{section}: {error}")]
    Mismatch {
        /// Section of the configuration.
        section: &'static str,
        /// Why not.
        error: rustls::Error,
    },
}

/// Reads a PEM chain and key, which `section` of the configuration names.
///
/// # Errors
/// [`TlsError`] naming the key and the file.
pub fn server_config(section: &'static str, cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let bad = |key, path: &Path| {
        let (key, path) = (format!("{section}.{key}"), path.to_owned());
        move |error| TlsError::File { key, path, error }
    };
    let chain = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(bad("cert_file", cert_file))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(bad("key_file", key_file))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    config.map_err(|error| TlsError::Mismatch { section, error })
}
