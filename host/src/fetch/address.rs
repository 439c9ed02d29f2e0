//! Which machines packages are fetched from: names are resolved once, every address is judged,
//! and the judged address is the one that is dialled.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use par_policy::outbound::Outbound;
use par_policy::{Denial, DenialCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Judges the machines packages and wheels come from.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    outbound: Arc<Outbound>,
    /// Hosts the operator named, in the form URLs give them.
    named: Arc<[String]>,
    /// A service the operator chose. Its subdomains are its own.
    service: Option<Arc<str>>,
    /// Servers the operator chose, in the form URLs give them: a network has them where it likes.
    chosen: Arc<[String]>,
}

/// An address nothing is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is refused: {denial}")]
pub struct AddressRefused {
    /// The host, as the URL names it.
    pub(super) host: String,
    /// What is wrong with its address.
    pub(super) denial: Denial,
}

impl AddressRefused {
    /// Whether it would be another answer if the operator named the host.
    pub(crate) const fn may_be_named(&self) -> bool {
        may_be_named(self.denial.code())
    }
}

impl Addresses {
    /// Public addresses are fetched from, and those of private networks where their host is in
    /// `named`.
    pub(crate) fn new(named: impl IntoIterator<Item = String>) -> Self {
        let named = named.into_iter().collect();
        Self { outbound: Arc::default(), named, service: None, chosen: Arc::default() }
    }

    /// The same for a service and its subdomains: a private network often has it at an address
    /// of its own.
    pub(super) fn with_service(self, host: String) -> Self {
        Self { service: Some(host.into()), ..self }
    }

    /// The same for servers the operator chose to ask, which may be anywhere but where machines keep their credentials.
    pub(crate) fn with_chosen(self, hosts: impl IntoIterator<Item = String>) -> Self {
        Self { chosen: hosts.into_iter().collect(), ..self }
    }

