//! The package index: what is asked of it, with whose credentials, and which addresses are dialled for it.
//!
//! Pages and files come through [`Index::ask`] and no other way. Where a page says that a file lies is judged like a
//! redirect: it may be on another host, and there it is asked for without credentials.

use std::error::Error;
use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use par_apkg::requirement::ProjectName;
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect, retry};

use super::InstallError;
use super::page::{self, PageFile};
use super::settings::InstallSettings;
use crate::fetch::{AddressRefused, Addresses, canonical_host, is_about_certificates, refusal};
use crate::redact::RedactedUrl;

/// How often something is asked for. Only what may pass by itself is asked for again.
const ATTEMPTS: u32 = 3;

/// Longest silence of a server. The time for everything is [`InstallSettings::timeout`].
const IDLE: Duration = Duration::from_secs(30);

/// Until the second attempt; doubled before the third.
const PAUSE: Duration = Duration::from_millis(300);

/// Longest chain of redirects.
const MOST_REDIRECTS: usize = 5;

/// The index where the operator named none, and the host it keeps its files on.
const PUBLIC: (&str, &str) = ("https://pypi.org/simple", "files.pythonhosted.org");

/// The variables with a proxy in them. What is dialled through one is the proxy.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The package index of the operator, or the public one.
#[derive(Debug)]
pub(super) struct Index {
    url: Option<RedactedUrl>,
    addresses: Addresses,
    /// Made when something has to be fetched: reading the authorities takes longer than reading a wheel.
    client: OnceLock<Client>,
}

impl Index {
    pub(super) fn new(settings: &InstallSettings) -> Self {
        let (url, files) = PUBLIC;
        let public = [url, files].into_iter().map(str::to_owned);
        let own = settings.index.iter().map(|index| index.expose().to_string());
        let proxies = settings.resolver_environment.iter().filter(|(name, _)| PROXIES.contains(name));
        let proxies = proxies.map(|(_, proxy)| proxy.expose().clone());
        let chosen = public.chain(own).chain(proxies).filter_map(|place| host_of(&place));
        let addresses = Addresses::new(settings.internal_hosts.iter().cloned()).with_chosen(chosen);
        Self { url: settings.index.clone(), addresses, client: OnceLock::new() }
    }

    /// The files of a project; `None` for one the index does not have.
    pub(super) async fn files(&self, project: &ProjectName) -> Result<Option<Vec<PageFile>>, InstallError> {
        let what = What::Page(project.as_str());
        let Some(url) = self.page_of(project) else {
            return Err(what.failed("there is nothing below its URL".to_owned()));
        };
        let mut attempts = Attempts::default();
        loop {
            match self.page(&url).await {
                Ok(files) => return Ok(Some(files)),
                Err(Failure::Status(StatusCode::NOT_FOUND | StatusCode::GONE)) => return Ok(None),
                Err(failure) => attempts.after(failure, what).await?,
            }
        }
    }

    /// All bytes of a file that is no wheel; those of wheels are not held in memory.
    pub(super) async fn content(&self, file: &str, url: &Url, largest: u64) -> Result<Vec<u8>, InstallError> {
        let mut attempts = Attempts::default();
        loop {
            let outcome = match self.ask(url, HeaderMap::new()).await {
                Ok(response) => read(response, largest).await,
                Err(failure) => Err(failure),
            };
            match outcome {
                Ok(content) => return Ok(content),
                Err(failure) => attempts.after(failure, What::File(file)).await?,
            }
        }
    }

    fn page_of(&self, project: &ProjectName) -> Option<Url> {
        let mut index = match &self.url {
            Some(index) => index.expose().clone(),
            None => Url::parse(PUBLIC.0).ok()?,
        };
        // The links of the page are relative to it, and must not take the credentials along.
        index.set_username("").ok()?;
        index.set_password(None).ok()?;
        page::page_of(&index, project)
    }

