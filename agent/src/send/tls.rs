//! TLS with rustls and ring.
//!
//! In: the settings and the PEM files that they name. Out: a client configuration. Never: a process-wide crypto
//! provider, or a look for the system's certificates where none are needed (plain http, `ca_file`).

use super::files::{self, SetupError};
use crate::config::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that `tls` names.
pub(super) fn files(tls: &Tls) -> Vec<PathBuf> {
    [&tls.ca_file, &tls.cert_file, &tls.key_file].into_iter().flatten().cloned().collect()
}

/// Reads the files that `tls` names. `is_https` false: nothing is looked for.
pub(super) fn load(tls: &Tls, is_https: bool) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(format!("setting up TLS: {error}")))?;
    if !is_https {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(roots(tls.ca_file.as_deref())?)
    };
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert_file), Some(key_file)) => {
            let certificates = certificates("loki.tls.cert_file", cert_file)?;
            let key = key(key_file)?;
            builder.with_client_auth_cert(certificates, key).map_err(|error| {
                content("loki.tls.cert_file", cert_file, format!("with key {}: {error}", key_file.display()))
            })
        }
        _ => Err(SetupError::Tls("loki.tls: cert_file and key_file only serve together; set both".to_owned())),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let setting = "loki.tls.ca_file";
        for certificate in certificates(setting, path)? {
            roots.add(certificate).map_err(|error| content(setting, path, error.to_string()))?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let remedy = "this system has no certificates of authorities: set loki.tls.ca_file, or install ca-certificates";
        return Err(SetupError::Tls(remedy.to_owned()));
    }
    Ok(roots)
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let bytes = files::read(setting, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| content(setting, path, format!("not PEM: {error:?}")))?;
    if certificates.is_empty() {
        return Err(content(setting, path, "it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, SetupError> {
    let setting = "loki.tls.key_file";
    let bytes = files::read(setting, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| content(setting, path, "it holds no PEM private key".to_owned()))
}

fn content(setting: &'static str, path: &Path, problem: String) -> SetupError {
    SetupError::Content { setting, path: path.to_owned(), problem }
}

/// `insecure_skip_verify`: whoever answers is taken for Loki.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
