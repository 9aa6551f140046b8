//! The relay's own TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore, ServerConfig};

/// A certificate or key that cannot be used.
#[derive(Debug)]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cannot be used for TLS: {}. The certificates (leaf first) and the key must be PEM files that fit each other",
            self.path.display(),
            self.reason
        )
    }
}

impl std::error::Error for TlsError {}

/// What accepts TLS 1.2 and 1.3 with these files; HTTP/1.1 is all it offers.
///
/// # Errors
/// If a file cannot be read or holds something else, if the two do not fit each
/// other, or if the certificate is not valid now.
pub(crate) fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let bad = |path: &Path, reason: &dyn fmt::Display| TlsError {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|error| bad(certificates, &error))?;
    let leaf = chain
        .first()
        .ok_or_else(|| bad(certificates, &"it holds no certificate"))?;
    check_validity(leaf).map_err(|reason| bad(certificates, &reason))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(certificates, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => bad(key, &"it is not the key of the certificate"),
            error => bad(certificates, &error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether a certificate is valid now: no client would take another. Who signed
/// it is the clients' affair, so it is checked against no authority at all, after
/// its times (RFC 5280, 6.1.3).
fn check_validity(leaf: &CertificateDer<'_>) -> Result<(), String> {
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| error.to_string())?;
    let algorithms = default_provider().signature_verification_algorithms;
    let checked = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        UnixTime::now(),
        algorithms.all,
    );
    match checked {
        Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err("the certificate has expired: renew it".to_owned()),
        Err(Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err(
            "the certificate is not valid yet: wait, or set this machine's clock right".to_owned(),
        ),
        _ => Ok(()),
    }
}