    async fn page(&self, url: &Url) -> Result<Vec<PageFile>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(page::ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let response = self.ask(url, headers).await?;
        // Where redirects ended: links are relative to that.
        let at = response.url().clone();
        let field = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (media_type, encoding) = (field(CONTENT_TYPE), field(CONTENT_ENCODING));
        let mut content = read(response, page::LARGEST_PAGE).await?;
        match encoding.as_deref() {
            None | Some("identity") => {}
            Some("gzip") => content = unzipped(&content, page::LARGEST_PAGE)?,
            Some(_) => return Err(Failure::Lasting("its answer is compressed in a way nobody asked for".to_owned())),
        }
        page::files(&content, media_type.as_deref(), &at).map_err(|because| Failure::Lasting(because.to_owned()))
    }

    /// Asks for a page or a file, once. What comes back is a success, with the body still to come.
    pub(super) async fn ask(&self, url: &Url, headers: HeaderMap) -> Result<Response, Failure> {
        if !is_trusted_transport(url, self.is_local()) {
            return Err(Failure::Lasting("its URL is not `https`".to_owned()));
        }
        self.addresses.judge_url(url).map_err(Failure::Refused)?;
        let response = self.request(url)?.headers(headers).send().await.map_err(Failure::of)?;
        let status = response.status();
        if status.is_success() {
            Ok(response)
        } else if status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        {
            Err(Failure::Passing(format!("the index answered {status}")))
        } else {
            Err(Failure::Status(status))
        }
    }

    /// A request that carries the credentials of the index to the index, and to nobody else.
    fn request(&self, url: &Url) -> Result<RequestBuilder, Failure> {
        let request = self.client()?.get(url.clone());
        let index = self.url.as_ref().map(RedactedUrl::expose).filter(|index| index.origin() == url.origin());
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(match index.filter(|index| !index.username().is_empty() || index.password().is_some()) {
            Some(index) => request.basic_auth(decoded(index.username()), index.password().map(decoded)),
            None => request,
        })
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let (addresses, is_local) = (self.addresses.clone(), self.is_local());
        #[expect(
            clippy::disallowed_methods,
            reason = "wheels come from an index the operator chose, with limits of their own"
        )]
        let client = Client::builder()
            .user_agent(concat!("par/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(IDLE)
            .retry(retry::never())
            .dns_resolver(Arc::new(self.addresses.clone()))
            .redirect(redirect::Policy::custom(move |attempt| match fault(&attempt, &addresses, is_local) {
                Some(fault) => attempt.error(fault),
                None => attempt.follow(),
            }))
            .build()
            .map_err(|error| Failure::Other(InstallError::cache(std::io::Error::other(error))))?;
        Ok(self.client.get_or_init(|| client))
    }

    fn is_local(&self) -> bool {
        self.url.as_ref().is_some_and(|index| is_plain_loopback(index.expose()))
    }
}

/// Why a redirect is not followed.
fn fault(
    attempt: &redirect::Attempt<'_>,
    addresses: &Addresses,
    is_local: bool,
) -> Option<Box<dyn Error + Send + Sync>> {
    let url = attempt.url();
    if attempt.previous().len() > MOST_REDIRECTS {
        Some("too many redirects".into())
    } else if !is_trusted_transport(url, is_local) {
        Some("a redirect away from https".into())
    } else if !url.username().is_empty() || url.password().is_some() {
        Some("a redirect to a URL with user and password".into())
    } else {
        addresses.judge_url(url).err().map(Into::into)
    }
}

/// The host of a URL, or of a proxy that is written without a scheme.
fn host_of(place: &str) -> Option<String> {
    let url = Url::parse(place).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{place}")).ok());
    canonical_host(url?.host_str()?)
}

/// A body, up to `largest` bytes.
async fn read(mut response: Response, largest: u64) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
        content.extend_from_slice(&chunk);
        if content.len() as u64 > largest {
            return Err(Failure::too_large(largest));
        }
    }
    Ok(content)
}

/// What was compressed, up to `largest` bytes of it.
fn unzipped(content: &[u8], largest: u64) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    match MultiGzDecoder::new(content).take(largest + 1).read_to_end(&mut all) {
        Ok(count) if count as u64 > largest => Err(Failure::too_large(largest)),
        Ok(_) => Ok(all),
        Err(error) => Err(Failure::Passing(format!("its answer cannot be unpacked: {error}"))),
    }
}