    /// Judges a URL whose host is an address. A name is judged when it is resolved.
    pub(crate) fn judge_url(&self, url: &Url) -> Result<(), AddressRefused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.judge(url.host_str().unwrap_or_default(), address)
    }

    fn judge(&self, host: &str, address: IpAddr) -> Result<(), AddressRefused> {
        match self.outbound.judge_address(address) {
            Err(denial) if !self.is_excused(host, denial.code()) => {
                Err(AddressRefused { host: host.to_owned(), denial })
            }
            _ => Ok(()),
        }
    }

    fn is_excused(&self, host: &str, code: DenialCode) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_chosen = self.chosen.iter().any(|chosen| chosen == host);
        is_chosen && may_be_chosen(code) || self.is_named(host) && may_be_named(code)
    }

    fn is_named(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_service =
            |service: &str| host.strip_suffix(service).is_some_and(|bucket| bucket.is_empty() || bucket.ends_with('.'));
        self.named.iter().any(|named| named == host) || self.service.as_deref().is_some_and(is_service)
    }

    /// All addresses of a name, or none: a name that has a forbidden one beside a public one is
    /// not an accident.
    async fn resolve_name(&self, host: &str) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
        for address in &addresses {
            self.judge(host, address.ip())?;
        }
        Ok(addresses)
    }
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone();
        Box::pin(async move {
            let found = addresses.resolve_name(name.as_str()).await?;
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

/// Whether the operator may name a host of this kind of address. Nobody keeps packages on the
/// local link, where machines keep their credentials.
const fn may_be_named(code: DenialCode) -> bool {
    matches!(code, DenialCode::LoopbackAddress | DenialCode::PrivateAddress | DenialCode::SharedAddress)
}

/// Whether a server the operator chose may have this kind of address. What no server has is a mistake, or a trap.
const fn may_be_chosen(code: DenialCode) -> bool {
    may_be_named(code)
        || matches!(code, DenialCode::DocumentationAddress | DenialCode::TunnelAddress | DenialCode::ReservedAddress)
}

/// The host of a text as URLs give it: lower case, punycode, addresses in their usual form.
pub(crate) fn canonical_host(text: &str) -> Option<String> {
    let host = Host::parse(text.trim()).ok()?.to_string();
    Some(host.strip_suffix('.').unwrap_or(&host).to_owned()).filter(|host| !host.is_empty())
}

/// The refusal behind an error of the client, if that is what it is.
pub(crate) fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a AddressRefused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(addresses: &Addresses, url: &str) -> Option<DenialCode> {
        addresses.judge_url(&Url::parse(url).unwrap()).err().map(|refused| refused.denial.code())
    }

    /// Hostile 3, 8: every spelling of an address is the same address.
    #[test]
    fn addresses_of_this_machine_and_its_networks_are_refused_however_they_are_spelt() {
        let public = Addresses::new([]);

        for (url, expected) in [
            ("https://169.254.169.254/", DenialCode::MetadataAddress),
            ("https://169.254.170.2/", DenialCode::MetadataAddress),
            ("https://2852039166/", DenialCode::MetadataAddress),
            ("https://0xa9fea9fe/", DenialCode::MetadataAddress),
            ("https://0251.0376.0251.0376/", DenialCode::MetadataAddress),
            ("https://%31%36%39.254.169.254/", DenialCode::MetadataAddress),
            ("https://169.254.169.254./", DenialCode::MetadataAddress),
            ("https://[::ffff:169.254.169.254]/", DenialCode::MetadataAddress),
            ("https://127.1/", DenialCode::LoopbackAddress),
            ("https://[::1]/", DenialCode::LoopbackAddress),
            ("https://0/", DenialCode::UnspecifiedAddress),
            ("https://10.0.0.1/", DenialCode::PrivateAddress),
            ("https://[fd12::1]/", DenialCode::PrivateAddress),
        ] {
            assert_eq!(code(&public, url), Some(expected), "{url}");
        }
        assert_eq!(code(&public, "https://93.184.215.14/"), None);
        assert_eq!(code(&public, "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/"), None);
    }

    #[test]
    fn a_host_the_operator_named_may_be_private_and_never_serve_metadata() {
        let named = Addresses::new(["10.0.0.1", "169.254.169.254", "127.0.0.1"].map(str::to_owned));

        assert_eq!(code(&named, "https://10.0.0.1/"), None);
        assert_eq!(code(&named, "https://127.1/"), None);
        assert_eq!(code(&named, "https://10.0.0.2/"), Some(DenialCode::PrivateAddress));
        assert_eq!(code(&named, "https://169.254.169.254/"), Some(DenialCode::MetadataAddress));
    }

    #[test]
    fn a_server_the_operator_chose_may_be_anywhere_but_on_the_local_link() {
        let hosts = ["10.0.0.1", "203.0.113.80", "169.254.169.254", "169.254.1.1", "0.0.0.0", "127.0.0.1"];
        let chosen = Addresses::new([]).with_chosen(hosts.map(str::to_owned));

        for url in ["https://10.0.0.1/", "https://203.0.113.80/", "https://127.1/"] {
            assert_eq!(code(&chosen, url), None, "{url}");
        }
        for (url, expected) in [
            ("https://169.254.169.254/", DenialCode::MetadataAddress),
            ("https://169.254.1.1/", DenialCode::LinkLocalAddress),
            ("https://0/", DenialCode::UnspecifiedAddress),
            ("https://10.0.0.2/", DenialCode::PrivateAddress),
            ("https://203.0.113.81/", DenialCode::DocumentationAddress),
        ] {
            assert_eq!(code(&chosen, url), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_service_has_subdomains_and_no_look_alikes() {
        let addresses = Addresses::new([]).with_service("s3.us-east-2.amazonaws.com".to_owned());

        for host in
            ["s3.us-east-2.amazonaws.com", "agents.s3.us-east-2.amazonaws.com", "a.b.s3.us-east-2.amazonaws.com."]
        {
            assert!(addresses.is_named(host), "{host}");
        }
        for host in ["evil-s3.us-east-2.amazonaws.com", "s3.us-east-2.amazonaws.com.evil.example", ""] {
            assert!(!addresses.is_named(host), "{host}");
        }
    }

    /// Hostile 5: what a name resolves to is judged, and that is what is dialled.
    #[tokio::test]
    async fn a_name_is_judged_by_the_addresses_that_will_be_dialled() {
        let refused = Addresses::new([]).resolve_name("localhost").await.unwrap_err();
        assert_eq!(refusal(&*refused).unwrap().denial.code(), DenialCode::LoopbackAddress);

        let dialled = Addresses::new(["localhost".to_owned()]).resolve_name("localhost").await.unwrap();
        assert!(!dialled.is_empty() && dialled.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn hosts_are_compared_in_one_form() {
        assert_eq!(canonical_host(" Packages.Internal. ").as_deref(), Some("packages.internal"));
        assert_eq!(canonical_host("127.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(canonical_host("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(canonical_host("a/b"), None);
        assert_eq!(canonical_host(""), None);
    }
}
