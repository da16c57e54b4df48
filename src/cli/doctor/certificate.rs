//! The certificate of a listener: does its key fit, is it in date, who vouches for it?

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use actix_tls::connect::rustls_0_23::webpki_roots_cert_store;
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::finding::Finding;
use crate::tls;

/// The PEM files that `section` of the configuration names.
pub(super) fn judged(section: &'static str, cert_file: &Path, key_file: &Path, now: UnixTime) -> Finding {
    if let Err(error) = tls::server_config(section, cert_file, key_file) {
        return Finding::fail(section, error.to_string(), "give the PEM files of one certificate and its key");
    }
    let chain = CertificateDer::pem_file_iter(cert_file).into_iter().flatten().filter_map(Result::ok);
    match objection(&chain.collect::<Vec<_>>(), now) {
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Finding::fail(section, "the certificate has expired", "renew it, and start the service again")
        }
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            Finding::fail(section, "the certificate is not valid yet", "check this machine's clock, or wait")
        }
        Some(CertificateError::UnknownIssuer) => Finding::warn(
            section,
            "certificate and key fit, but no public authority vouches for it",
            "give a public authority's certificate with all between it and the root, unless every peer knows yours",
        ),
        _ => Finding::ok(section, "certificate and key fit"),
    }
}

/// What a peer that trusts the public authorities says to it first: dates come before issuers, and names, which depend on
/// how the peer calls us, last.
fn objection(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<CertificateError> {
    let (certificate, between) = chain.split_first()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(webpki_roots_cert_store()), provider);
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    match verifier.build().ok()?.verify_server_cert(certificate, between, &name, &[], now) {
        Err(rustls::Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// 2026-07-01.
    const NOW: u64 = 1_782_864_000;

    /// A certificate from year to year, and its key, in files; `of` keeps tests apart.
    fn files(of: &str, from: i32, to: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["sip.example.com".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = |name: &str, text: &str| {
            let path = std::env::temp_dir().join(format!("trunkline-doctor-{}-{of}-{name}.pem", std::process::id()));
            std::fs::write(&path, text).unwrap();
            path
        };
        (file("cert", &certificate.pem()), file("key", &key.serialize_pem()))
    }

    #[test]
    fn key_and_dates_and_issuer_are_looked_at() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let line = |cert: &Path, key: &Path| judged("sip.tls", cert, key, now).to_string();
        let good = files("good", 2020, 2040);
        let old = files("old", 2020, 2026);
        let new = files("new", 2027, 2040);
        let table = [
            ((&good.0, &good.1), "warn  sip.tls: certificate and key fit, but no public authority"),
            ((&old.0, &old.1), "FAIL  sip.tls: the certificate has expired; cure: renew it"),
            ((&new.0, &new.1), "FAIL  sip.tls: the certificate is not valid yet; cure: check this machine's clock"),
            ((&good.0, &old.1), "FAIL  sip.tls: sip.tls: "),
            ((&good.1, &good.1), "FAIL  sip.tls: "),
        ];
        for ((cert, key), expected) in table {
            let line = line(cert, key);
            assert!(line.starts_with(expected), "{expected:?}: {line}");
        }
        for path in [good, old, new].into_iter().flat_map(|(cert, key)| [cert, key]) {
            std::fs::remove_file(path).unwrap();
        }
    }
}
