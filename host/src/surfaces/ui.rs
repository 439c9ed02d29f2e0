//! The UI: a static single-page application served by us, or pages the agent renders.

mod alone;
mod conditions;
mod encoding;
mod site;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

pub use alone::UiAlone;
pub use site::{Site, SiteError};

use crate::surfaces::Payload;
use crate::surfaces::builtin::reads_only;
use crate::surfaces::reply::{json_response, not_found, redirect};
use crate::surfaces::route::UiPlace;

/// Names below `ui/` that are never files or pages: single-page applications ask for these
/// at the wrong place, and an HTML page in the place of JSON hides the mistake.
const RESERVED: [&str; 3] = ["health", "meta", "ui-config.json"];

/// A UI and where it hangs.
#[derive(Debug)]
pub struct Ui {
    /// `{BASE_PATH}` and the `basePath` of the manifest, without a slash at the end.
    prefix: String,
    /// `{prefix}/ui`, the root path of rendered pages.
    root_path: Arc<str>,
    /// `{prefix}/ui/`.
    home: String,
    config: serde_json::Value,
    pages: Pages,
}

/// Where pages come from.
#[derive(Debug)]
pub enum Pages {
    /// The files of `ui.path`.
    Static(Site),
    /// The application of `ui.entry`; the files of `ui.path`, where there are some, answer
    /// below `static/` and `assets/`.
    Rendered(Option<Site>),
}

/// What the UI says to a request.
#[derive(Debug)]
pub(crate) enum UiAnswer {
    /// The answer.
    Done(Response<Payload>),
    /// The agent renders it, mounted at this path.
    Rendered(Arc<str>),
    /// No file of the UI: the path is free for the agent's routes.
    NotMine,
}

impl Ui {
    /// A UI below `base_path` and `below`, the manifest's `basePath`; both without a slash at
    /// the end, empty for none.
    #[must_use]
    pub fn new(base_path: &str, below: &str, pages: Pages) -> Self {
        let prefix = format!("{base_path}{below}");
        Self {
            root_path: format!("{prefix}/ui").into(),
            home: format!("{prefix}/ui/"),
            config: json!({"apiBase": format!("{base_path}/api")}),
            prefix,
            pages,
        }
    }

    /// What the UI hangs below.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The path of the first page.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// Answers a request for `place`.
    pub(crate) async fn answer(&self, place: UiPlace<'_>, head: &Parts) -> UiAnswer {
        let site = match &self.pages {
            Pages::Static(site) | Pages::Rendered(Some(site)) => Some(site),
            Pages::Rendered(None) => None,
        };
        match place {
            UiPlace::Bare => UiAnswer::Done(redirect(&self.home, head.uri.query())),
            UiPlace::Config => UiAnswer::Done(reads_only(&head.method).unwrap_or_else(|| self.config())),
            UiPlace::Shared(path) => match site.and_then(|site| shared(site, path)) {
                Some(file) => UiAnswer::Done(match reads_only(&head.method) {
                    Some(refused) => refused,
                    None => file.answer(&head.headers).await,
                }),
                None => UiAnswer::NotMine,
            },
            UiPlace::Page(_) if matches!(self.pages, Pages::Rendered(_)) => {
                UiAnswer::Rendered(Arc::clone(&self.root_path))
            }
            UiPlace::Page(path) => UiAnswer::Done(match (reads_only(&head.method), site) {
                (Some(refused), _) => refused,
                (None, Some(site)) => page(site, path, head).await,
                (None, None) => not_found(),
            }),
        }
    }

    fn config(&self) -> Response<Payload> {
        let mut response = json_response(StatusCode::OK, &self.config);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// A file below `static/` or `assets/`: under that name, or at the top of the folder.
fn shared<'a>(site: &'a Site, path: &str) -> Option<site::File<'a>> {
    site.file(path).or_else(|| site.file(path.split_once('/')?.1))
}

/// A file, or the application's page for whatever else it routes by itself.
async fn page(site: &Site, path: &str, head: &Parts) -> Response<Payload> {
    if RESERVED.contains(&path) || path.starts_with("api/") || path.starts_with("a2a/") {
        return not_found();
    }
    // No page of an application is spelt like this; who asks is looking for something else.
    if path.contains('\\') || path.split('/').any(|segment| segment.starts_with('.')) {
        return not_found();
    }
    match site.file(path) {
        Some(file) => file.answer(&head.headers).await,
        None => site.index().answer(&head.headers).await,
    }
}

#[cfg(test)]
mod tests;
