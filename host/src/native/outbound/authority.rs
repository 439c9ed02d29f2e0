//! The authority whose certificates a native process trusts: made at the start, known to nobody else, gone at the end.
//!
//! Where the host has to see requests inside of TLS it answers in the name of the host they are for. What it sends
//! on is TLS again, and there certificates are checked against the operator's authorities.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Hosts whose certificates are kept.
const KEPT: usize = 256;

/// Why there is no authority, or no certificate of it.
#[derive(Debug, thiserror::Error)]
pub enum NoAuthority {
    /// The certificate could not be made.
    #[error("a certificate for the process of the agent cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("a certificate for the process of the agent cannot be used")]
    Tls(#[from] rustls::Error),
}

/// Makes certificates for the hosts of one agent.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: KeyPair,
    made: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self, NoAuthority> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "PAR, for this process only");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let own = KeyPair::generate()?;
        let certificate = parameters.self_signed(&own)?.pem();
        Ok(Self {
            issuer: Issuer::new(parameters, own),
            certificate,
            key: KeyPair::generate()?,
            made: Mutex::default(),
        })
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How the host answers in the name of `host`.
    pub(super) fn answering_for(&self, host: &str) -> Result<Arc<ServerConfig>, NoAuthority> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(host) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(host)?);
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn make(&self, host: &str) -> Result<ServerConfig, NoAuthority> {
        let mut parameters = CertificateParams::new([host.to_owned()])?;
        parameters.distinguished_name.push(DnType::CommonName, "answered by PAR");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate: CertificateDer<'static> = parameters.signed_by(&self.key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        // So that the first thing that is sent after the greeting is an answer.
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
