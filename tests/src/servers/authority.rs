//! A certificate authority for one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;

/// Makes certificates, and the file that says to trust them.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is past its end.
    Expired,
    /// It is for another name.
    OtherName,
    /// Nobody vouches for it.
    SelfSigned,
}

impl Authority {
    /// A new authority, trusted by nobody yet.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::Builder::new().prefix("par-authority-").tempdir().unwrap();
        fs_err::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// The file for `SSL_CERT_FILE` and `AWS_CA_BUNDLE`.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Where the file is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What a server for `localhost` and `127.0.0.1` needs, with a fault.
    pub(super) fn server(&self, fault: Fault) -> Arc<ServerConfig> {
        let names = if fault == Fault::OtherName { ["other.example", "10.0.0.1"] } else { ["localhost", "127.0.0.1"] };
        Arc::new(self.config(&names, fault))
    }

    /// What a server for these names needs, to speak HTTP/2 and HTTP/1.1.
    pub(crate) fn server_for(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut config = self.config(names, Fault::None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn config(&self, names: &[&str], fault: Fault) -> ServerConfig {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if fault == Fault::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match fault {
            Fault::SelfSigned => params.self_signed(&key).unwrap(),
            Fault::None | Fault::Expired | Fault::OtherName => params.signed_by(&key, &self.issuer).unwrap(),
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