/// What is asked for, as errors name it.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// A wheel or a source distribution, by its file name.
    File(&'a str),
    /// The page of a project.
    Page(&'a str),
}

impl What<'_> {
    fn failed(self, because: String) -> InstallError {
        match self {
            Self::File(name) => InstallError::Download { wheel: name.to_owned(), because },
            Self::Page(project) => InstallError::Index { project: project.to_owned(), because },
        }
    }
}

/// Why an attempt came to nothing. No text has a URL in it, which may hold a token.
pub(super) enum Failure {
    /// It may pass by itself.
    Passing(String),
    /// It will be the same the next time.
    Lasting(String),
    /// What is asked for is not given.
    Status(StatusCode),
    /// Nothing is fetched from there.
    Refused(AddressRefused),
    /// It is not the index's fault.
    Other(InstallError),
}

impl Failure {
    /// Transport errors may pass; where a server sends us, and who it says it is, will not change.
    pub(super) fn of(error: reqwest::Error) -> Self {
        if let Some(refused) = refusal(&error) {
            return Self::Refused(refused.clone());
        }
        let is_lasting = error.is_redirect() || is_about_certificates(&error);
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        if is_lasting { Self::Lasting(text) } else { Self::Passing(text) }
    }

    fn too_large(largest: u64) -> Self {
        Self::Lasting(format!("it is larger than {} MiB", largest >> 20))
    }
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        Self::Other(error)
    }
}

/// How often something was asked for.
#[derive(Debug, Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Waits for the next attempt; the error, where there is none.
    pub(super) async fn after(&mut self, failure: Failure, what: What<'_>) -> Result<(), InstallError> {
        self.0 += 1;
        Err(match failure {
            Failure::Passing(_) if self.0 < ATTEMPTS => {
                tokio::time::sleep(PAUSE * 2_u32.pow(self.0 - 1)).await;
                return Ok(());
            }
            Failure::Passing(because) => what.failed(format!("{because} (after {} attempts)", self.0)),
            Failure::Lasting(because) => what.failed(because),
            Failure::Status(status) => what.failed(format!("the index answered {status}")),
            Failure::Refused(refused) => InstallError::Address {
                what: match what {
                    What::File(name) => format!("`{name}`"),
                    What::Page(project) => format!("the page of `{project}`"),
                },
                refused,
            },
            Failure::Other(error) => error,
        })
    }
}

/// Whether a wheel or an index may come from this URL: `https` always; plain `http` only where it
/// stays on this machine, and only if the index the operator chose does.
pub(crate) fn is_trusted_transport(url: &Url, index_is_local: bool) -> bool {
    url.scheme() == "https" || (index_is_local && is_plain_loopback(url))
}

fn is_plain_loopback(url: &Url) -> bool {
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Secret;

    fn may_be_asked(settings: &InstallSettings, url: &str) -> bool {
        Index::new(settings).addresses.judge_url(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn the_index_the_proxy_and_named_hosts_may_be_inside_and_nobody_else() {
        let mut settings = InstallSettings::new("/nowhere".into());
        let inside = ["https://10.0.0.1/x", "https://10.0.0.2/", "https://10.0.0.3:8443/", "https://10.0.0.4/"];
        assert!(inside.iter().all(|url| !may_be_asked(&settings, url)));

        settings.index = RedactedUrl::parse("https://user:pa55@10.0.0.1/simple").ok();
        settings.internal_hosts = vec!["10.0.0.2".to_owned()];
        let proxy = |text: &str| Secret::new(text.to_owned());
        settings.resolver_environment =
            vec![("HTTPS_PROXY", proxy("10.0.0.3:3128")), ("ALL_PROXY", proxy("http://u:p@10.0.0.4:3128"))];
        assert!(inside.iter().all(|url| may_be_asked(&settings, url)));
        for url in ["https://10.0.0.5/", "https://169.254.169.254/", "https://[fd00:ec2::254]/"] {
            assert!(!may_be_asked(&settings, url), "{url}");
        }
    }
}
