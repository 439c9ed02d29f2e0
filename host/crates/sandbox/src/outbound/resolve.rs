//! From names to addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use futures::future::BoxFuture;

/// Looks up the addresses of a name. Called once for each connection, after a rule granted the
/// request, and never for anything else.
pub trait Resolve: std::fmt::Debug + Send + Sync {
    /// The addresses of `name`, best first.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system: `/etc/hosts`, `/etc/resolv.conf`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address: SocketAddr| address.ip()).collect())
        })
    }
}
