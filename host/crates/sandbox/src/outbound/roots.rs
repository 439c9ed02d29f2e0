//! Whose certificates are trusted.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// The certificate authorities of outbound TLS. The operator chooses them; an agent cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the platform.
    #[default]
    Platform,
    /// Those in a file or a directory of PEM files (`SSL_CERT_FILE`, `SSL_CERT_DIR`), and no
    /// others.
    Files {
        /// A file with certificates.
        file: Option<PathBuf>,
        /// A directory of files with certificates, named by their hashes.
        directory: Option<PathBuf>,
    },
}

impl Roots {
    /// Their certificates in PEM, for a client of the agent's own. Blocks.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let certificates = self.load().certs;
        certificates.iter().map(|certificate| pem(certificate)).collect()
    }

    fn load(&self) -> rustls_native_certs::CertificateResult {
        match self {
            Self::Platform => rustls_native_certs::load_native_certs(),
            Self::Files { file, directory } => {
                rustls_native_certs::load_certs_from_paths(file.as_deref(), directory.as_deref())
            }
        }
    }
}

fn pem(certificate: &[u8]) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END CERTIFICATE-----\n"
}

/// The settings of TLS, read when the first connection needs them.
#[derive(Debug, Default)]
pub(super) struct Tls {
    roots: Roots,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(roots: Roots) -> Self {
        Self { roots, config: OnceCell::new() }
    }

    /// The settings, or a sentence about why there are none.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_try_init(|| read(self.roots.clone())).await.cloned()
    }
}

async fn read(roots: Roots) -> Result<Arc<ClientConfig>, String> {
    tokio::task::spawn_blocking(move || build(&roots))
        .await
        .unwrap_or_else(|_| Err("the certificate authorities could not be read".to_owned()))
}

fn build(roots: &Roots) -> Result<Arc<ClientConfig>, String> {
    let loaded = roots.load();
    for error in &loaded.errors {
        tracing::warn!(error = %error, "Certificate authority was not read");
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(loaded.certs);
    if store.is_empty() {
        return Err("there are no certificate authorities on the host".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
