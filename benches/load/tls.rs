//! TLS between caller and bridge: a certificate of this run's own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rig::Trouble;

const HOST: &str = "localhost";

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub type Connection = Box<dyn Stream>;

/// A bridge's certificate and key, as files.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in a directory.
    pub fn create(directory: &Path) -> Result<Self, Trouble> {
        let trouble = |error: &dyn std::fmt::Display| Trouble(format!("certificate: {error}"));
        let signed = rcgen::generate_simple_self_signed([HOST.to_owned()]).map_err(|error| trouble(&error))?;
        let files = Self { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
        std::fs::write(&files.cert, signed.cert.pem()).map_err(|error| trouble(&error))?;
        std::fs::write(&files.key, signed.signing_key.serialize_pem()).map_err(|error| trouble(&error))?;
        Ok(files)
    }

    /// For callers that trust this certificate alone.
    pub fn connector(&self) -> Result<TlsConnector, Trouble> {
        let trouble = |error: &dyn std::fmt::Display| Trouble(format!("certificate: {error}"));
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.cert).map_err(|error| trouble(&error))?)
            .map_err(|error| trouble(&error))?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| trouble(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// For the floor.
    pub fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let cert = CertificateDer::from_pem_file(&self.cert).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .map_err(io::Error::other)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Connects a caller.
pub async fn connect(bridge: SocketAddr, tls: Option<&TlsConnector>) -> io::Result<Connection> {
    let socket = TcpStream::connect(bridge).await?;
    socket.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let host = ServerName::try_from(HOST).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(host, socket).await?))
}

/// Takes a caller in.
pub async fn accept(socket: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Box<dyn SendStream>> {
    socket.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(socket)),
        Some(tls) => Ok(Box::new(tls.accept(socket).await?)),
    }
}

/// A connection of a task that may run on any thread.
pub trait SendStream: Stream + Send {}

impl<S: Stream + Send> SendStream for S {}
