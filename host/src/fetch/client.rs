//! The HTTP client that fetches packages: GET, encrypted, to judged addresses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, redirect, retry, tls};

use super::address::Addresses;
use super::error::FetchError;

/// Longest time until a connection stands, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for packages.
///
/// It follows no redirects, so that each hop is judged; tries nothing again, so that attempts
/// are counted in one place; uses no proxy, so that the judged address is the dialled one; and
/// decodes nothing, so that what is counted is what comes.
pub(super) fn for_packages(
    addresses: &Addresses,
    idle: Duration,
    ca_bundle: Option<&Path>,
) -> Result<Client, FetchError> {
    let mut builder = plain(idle).dns_resolver(Arc::new(addresses.clone())).tls_version_min(tls::Version::TLS_1_2);
    if let Some(path) = ca_bundle {
        let bundle = fs_err::read(path).map_err(|error| FetchError::Client(error.into()))?;
        let certificates = Certificate::from_pem_bundle(&bundle).map_err(|error| FetchError::Client(error.into()))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| FetchError::Client(error.into()))
}

/// A client for the credentials of the task, whose address the platform gave.
pub(super) fn for_credentials(timeout: Duration, encrypted: bool) -> Result<Client, FetchError> {
    let builder = plain(timeout).timeout(timeout);
    // Reading the certificates of the system takes longer than asking.
    let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(|error| FetchError::Client(error.into()))
}

#[expect(clippy::disallowed_methods, reason = "the clients of fetching, with their limits")]
fn plain(idle: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("par/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(idle.min(CONNECT))
        .read_timeout(idle)
}

#[cfg(test)]
mod tests {
    /// `.cargo/config.toml` has the reason. Without it everything works, and the first connection takes twice as long.
    #[test]
    fn the_library_of_tls_was_built_to_take_random_numbers_from_the_kernel() {
        assert_eq!(option_env!("AWS_LC_SYS_NO_JITTER_ENTROPY"), Some("1"));
    }
}
